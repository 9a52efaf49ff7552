//! The plugin host: loads components, keeps instances of them, and calls their phases within a budget.
//!
//! [`load`] turns a file and its configurations into a [`Linked`], on the control thread. Each worker keeps a
//! [`Pool`] of its instances and calls phases through it. The exchange moves into the instance's store for a call
//! and comes back from it whatever happened there; a [`Failure`] says what did.

mod engine;
mod exports;
mod failure;
mod grants;
mod held;
mod host;
mod instance;
mod limits;
mod loader;
mod meter;
mod patience;
mod pool;
mod ticker;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

pub use engine::{Engine, EngineError};
pub use failure::{Failure, FailureKind};
pub use held::Held;
pub use host::Services;
pub(crate) use loader::hex;
pub use loader::{LoadError, Metadata, load, reload, warm};
pub use pool::Pool;

use crate::config;
use exports::Exports;
use host::bindings::exports::gateway::plugin::filter as wit;
use host::{Resolved, Shared};
use patience::Patience;

/// One loaded version of one plugin, with every configuration of it that the routes use.
pub struct Linked {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// As configured.
    pub config: Arc<config::Plugin>,
    /// The hash of the file it was loaded from.
    pub sha256: [u8; 32],
    /// Who the plugin says it is.
    pub metadata: Metadata,
    filters: Vec<Filter>,
    engine: Arc<Engine>,
    /// Keeps the machine code known to the engine, so that loading the same bytes again is free.
    _compiled: Arc<engine::Compiled>,
    resolved: Resolved,
    exports: Arc<Exports>,
    patience: Patience,
    shared: Arc<Shared>,
    /// Living instances, over all workers.
    living: AtomicUsize,
    /// Where idle ones can be found when there are as many as there may be.
    pools: parking_lot::Mutex<Vec<std::sync::Weak<Pool>>>,
}

/// One configuration of a plugin.
#[derive(Debug)]
struct Filter {
    config: serde_json::Value,
    json: String,
    phases: Phases,
}

impl Linked {
    /// What a configuration asks for. An index that there is not asks for nothing.
    pub fn phases(&self, filter: usize) -> Phases {
        self.filters
            .get(filter)
            .map_or(Phases::default(), |filter| filter.phases)
    }

    /// The index of a configuration among those it was loaded with.
    pub fn filter_for(&self, config: &serde_json::Value) -> Option<usize> {
        self.filters
            .iter()
            .position(|filter| filter.config == *config)
    }

    /// How many distinct configurations it was loaded with.
    pub fn filters(&self) -> usize {
        self.filters.len()
    }

    /// The version the plugin gives itself.
    pub fn version(&self) -> &str {
        &self.metadata.version
    }

    /// Living instances, over all workers.
    pub fn instances(&self) -> usize {
        self.living.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn filter_json(&self, filter: usize) -> &str {
        self.filters.get(filter).map_or("{}", |filter| &filter.json)
    }

    /// One failure is one count and one line of the log; where there are too many lines, they are for whoever
    /// looks for a fault.
    fn report(&self, route: &str, phase: &'static str, failure: &Failure) {
        let kind = failure.kind.name();
        self.shared.metrics.failure(route, kind);
        if let Some(suppressed) = self.shared.gate.pass() {
            tracing::error!(
                plugin = &*self.name,
                version = self.version(),
                route,
                phase,
                kind,
                suppressed,
                "plugin failed: {}",
                failure.message
            );
        } else {
            tracing::debug!(
                plugin = &*self.name,
                route,
                phase,
                kind,
                "plugin failed: {}",
                failure.message
            );
        }
    }
}

impl fmt::Debug for Linked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linked")
            .field("name", &self.name)
            .field("version", &self.metadata.version)
            .field("filters", &self.filters.len())
            .finish_non_exhaustive()
    }
}

/// The calls that one configuration wants; what is not wanted is never called.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases(u8);

