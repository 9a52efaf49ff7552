//! Placeholder of the host branch: the lead's module takes its place.
#![allow(missing_docs, reason = "a placeholder")]

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

#[derive(Debug)]
pub struct Upstream {
    pub name: Arc<str>,
}

#[derive(Debug)]
pub enum FetchError {
    Timeout,
    Connect(String),
    TooLarge,
    Protocol(String),
    LoopDetected,
}

pub async fn fetch(
    upstream: Arc<Upstream>,
    request: http::Request<Bytes>,
    _depth: u8,
    _body_limit: usize,
    _deadline: Instant,
) -> Result<http::Response<Bytes>, FetchError> {
    let text = format!("{} {}", upstream.name, request.uri());
    Ok(http::Response::new(Bytes::from(text)))
}
