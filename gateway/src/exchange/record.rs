//! What is known of an exchange when it is over.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, StatusCode};

use crate::clock;
use crate::message::error::{Cause, ErrorKind};
use crate::message::interim::Interim;
use crate::message::target::Target;

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
    /// The endpoint that the request was sent to, whether or not it answered: the one whose outcome stands.
    pub endpoint: Option<Target>,
    /// When the request went upstream, and when the head of the answer came.
    pub upstream: Option<(Instant, Instant)>,
    /// How often the request was sent upstream, where that was more than once.
    pub attempts: u32,
    /// Why it failed: what was found first.
    pub error: Option<ErrorKind>,
    /// Why the route's fallback answered, if it did.
    pub fallback: Option<Cause>,
    /// `grpc-status` of the answer to a call of gRPC, in its head or in its trailers.
    pub grpc_status: Option<u32>,
    /// Whether the last byte of the response was handed to the client's connection.
    pub finished: bool,
    /// HTTP/2: of a request with a body, what is known of its end.
    pub stream: Option<Arc<Interim>>,
    /// Whether it is counted and logged.
    pub(super) is_told: bool,
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
            upstream: None,
            attempts: 0,
            error: None,
            fallback: None,
            grpc_status: None,
            finished: false,
            stream: None,
            is_told: false,
        }
    }

    /// Takes note of what the fields of an answer, or its trailers, say of a call of gRPC.
    #[cold]
    pub fn grpc(&mut self, fields: &HeaderMap) {
        let status = fields.get("grpc-status").and_then(|it| it.to_str().ok());
        self.grpc_status = status.and_then(|it| it.parse().ok()).or(self.grpc_status);
    }

    /// Where the gateway ended the stream over the body of the request, that is why nothing was finished: the client is there.
    pub(super) fn refuse_broken(&mut self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        let ending = &stream.ending;
        self.finished &= !ending.is_refused();
        if ending.is_broken() && !self.finished {
            let error = *self.error.get_or_insert(ErrorKind::BodyBroken);
            if error == ErrorKind::BodyBroken && ending.is_refused() {
                self.status = Some(StatusCode::BAD_REQUEST);
            }
        }
    }

    /// The request goes to this endpoint.
    #[inline]
    pub fn asks(&mut self, endpoint: &Target) {
        self.endpoint = Some(endpoint.clone());
        self.upstream = None;
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}
