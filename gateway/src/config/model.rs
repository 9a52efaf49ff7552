//! The typed configuration: what the loader hands to the rest of the gateway.
//!
//! Past this module nothing is a string that means something else. Every value was checked and every
//! reference resolved to something that exists; whoever builds a snapshot need not look for mistakes.

mod admin;
mod answer_rewrite;
mod answers;
mod balance;
mod breaker;
mod client_key;
mod conditions;
mod health;
mod listen;
mod matcher;
mod mirror;
mod named;
mod networks;
mod outcomes;
mod outlier;
mod overrides;
mod redirect;
mod retry;
mod routes;
mod split;
mod tls;
mod upstream;
mod upstream_tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use indexmap::IndexMap;

use super::expressions::Regexes;
use super::fault::{Fault, Spot};
use super::log_format::LogTemplate;
use super::origins::Origins;
use super::scope::Watched;
use super::units::Secret;
use super::written::Written;
use crate::message::headers::{Believed, ClientFrom};
use crate::message::names::UnusualNames;
use crate::message::peer::Proxies;
use crate::message::via::Via;

pub use admin::*;
pub use answer_rewrite::*;
pub use answers::*;
pub use balance::*;
pub use breaker::*;
pub use client_key::*;
pub use conditions::*;
pub use health::*;
pub use listen::*;
pub use matcher::*;
pub use mirror::*;
pub use named::*;
pub use networks::Networks;
pub use outcomes::*;
pub use outlier::*;
pub use overrides::*;
pub use redirect::*;
pub use retry::*;
pub use routes::*;
pub use tls::*;
pub use upstream::*;
pub use upstream_tls::*;

/// One whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The process.
    pub server: Server,
    /// The admin listener; off unless given.
    pub admin: Option<Admin>,
    /// Where shared state lives.
    pub state: State,
    /// Secrets by name.
    pub secrets: BTreeMap<Arc<str>, Secret>,
    /// Where clients connect; at least one.
    pub listeners: Vec<Listener>,
    /// Where the address of each stands.
    pub listener_places: Vec<Spot>,
    /// Plugins by name.
    pub plugins: IndexMap<Arc<str>, Plugin>,
    /// Where each plugin stands (`file:line: plugins.NAME`) and the keys of its `config`, for messages. Beside them,
    /// since a plugin that only moved in its file has not changed.
    pub plugin_places: BTreeMap<Arc<str>, Written>,
    /// Upstreams by name.
    pub upstreams: IndexMap<Arc<str>, Upstream>,
    /// Routes in the order of the files.
    pub routes: Vec<Arc<Route>>,
    /// What stands for failures of no route; those of a route have it in [`Route::errors`] already.
    pub errors: Errors,
    /// Its regular expressions, for the configuration that follows.
    pub regexes: Arc<Regexes>,
    /// What it was made from.
    pub watched: Watched,
    /// What somebody should look at, though it can be served: a certificate that has expired.
    pub warnings: Vec<Fault>,
    /// The configuration as it was written, secrets masked, defaults filled in: for `GET /config`.
    pub masked: serde_json::Value,
    /// Where each value of that comes from.
    pub origins: Origins,
}

/// `[server]`.
#[derive(Debug, Clone)]
pub struct Server {
    /// Data threads; never 0 here.
    pub workers: usize,
    /// How long connections are still accepted after SIGTERM, before the drain.
    pub drain_delay: Duration,
    /// How long a drain may take.
    pub grace: Duration,
    /// The access log.
    pub access_log: AccessLog,
    /// The linear memory that all instances of all plugins together may have, bytes; at least 8 MiB for each plugin.
    pub plugin_memory: usize,
    /// Where compiled plugins are kept; `None` switches the cache off. Default: the user's cache directory.
    pub compile_cache: Option<PathBuf>,
    /// What compiling one plugin may take.
    pub compile: Compile,
    /// By which the gateways of one fleet know each other's marks; unless given, one that no other process has.
    pub fleet_key: Option<Secret>,
    /// Name servers that are asked for the names of endpoints; those of the system, if there is none.
    pub resolver: Vec<SocketAddr>,
}

/// `server.compile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compile {
    /// Wall time (60 s).
    pub time: Duration,
    /// Memory of the compiler, bytes (1 GiB).
    pub memory: u64,
}

/// `server.access_log`.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// How a line looks.
    pub format: AccessLogFormat,
    /// Where it goes.
    pub path: AccessLogPath,
    /// The share of exchanges that is logged, 0.0 to 1.0. Always logged is what the gateway or the upstream failed
    /// at: 5xx, responses that broke off, and exchanges that ended without a response and not by the client.
    pub sample: f64,
}

/// `server.access_log.format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// One JSON object a line.
    Json,
    /// The combined log format of Apache and nginx.
    Combined,
    /// A template of `{field}` and text.
    Template(LogTemplate),
    /// Nothing is written.
    Off,
}

/// `server.access_log.path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogPath {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

/// `[state]`. Only `memory` in this version.
#[derive(Debug, Clone)]
pub struct State {
    /// The most entries; at least one for each plugin.
    pub max_entries: usize,
    /// The most bytes, keys and what an entry takes beside them included; at least 4 KiB for each plugin.
    pub max_bytes: usize,
}

