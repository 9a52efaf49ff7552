//! Bodies of requests: what a client sends, what goes upstream, and what it takes to hold one whole.
//!
//! Nothing here is held longer than a frame, and timers exist only where a peer makes us wait.

mod client;
mod copy;
mod framed;
mod outgoing;
mod pace;
mod received;
mod teed;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;

use super::coding::CodingFault;
use super::error::ErrorKind;

pub use client::{ClientBody, Progress, discard};
pub use copy::BodyCopy;
pub use framed::{Framed, send};
pub use outgoing::Outgoing;
pub use pace::Pace;
pub use received::Received;
pub use teed::{Teed, Uncopied, Whole};

/// Whether requests of this method usually carry a body, which every server reads. What comes with another one may be
/// left unread, and be taken for the next request (RFC 9110, section 9.3.1).
pub fn is_expected(method: &Method) -> bool {
    matches!(
        *method,
        Method::POST | Method::PUT | Method::PATCH | Method::QUERY
    )
}

/// Why a body broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// More bytes than the limit.
    #[error("the body is larger than the limit")]
    TooLarge,
    /// Nothing came for too long, or too little.
    #[error("the body did not arrive in time")]
    Timeout,
    /// The peer broke it off, or its framing is wrong.
    #[error("the body broke off")]
    Broken,
    /// A trailer has a name that the listener refuses.
    #[error("a trailer has a name that is refused")]
    Name,
    /// A plugin refused a chunk.
    #[error("a plugin refused a chunk")]
    Plugin,
    /// It is not what its Content-Encoding says, or decodes to more than it may.
    #[error("the body cannot be decoded: {0}")]
    Coding(CodingFault),
}

impl BodyFault {
    /// What it means for the body of a request.
    pub fn of_request(self) -> ErrorKind {
        match self {
            Self::TooLarge => ErrorKind::BodyTooLarge,
            Self::Timeout => ErrorKind::BodyTimeout,
            Self::Broken | Self::Coding(CodingFault::Broken(..)) => ErrorKind::BodyBroken,
            Self::Coding(CodingFault::TooLarge | CodingFault::Ratio) => ErrorKind::BodyTooLarge,
            Self::Name => ErrorKind::Refused,
            Self::Plugin => ErrorKind::Plugin,
        }
    }

    /// What it means for the body of a response.
    pub fn of_response(self) -> ErrorKind {
        match self {
            Self::TooLarge | Self::Coding(CodingFault::TooLarge | CodingFault::Ratio) => {
                ErrorKind::ResponseTooLarge
            }
            Self::Timeout | Self::Broken | Self::Name | Self::Coding(CodingFault::Broken(..)) => {
                ErrorKind::ResponseBroken
            }
            Self::Plugin => ErrorKind::Plugin,
        }
    }

    /// The same in words, which name what an operator can change.
    pub fn words_of_response(self) -> String {
        match self {
            Self::Timeout => {
                "the body of the answer paused for longer than `timeouts.idle` of the upstream"
                    .to_owned()
            }
            Self::Broken => {
                "the body of the answer broke off, or its framing is not well formed".to_owned()
            }
            fault => format!("the body of the answer: {fault}"),
        }
    }
}

/// Reads a body that was asked for whole.
///
/// # Errors
/// The body's fault. Growing over `limit` is none.
pub async fn collect<B>(body: &mut B, limit: usize) -> Result<Collected, BodyFault>
where
    B: http_body::Body<Data = Bytes, Error = BodyFault> + Unpin,
{
    let mut whole = bytes::BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers do not outlive a body that is held: nothing carries them on.
        if let Ok(data) = frame?.into_data() {
            whole.extend_from_slice(&data);
        }
        if whole.len() > limit {
            return Ok(Collected::Over);
        }
    }
    Ok(Collected::Whole(whole.freeze()))
}

/// What [`collect`] read.
#[derive(Debug)]
pub enum Collected {
    /// All of it.
    Whole(Bytes),
    /// More than the limit; the rest is still in the body.
    Over,
}
