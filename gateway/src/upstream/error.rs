//! Why a request has no answer.

use crate::message::body::{BodyFault, Outgoing};
use crate::message::error::ErrorKind;

/// Informational responses an endpoint may send before its answer; more is an attack or a fault.
pub(super) const MAX_INFORMATIONAL: u8 = 8;
pub(super) const TOO_MANY_INFORMATIONAL: &str = "more than 8 informational responses";

/// Why a request has no answer, and what that means for a repeat.
#[derive(Debug)]
pub struct SendError {
    /// In the one vocabulary of failure.
    pub kind: ErrorKind,
    /// Whether a byte of the request may have reached the upstream: then only what is idempotent may go out again
    /// (RFC 9110, section 9.2.2).
    pub sent: bool,
    /// The body, where nothing of it was taken.
    pub unsent: Option<Outgoing>,
    /// What happened, for people.
    pub why: String,
    /// Whether the endpoint had no part in it.
    pub(super) blameless: bool,
}

impl SendError {
    pub(super) fn new(kind: ErrorKind, why: impl Into<String>) -> Self {
        Self {
            kind,
            sent: false,
            unsent: None,
            why: why.into(),
            blameless: false,
        }
    }

    /// What came was not HTTP, or the connection ended first.
    pub(super) fn protocol(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadGateway, why)
    }

    /// The body of the request broke before the answer came.
    pub(super) fn body(fault: BodyFault) -> Self {
        Self::new(fault.of_request(), fault.to_string())
    }

    /// The same, with the body, of which nothing was taken.
    pub(super) fn with(self, unsent: Option<Outgoing>) -> Self {
        Self { unsent, ..self }
    }

    /// The same, in which the endpoint had no part.
    pub(super) fn blameless(self) -> Self {
        let blameless = true;
        Self { blameless, ..self }
    }

    /// The same, after a byte of the request went out.
    pub(super) fn sent(self, sent: bool) -> Self {
        Self { sent, ..self }
    }
}