impl Phases {
    const REQUEST: u8 = 1;
    const REQUEST_BODY: u8 = 1 << 1;
    const RESPONSE: u8 = 1 << 2;
    const RESPONSE_BODY: u8 = 1 << 3;
    const REQUEST_STREAM: u8 = 1 << 4;
    const RESPONSE_STREAM: u8 = 1 << 5;
    const COMPLETE: u8 = 1 << 6;

    /// `on-request` is wanted.
    pub fn request(self) -> bool {
        self.has(Self::REQUEST)
    }

    /// The request body is to be held before `on-request`.
    pub fn request_body(self) -> bool {
        self.has(Self::REQUEST_BODY)
    }

    /// `on-response` is wanted.
    pub fn response(self) -> bool {
        self.has(Self::RESPONSE)
    }

    /// The response body is to be held before `on-response`.
    pub fn response_body(self) -> bool {
        self.has(Self::RESPONSE_BODY)
    }

    /// Every chunk of the request body is to pass through.
    pub fn request_stream(self) -> bool {
        self.has(Self::REQUEST_STREAM)
    }

    /// Every chunk of the response body is to pass through.
    pub fn response_stream(self) -> bool {
        self.has(Self::RESPONSE_STREAM)
    }

    /// `on-complete` is wanted.
    pub fn complete(self) -> bool {
        self.has(Self::COMPLETE)
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Whether an exchange keeps one instance from its first phase to its last.
    fn streams(self) -> bool {
        self.has(Self::REQUEST_STREAM | Self::RESPONSE_STREAM)
    }

    /// A body that is held is held for a call, so the call is implied.
    fn from_wit(phases: wit::Phases) -> Self {
        let bits = [
            (wit::Phases::REQUEST, Self::REQUEST),
            (
                wit::Phases::REQUEST_BODY,
                Self::REQUEST | Self::REQUEST_BODY,
            ),
            (wit::Phases::RESPONSE, Self::RESPONSE),
            (
                wit::Phases::RESPONSE_BODY,
                Self::RESPONSE | Self::RESPONSE_BODY,
            ),
            (wit::Phases::REQUEST_STREAM, Self::REQUEST_STREAM),
            (wit::Phases::RESPONSE_STREAM, Self::RESPONSE_STREAM),
            (wit::Phases::COMPLETE, Self::COMPLETE),
        ];
        let wanted = bits.iter().filter(|(flag, _)| phases.contains(*flag));
        Self(wanted.fold(0, |all, (_, bits)| all | bits))
    }
}

impl fmt::Debug for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.request(), "request"),
            (self.request_body(), "request-body"),
            (self.response(), "response"),
            (self.response_body(), "response-body"),
            (self.request_stream(), "request-stream"),
            (self.response_stream(), "response-stream"),
            (self.complete(), "complete"),
        ];
        f.debug_set()
            .entries(names.iter().filter(|(on, _)| *on).map(|(_, name)| name))
            .finish()
    }
}

/// How a request or response phase ends.
#[derive(Debug)]
pub enum Flow {
    /// Go on.
    Next,
    /// Answer the client with this.
    Respond(Answer),
}

/// A response that a plugin made. Its status is 200 to 599; fields that are the gateway's own are not in it.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Flow {
    fn from_wit(flow: wit::Flow) -> Result<Self, Failure> {
        let response = match flow {
            wit::Flow::Next => return Ok(Self::Next),
            wit::Flow::Respond(response) => response,
        };
        let Some(status) = host::answer_status(response.status) else {
            let text = format!(
                "answered with status {}; an answer has 200 to 599",
                response.status
            );
            return Err(Failure::new(FailureKind::Refused, text));
        };
        let mut headers = HeaderMap::with_capacity(response.headers.len().min(64));
        for field in response.headers {
            // A field that is none, or the gateway's, is left out: the answer stands without it.
            let Ok(name) = HeaderName::from_bytes(field.name.as_bytes()) else {
                continue;
            };
            let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(field.value)) else {
                continue;
            };
            if !grants::reserved(&name)
                && headers.len() < limits::FIELDS
                && headers.try_append(name, value).is_err()
            {
                break;
            }
        }
        Ok(Self::Respond(Answer {
            status,
            headers,
            body: response.body.into(),
        }))
    }
}
