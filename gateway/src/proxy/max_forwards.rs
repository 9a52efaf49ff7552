//! Max-Forwards (RFC 9110, section 7.6.2): how many gateways more an OPTIONS or TRACE may pass.

use bytes::Bytes;
use http::header::{ALLOW, MAX_FORWARDS};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::answer::Answer;
use crate::exchange::Parts;
use crate::message::head::ResponseHead;

/// What a route without `methods` allows.
const USUAL: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Counts down what is about to be forwarded. The answer, where it may not be: the gateway is its last recipient then.
/// TRACE is not reflected, since that would show fields which clients cannot see otherwise (RFC 9110, section 9.3.8).
#[inline]
pub(super) fn count_down(exchange: &mut Parts) -> Option<Answer> {
    match exchange.request.method {
        Method::OPTIONS | Method::TRACE => counted(exchange),
        _ => None,
    }
}

#[cold]
fn counted(exchange: &mut Parts) -> Option<Answer> {
    let fields = &mut exchange.request.headers;
    let left = fields.get(MAX_FORWARDS)?.to_str().ok()?;
    if left.is_empty() || !left.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More than fits is more than any way has.
    let left = left.parse().unwrap_or(u64::MAX);
    if let Some(less) = left.checked_sub(1) {
        fields.insert(MAX_FORWARDS, HeaderValue::from(less));
        return None;
    }
    let status = match exchange.request.method {
        Method::TRACE => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::OK,
    };
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(
        ALLOW,
        allowed(&exchange.route.config.matcher.predicates.methods),
    );
    let head = ResponseHead { status, headers };
    Some(Answer::whole(head, Bytes::new()))
}

/// The methods of a route, but for TRACE.
fn allowed(methods: &[Method]) -> HeaderValue {
    let names = methods.iter().filter(|method| **method != Method::TRACE);
    let names: Vec<_> = names.map(Method::as_str).collect();
    let list = names.join(", ");
    let list = HeaderValue::from_str(&list).ok();
    let list = list.filter(|list| !list.is_empty());
    list.unwrap_or(HeaderValue::from_static(USUAL))
}
