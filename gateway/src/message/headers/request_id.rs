//! By what a request is found again, in logs and at upstreams.

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

use crate::message::text::hex_digits;

/// `x-request-id`. A constant, as the names of `http` are: it is made where it is inserted, while a copy of a static goes
/// through a table of functions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is believed.
const MAX_REQUEST_ID: usize = 128;

/// The id of a request: what a trusted peer gave it, if that is at most 128 visible ASCII characters, else 128
/// random bits in hex.
pub fn request_id(headers: &HeaderMap, trusted: bool) -> HeaderValue {
    if trusted
        && let Some(id) = headers.get(X_REQUEST_ID)
        && (1..=MAX_REQUEST_ID).contains(&id.len())
        && id.as_bytes().iter().all(u8::is_ascii_graphic)
    {
        return id.clone();
    }
    let mut id = [0; 32];
    let (pairs, _) = id.as_chunks_mut();
    for (pair, byte) in pairs.iter_mut().zip(fastrand::u128(..).to_be_bytes()) {
        *pair = hex_digits(byte);
    }
    // Of an owner: its copies, one for each message, count in what is there.
    HeaderValue::from_maybe_shared(Bytes::from_owner(id)).expect("hex digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::super::tests::map;
    use super::*;

    #[test]
    fn a_request_id_is_believed_from_trusted_peers_only() {
        let long = "x".repeat(129);
        assert_eq!(request_id(&map(&[("x-request-id", "abc")]), true), "abc");
        for (id, trusted) in [
            ("abc", false),
            ("a b", true),
            ("", true),
            (long.as_str(), true),
        ] {
            let made = request_id(&map(&[("x-request-id", id)]), trusted);
            assert!(
                made.len() == 32 && made.as_bytes().iter().all(u8::is_ascii_hexdigit),
                "{id}"
            );
        }
        assert_ne!(
            request_id(&HeaderMap::new(), false),
            request_id(&HeaderMap::new(), false)
        );
    }
}
