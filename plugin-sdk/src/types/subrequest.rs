//! A request that the gateway makes for a plugin, its answer, or why there is none.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::Answer;
use super::flow::Result;
use crate::duration::milliseconds;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The plugin's grants do not name this upstream.
    Denied,
    /// The configuration has no upstream of this name.
    UnknownUpstream,
    /// It took longer than it may.
    Timeout,
    /// No endpoint could be reached; the text says why.
    Connect(String),
    /// The answer is larger than the plugin's `body_limit`.
    BodyTooLarge,
    /// The request was not well formed, or the answer was not HTTP or cannot be decoded; the text says why.
    Protocol(String),
    /// Sub-requests that lead back into the gateway are nested deeper than 8.
    LoopDetected,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("the plugin's grants do not name this upstream"),
            Self::UnknownUpstream => f.write_str("the configuration has no upstream of this name"),
            Self::Timeout => f.write_str("the upstream took longer than it may"),
            Self::Connect(why) => write!(f, "no endpoint of the upstream could be reached: {why}"),
            Self::BodyTooLarge => f.write_str("the answer is larger than the plugin's body_limit"),
            Self::Protocol(why) => write!(f, "the sub-request failed: {why}"),
            Self::LoopDetected => f.write_str("sub-requests are nested deeper than 8"),
        }
    }
}

impl std::error::Error for Error {}

/// A request that the gateway makes on the plugin's behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The name of the upstream in the configuration.
    pub upstream: String,
    /// The request method.
    pub method: String,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// The host that it names, perhaps with a port; `None` for the address of the endpoint.
    pub host: Option<String>,
    /// The header fields; `host`, `accept-encoding` and framing are the gateway's.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body; empty for none.
    pub body: Vec<u8>,
    /// Until when the answer must be whole; `None` for what is left of the plugin's `timeout`.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A request of any method.
    #[must_use]
    pub fn new(method: &str, upstream: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            upstream: upstream.into(),
            method: method.to_owned(),
            path: path.into(),
            host: None,
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
        }
    }

    /// A `GET` of a path at an upstream.
    #[must_use]
    pub fn get(upstream: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new("GET", upstream, path)
    }

    /// A `POST` to a path at an upstream.
    #[must_use]
    pub fn post(upstream: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new("POST", upstream, path)
    }

    /// Names a host, perhaps with a port, in place of the address of the endpoint.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a body of JSON and its content type.
    ///
    /// # Panics
    /// If the value has no form in JSON: a map whose keys are not strings, or a `Serialize` that fails.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        let body = serde_json::to_vec(value).expect("the value has a form in JSON");
        self.header("content-type", "application/json").body(body)
    }

    /// How long it may take until the answer is whole.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    #[cfg_attr(
        not(target_arch = "wasm32"),
        expect(dead_code, reason = "only the sandbox has a clock to hand it to")
    )]
    pub(crate) fn timeout_ms(&self) -> Option<u32> {
        self.timeout.map(milliseconds)
    }
}

/// The whole answer to a sub-request, its body without a content coding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields in order: lower-case name, value.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// Whether the status is one of success (2xx).
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first field of that name, as the bytes of the wire.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// The first field of that name; `None` as well when it is not UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.header(name)?).ok()
    }

    /// The body as text; `None` when it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// If it is not JSON of this shape; the text says where.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

impl From<Response> for Answer {
    fn from(
        Response {
            status,
            headers,
            body,
        }: Response,
    ) -> Self {
        Self {
            status,
            headers,
            body,
        }
    }
}

impl From<Answer> for Response {
    fn from(
        Answer {
            status,
            headers,
            body,
        }: Answer,
    ) -> Self {
        Self {
            status,
            headers,
            body,
        }
    }
}
