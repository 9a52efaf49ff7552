//! One request and its response: what every phase reads and edits.
//!
//! An exchange is owned by whoever works on it: the proxy between phases, an instance's store during a plugin
//! call, the response body while it streams. Whoever drops it last ends it: the access log, the metrics and
//! the `complete` phases hang on that (see [`crate::proxy::complete`]), so an aborted exchange is not forgotten.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use crate::clock;
use crate::message::head::{ResponseEdit, ResponseHead};
use crate::message::phase::Phase;
use crate::plugin::Held;
use crate::snapshot::{Route, View};

/// One request and its response.
pub struct Exchange {
    /// The configuration this exchange sees from its first phase to its last.
    pub view: Arc<View>,
    /// The matched route.
    pub route: Arc<Route>,
    /// `x-request-id`.
    pub id: HeaderValue,
    /// The client, after trusted proxies were looked through.
    pub client: IpAddr,
    /// The peer of the connection.
    pub peer: SocketAddr,
    /// Whether the client sees `https`.
    pub secure: bool,
    /// The protocol of the client.
    pub version: Version,
    /// Host and port the client asked for.
    pub authority: HeaderValue,
    /// The method the client used.
    pub client_method: Method,
    /// Path and query the client asked for, normalised.
    pub client_path: PathAndQuery,
    /// The values of the route's path parameters, percent-decoded, in the order of the pattern.
    pub params: Vec<(Arc<str>, String)>,
    /// How deep in sub-requests of gateways this request stands (hardening: at most 8).
    pub depth: u8,

    /// The method that goes upstream.
    pub method: Method,
    /// Path and query that go upstream.
    pub path: PathAndQuery,
    /// The request's header fields.
    pub headers: HeaderMap,
    /// The request body, where a phase asked to hold it.
    pub request_body: Option<Bytes>,
    /// The upstream a plugin chose, by index into the configuration.
    pub upstream: Option<usize>,

    /// The head of the response, once there is one.
    pub response: Option<ResponseHead>,
    /// The response body, where a phase asked to hold it.
    pub response_body: Option<Bytes>,
    /// Edits made before there was a response.
    pub response_edits: Vec<ResponseEdit>,

    /// Facts that plugins left.
    pub attributes: Vec<(Box<str>, Box<str>)>,
    /// What the exchange allows right now.
    pub phase: Phase,
    /// Instances of plugins with streaming phases: one per entry of the chain, kept to the end.
    pub held: Vec<Option<Held>>,
    /// What the access log and the metrics want to know.
    pub record: Record,
    /// Where the spans of its phases belong.
    pub span: tracing::Span,
}

/// What is known of an exchange when it is over.
#[derive(Debug)]
pub struct Record {
    /// When the head of the request was there.
    pub started: Instant,
    /// The status that was sent, if a head was sent.
    pub status: Option<StatusCode>,
    /// Bytes of the request body that came in.
    pub bytes_in: u64,
    /// Bytes of the response body that went out.
    pub bytes_out: u64,
    /// The endpoint that answered.
    pub endpoint: Option<SocketAddr>,
    /// From the request sent upstream to the head of its response.
    pub upstream_time: Option<Duration>,
    /// Why it failed, in the words of [`crate::error::Error::kind`].
    pub error: Option<&'static str>,
    /// Whether the last byte of the response was handed to the client's connection.
    pub finished: bool,
    /// Whether the end was recorded (a guard against recording it twice).
    pub recorded: bool,
}

impl Record {
    /// A record that starts now.
    pub fn new() -> Self {
        Self {
            started: clock::now(),
            status: None,
            bytes_in: 0,
            bytes_out: 0,
            endpoint: None,
            upstream_time: None,
            error: None,
            finished: false,
            recorded: false,
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

impl Exchange {
    /// When the exchange as a whole must be over, by the route's `timeout`.
    pub fn deadline(&self) -> Option<Instant> {
        let timeout = self.route.config.timeout?;
        Some(self.record.started + timeout)
    }

    /// The value of a path parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(param, _)| &**param == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| &**value)
    }

    /// Sets an attribute.
    pub fn set_attribute(&mut self, name: Box<str>, value: Box<str>) {
        match self.attributes.iter_mut().find(|(key, _)| *key == name) {
            Some((_, present)) => *present = value,
            None => self.attributes.push((name, value)),
        }
    }

    /// Whether the upstream agreed to another protocol.
    pub(super) fn is_switched(&self) -> bool {
        let head = self.response.as_ref();
        head.is_some_and(|head| head.status == StatusCode::SWITCHING_PROTOCOLS)
    }

    /// Moves everything into a new exchange and leaves a husk that is not recorded.
    pub(super) fn detach(&mut self) -> Self {
        let record = std::mem::take(&mut self.record);
        self.record.recorded = true;
        Self {
            view: self.view.clone(),
            route: self.route.clone(),
            id: self.id.clone(),
            client: self.client,
            peer: self.peer,
            secure: self.secure,
            version: self.version,
            authority: self.authority.clone(),
            client_method: self.client_method.clone(),
            client_path: self.client_path.clone(),
            params: std::mem::take(&mut self.params),
            depth: self.depth,
            method: self.method.clone(),
            path: self.path.clone(),
            headers: std::mem::take(&mut self.headers),
            request_body: None,
            upstream: self.upstream,
            response: self.response.take(),
            response_body: None,
            response_edits: Vec::new(),
            attributes: std::mem::take(&mut self.attributes),
            phase: self.phase,
            held: std::mem::take(&mut self.held),
            record,
            span: std::mem::replace(&mut self.span, tracing::Span::none()),
        }
    }

    /// Applies the edits that waited for the response; called once, when the head is there.
    pub fn apply_response_edits(&mut self) {
        let Some(head) = self.response.as_mut() else {
            return;
        };
        for edit in self.response_edits.drain(..) {
            head.apply(edit);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        crate::proxy::complete::record(self);
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("id", &self.id)
            .field("route", &self.route.name)
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
