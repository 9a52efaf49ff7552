//! How an attempt at an endpoint ended.

use http::StatusCode;

use crate::message::error::{ErrorKind, Side};

/// How an attempt at an endpoint ended, or the answer that it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Outcome {
    /// The head of an answer came.
    Answered(StatusCode),
    /// There was none, or not the whole of it. What a client or a plugin did wrong says nothing about an endpoint.
    Failed(ErrorKind),
}

/// Whether a status tells of the request alone, whatever the endpoint can: that it does not know the method (RFC 9110,
/// section 15.6.2), or a coding of the transfer. A client chooses both.
#[inline]
pub(super) fn is_of_request(status: StatusCode) -> bool {
    status == StatusCode::NOT_IMPLEMENTED
}

/// Whether a failure says something about an endpoint.
pub(super) fn is_its_own(kind: ErrorKind) -> bool {
    !matches!(kind.side(), Side::Client | Side::Plugin)
}
