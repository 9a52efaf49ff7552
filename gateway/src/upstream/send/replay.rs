//! A request that can go out more than once.

use bytes::Bytes;
use http::Method;

use crate::message::body::Outgoing;
use crate::upstream::error::SendError;

/// A request whose body is empty or held. A streamed body cannot be sent twice.
#[derive(Debug)]
pub struct Replayable<'a> {
    method: &'a Method,
    body: Bytes,
}

impl<'a> Replayable<'a> {
    /// None where the body streams.
    pub fn of(method: &'a Method, body: &Outgoing) -> Option<Self> {
        let body = match body {
            Outgoing::Empty => Bytes::new(),
            Outgoing::Full(bytes) => bytes.clone(),
            Outgoing::Client(_)
            | Outgoing::Edited(_)
            | Outgoing::Decoded(_)
            | Outgoing::Begun(_)
            | Outgoing::Teed(_) => return None,
        };
        Some(Self { method, body })
    }

    /// Whether it may go out again after this failure: nothing of it was sent, or the method is idempotent
    /// (RFC 9110, section 9.2.2).
    pub fn may_follow(&self, error: &SendError) -> bool {
        !error.sent || self.method.is_idempotent()
    }

    /// The body once more.
    pub fn body(&self) -> Outgoing {
        Outgoing::full(self.body.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::error::ErrorKind;

    #[test]
    fn what_was_sent_goes_out_again_only_if_it_is_idempotent() {
        for (method, sent, may) in [
            (Method::GET, true, true),
            (Method::PUT, true, true),
            (Method::POST, true, false),
            (Method::PATCH, true, false),
            (Method::POST, false, true),
        ] {
            let body = Outgoing::full(Bytes::from_static(b"held"));
            let request = Replayable::of(&method, &body).unwrap();
            let error = SendError::new(ErrorKind::BadGateway, "reset").sent(sent);
            assert_eq!(request.may_follow(&error), may, "{method}, sent: {sent}");
            assert!(matches!(request.body(), Outgoing::Full(bytes) if bytes == "held"));
        }
    }
}