/// `[[listeners]]`.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Unique name.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: ListenAddress,
    /// HTTP/1.1 is spoken.
    pub h1: bool,
    /// HTTP/2 is spoken: by ALPN with TLS, else as h2c by prior knowledge.
    pub h2: bool,
    /// Peers that say for whom they connect, by the PROXY protocol, where it is spoken: nobody else may connect.
    pub proxy_protocol: Option<Proxies>,
    /// Peers whose fields of who asks are believed.
    pub trusted_proxies: Proxies,
    /// Which of these fields.
    pub client_from: ClientFrom,
    /// What is added to Via.
    pub via: Option<Via>,
    /// What the end of a client's side of an HTTP/1 connection means.
    pub half_close: HalfClose,
    /// What becomes of fields whose names have other characters than letters, digits and `-`.
    pub unusual_names: UnusualNames,
    /// TLS, if it is spoken.
    pub tls: Option<Tls>,
    /// What one client may take.
    pub limits: Limits,
}

impl Listener {
    /// Whom it believes about who asks.
    pub fn believed(&self) -> Believed<'_> {
        Believed {
            proxies: &self.trusted_proxies,
            from: self.client_from,
        }
    }
}

/// `listeners.half_close`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HalfClose {
    /// The client has left: its request ends.
    #[default]
    Abort,
    /// It has said all: its request is answered.
    Answer,
}

/// `listeners.limits`, with its defaults.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections of the listener, over all workers (10,000).
    pub connections: usize,
    /// Bytes of a request head (32 KiB): beyond it 431, or 414 when the target alone is larger.
    pub header_bytes: usize,
    /// Fields of a request head (100): beyond it 431.
    pub header_count: usize,
    /// Bytes of a request body (10 MiB): beyond it 413. 0 is no limit.
    pub body: u64,
    /// Time for a head to arrive whole (10 s): beyond it 408.
    pub header_timeout: Duration,
    /// Time between two pieces of a request body, and for a client to take a piece of the response (30 s).
    pub body_idle: Duration,
    /// Time a kept-alive connection may wait for its next request (75 s).
    pub idle: Duration,
    /// Bytes a second that a request body must bring at least, over `body_idle` of waiting for it (240): slower is 408.
    /// 0 is no limit.
    pub body_rate: u64,
    /// Concurrent streams of an HTTP/2 connection (100).
    pub h2_streams: u32,
}

/// `[plugins.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The component, absolute.
    pub path: PathBuf,
    /// What the file must hash to, if pinned.
    pub sha256: Option<[u8; 32]>,
    /// What the client gets when the plugin fails.
    pub on_error: OnError,
    /// Linear memory of one instance, bytes (16 MiB).
    pub memory: usize,
    /// Guest time of one call (10 ms).
    pub cpu: Duration,
    /// Wall time of one call, sub-requests included (2 s).
    pub timeout: Duration,
    /// The largest body it may hold, and the largest answer of a sub-request (1 MiB).
    pub body_limit: usize,
    /// What happens to a body over `body_limit`.
    pub body_overflow: BodyOverflow,
    /// How instances are kept.
    pub instances: Instances,
    /// What it may do.
    pub grants: Grants,
    /// The default configuration, as JSON (`{}` unless given).
    pub config: serde_json::Value,
}

/// `plugins.NAME.on_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The client gets 500, never a bypass.
    Closed,
    /// The plugin is skipped.
    Open,
}

/// `plugins.NAME.body_overflow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyOverflow {
    /// 413 for a request, 502 for a response.
    Refuse,
    /// The plugin is called without a body.
    Skip,
}

/// `plugins.NAME.instances`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instances {
    /// A new instance for every exchange.
    pub fresh: bool,
    /// How many may be in use at once, over all workers (1,000); a call beyond it fails at once.
    pub max: usize,
    /// Calls after which an instance is replaced (100,000).
    pub recycle_after: u64,
}

/// `plugins.NAME.grants`.
///
/// The header grants are for the messages of others: the client's request and the upstream's response. What the
/// plugin answers by itself (`respond`) is its own message, with whatever fields it likes but the gateway's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Grants {
    /// Upstreams that sub-requests and `set-upstream` may name. Empty: none.
    pub upstreams: Vec<Arc<str>>,
    /// Secrets it may read.
    pub secrets: Vec<Arc<str>>,
    /// Whether it may use the key-value state. The limiter needs no grant.
    pub state: bool,
    /// Request fields it may read (all unless given).
    pub read_request_headers: HeaderPatterns,
    /// Request fields it may write (all unless given).
    pub write_request_headers: HeaderPatterns,
    /// Response fields it may read (all unless given).
    pub read_response_headers: HeaderPatterns,
    /// Response fields it may edit (all unless given); an answer of its own is not bound by it.
    pub write_response_headers: HeaderPatterns,
}

/// A list of field names, each exact or a prefix with `*`; lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderPatterns {
    /// `["*"]`
    All,
    /// Exact names, and prefixes without their `*`.
    Some {
        /// Names.
        exact: Vec<HeaderName>,
        /// Prefixes.
        prefixes: Vec<String>,
    },
}

impl HeaderPatterns {
    /// Whether a field name is covered, however it is written.
    pub fn covers_any_case(&self, name: &str) -> bool {
        self.covers(name) || self.covers(&name.to_ascii_lowercase())
    }

    /// Whether a lower-case field name is covered.
    pub fn covers(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some { exact, prefixes } => {
                exact.iter().any(|exact| exact.as_str() == name)
                    || prefixes
                        .iter()
                        .any(|prefix| name.starts_with(prefix.as_str()))
            }
        }
    }
}
