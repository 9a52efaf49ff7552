//! How an attempt at an endpoint ended, and who learns of it.

use http::StatusCode;

use super::endpoint::Endpoint;
use crate::message::error::{ErrorKind, Side};

/// How an attempt at an endpoint ended, or the answer that it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The head of an answer came.
    Answered(StatusCode),
    /// There was none, or not the whole of it. What a client or a plugin did wrong says nothing about an endpoint.
    Failed(ErrorKind),
}

impl Endpoint {
    /// An attempt at it ended so.
    #[inline]
    pub(super) fn ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Answered(_) => self.of.metrics.request(),
            Outcome::Failed(kind) if is_its_own(kind) => self.of.metrics.failure(kind),
            Outcome::Failed(_) => {}
        }
    }
}

/// Whether a failure says something about an endpoint.
fn is_its_own(kind: ErrorKind) -> bool {
    !matches!(kind.side(), Side::Client | Side::Plugin)
}
