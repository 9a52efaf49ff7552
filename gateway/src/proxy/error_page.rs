//! What stands for the gateway's own words where it refuses or fails: `errors` of the configuration.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::answer::Answer;
use super::fill::Filling;
use super::grpc;
use crate::config::ErrorPage;
use crate::error::Error;
use crate::exchange::Parts;
use crate::message::head::ResponseHead;

/// What a client gets for a failure: the page that the configuration has for it, else a problem document.
#[cold]
pub(super) fn of_failure(exchange: &Parts, error: &Error) -> (ResponseHead, Bytes) {
    let (failed, id) = (error.status(), Some(&exchange.client.id));
    let Some(page) = page(exchange, failed) else {
        return error.response(failed, id);
    };
    let status = page.status.unwrap_or(failed);
    let (mut head, body) = error.response(status, id);
    let detail = error.detail();
    let filling = Filling::of_failure(exchange, failed, &detail);
    let body = put(page, filling, &mut head.headers).unwrap_or(body);
    (head, body)
}

/// Puts a page in the place of an answer that is no failure, but the gateway's own refusal all the same.
#[cold]
pub(super) fn over(exchange: &Parts, mut answer: Answer) -> Answer {
    let failed = answer.head.status;
    let Some(page) = page(exchange, failed) else {
        return answer;
    };
    answer.head.status = page.status.unwrap_or(failed);
    let reason = failed.canonical_reason().unwrap_or_default();
    let filling = Filling::of_failure(exchange, failed, reason);
    match put(page, filling, &mut answer.head.headers) {
        Some(body) => Answer::whole(answer.head, body),
        None => answer,
    }
}

/// The page for a status. What clients of gRPC are told is in gRPC's words.
fn page(exchange: &Parts, status: StatusCode) -> Option<&ErrorPage> {
    let page = exchange.route.config.errors.page(status)?;
    (!grpc::asks(exchange)).then_some(page)
}

/// Writes the fields of a page over those that are there; its body, if it has one.
fn put(page: &ErrorPage, filling: Filling<'_>, headers: &mut HeaderMap) -> Option<Bytes> {
    let body = page.body.as_ref().map(|body| filling.body(body));
    if body.as_ref().is_some_and(Bytes::is_empty) {
        headers.remove(header::CONTENT_TYPE);
    }
    for (name, text) in &page.headers {
        let value: Option<HeaderValue> = filling.field(text);
        if let Some(value) = value {
            headers.insert(name.clone(), value);
        }
    }
    body
}
