//! What a client of gRPC gets where the gateway refuses or fails: an answer of trailers alone, with a status of gRPC
//! (gRPC over HTTP/2, "Responses"; `http-grpc-status-mapping` for which one).
//!
//! Plugins, log and metrics see the gateway's own status: only the client is told in gRPC's words.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::response;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::passage::Passage;
use crate::exchange::Parts;
use crate::message::headers;

static STATUS: HeaderName = HeaderName::from_static("grpc-status");
static MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The bytes of a message that are told.
const MOST: usize = 1024;

/// The type that the answer has to have where a call of gRPC is refused here, not by its upstream.
#[inline]
pub(super) fn refused(passage: &Passage) -> Option<HeaderValue> {
    let record = &passage.record;
    let is_own = record.upstream.is_none() || record.error.is_some();
    match is_own && passage.client.method == Method::POST {
        true => refusal(passage),
        false => None,
    }
}

#[cold]
fn refusal(passage: &Passage) -> Option<HeaderValue> {
    let head = passage.response.head.as_ref();
    let status = head.map_or(StatusCode::OK, |head| head.status);
    let asked = passage.request.headers.get(CONTENT_TYPE)?;
    let is_refused = !status.is_success() && !status.is_informational();
    (is_refused && is_call(asked.as_bytes())).then(|| asked.clone())
}

/// Whether the client asks in gRPC.
pub(super) fn asks(exchange: &Parts) -> bool {
    let kind = exchange.request.headers.get(CONTENT_TYPE);
    exchange.client.method == Method::POST && kind.is_some_and(|kind| is_call(kind.as_bytes()))
}

/// Whether the content of a request is that of a call.
fn is_call(kind: &[u8]) -> bool {
    const CALL: &[u8] = b"application/grpc";
    let Some((kind, rest)) = kind.split_at_checked(CALL.len()) else {
        return false;
    };
    kind.eq_ignore_ascii_case(CALL)
        && matches!(rest.first(), None | Some(b'+' | b';' | b'-' | b' '))
}

/// Puts a refusal into words of gRPC: `head` and `body` are those of HTTP, and no body goes out.
#[cold]
pub(super) fn translate(head: &mut response::Parts, body: Option<Bytes>, kind: HeaderValue) {
    let status = head.status;
    // Nothing of the body that there is no more.
    headers::edited(&mut head.headers);
    headers::remove_where(&mut head.headers, |name| {
        name.as_str().starts_with("content-")
    });
    // Over HTTP/2 nothing stands around a value.
    let trimmed = HeaderValue::from_bytes(kind.as_bytes().trim_ascii());
    head.headers.insert(CONTENT_TYPE, trimmed.unwrap_or(kind));
    let code = HeaderValue::from_static(code(status));
    head.headers.insert(&STATUS, code);
    let told = body.as_deref().and_then(detail);
    let told = told.unwrap_or_else(|| status.canonical_reason().unwrap_or("refused").to_owned());
    if let Ok(message) = HeaderValue::from_str(&encoded(&told)) {
        head.headers.insert(&MESSAGE, message);
    }
    head.status = StatusCode::OK;
}

/// What a problem document (RFC 9457) says.
fn detail(body: &[u8]) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| problem.get(name)?.as_str().map(str::to_owned);
    text("detail").or_else(|| text("title"))
}

/// The code for a status of HTTP.
fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        // INTERNAL, UNAUTHENTICATED, PERMISSION_DENIED, UNIMPLEMENTED, UNAVAILABLE, UNKNOWN
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502..=504 => "14",
        _ => "2",
    }
}

/// A text as `grpc-message` has it: printable ASCII, and the other bytes of its UTF-8 escaped.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MOST));
    for byte in text.bytes().take(MOST) {
        match byte {
            b'%' | 0..=0x1f | 0x7f.. => {
                // Writing to a string does not fail.
                let _written = write!(out, "%{byte:02X}");
            }
            _ => out.push(char::from(byte)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_by_its_type() {
        for kind in [
            "application/grpc",
            "Application/gRPC+proto",
            "application/grpc-web",
            "application/grpc; x",
        ] {
            assert!(is_call(kind.as_bytes()), "{kind}");
        }
        for kind in [
            "application/grpcx",
            "application/grp",
            "application/json",
            "",
        ] {
            assert!(!is_call(kind.as_bytes()), "{kind}");
        }
    }

    #[test]
    fn a_message_is_printable_ascii() {
        assert_eq!(encoded("100 %, \u{e9}\n"), "100 %25, %C3%A9%0A");
        assert_eq!(encoded(&"a".repeat(5_000)).len(), MOST);
    }
}
