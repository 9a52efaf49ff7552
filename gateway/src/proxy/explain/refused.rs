//! What the gateway answers where a request goes no further.

use http::StatusCode;
use serde::Serialize;

use crate::message::path::ENCODED_SLASH;
use crate::proxy::normalise::Refusal;

/// An answer of the gateway's own for a request that it refuses.
#[derive(Debug, Serialize)]
pub struct Refused {
    /// Its status.
    pub status: u16,
    /// Why.
    pub reason: String,
}

impl Refused {
    /// A path with an escaped slash, which no route keeps.
    pub(super) fn encoded_slash() -> Self {
        Self {
            status: StatusCode::BAD_REQUEST.as_u16(),
            reason: ENCODED_SLASH.reason().to_owned(),
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: refusal.status.as_u16(),
            reason: refusal.reason.to_owned(),
        }
    }
}
