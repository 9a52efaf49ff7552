//! Sub-requests of plugins: a whole request in, a whole answer out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};

use super::{Message, SendError, Times, Upstream, send};
use crate::message::body::{Collected, Outgoing, collect};
use crate::message::{MAX_DEPTH, headers};

/// Why a sub-request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// It took longer than it may.
    Timeout,
    /// No connection; the text says why.
    Connect(String),
    /// The answer is larger than it may be.
    TooLarge,
    /// What came was not HTTP, or the connection ended first; the text says why.
    Protocol(String),
    /// Requests of gateways to themselves are nested too deep.
    LoopDetected,
}

/// Sends a request to an upstream and reads its whole answer, of at most `body_limit` bytes, until `deadline`.
///
/// `depth` is how deep the request stands: one more than the exchange it is made for. Framing and hop-by-hop fields of the request are
/// replaced, those of the answer removed.
pub async fn fetch(
    upstream: Arc<Upstream>,
    request: Request<Bytes>,
    depth: u8,
    body_limit: usize,
    deadline: Instant,
) -> Result<Response<Bytes>, FetchError> {
    if depth > MAX_DEPTH {
        return Err(FetchError::LoopDetected);
    }
    let endpoint = upstream.pick().clone();
    let (mut parts, body) = request.into_parts();
    headers::strip(&mut parts.headers, false);
    parts.headers.remove(http::header::CONTENT_LENGTH);
    parts
        .headers
        .insert(&headers::DEPTH, http::HeaderValue::from(u16::from(depth)));
    let path = parts.uri.path_and_query();
    let message = Message {
        method: &parts.method,
        path: path.ok_or_else(|| FetchError::Protocol("the request has no path".into()))?,
        host: &endpoint.authority,
        headers: &parts.headers,
        upgrade: None,
    };
    let whole = async {
        let times = Times {
            now: Instant::now(),
            deadline: None,
        };
        let (mut head, mut answer) =
            send(&upstream, &endpoint, times, message, Outgoing::full(body)).await?;
        let body = match collect(&mut answer, body_limit).await {
            Ok(Collected::Whole(body)) => body,
            Ok(Collected::Over(_)) => return Err(FetchError::TooLarge),
            Err(fault) => return Err(FetchError::Protocol(fault.to_string())),
        };
        headers::strip(&mut head.headers, false);
        head.headers.remove(http::header::CONTENT_LENGTH);
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(response)
    };
    match tokio::time::timeout_at(deadline.into(), whole).await {
        Ok(answer) => answer,
        Err(_) => Err(FetchError::Timeout),
    }
}

impl From<SendError> for FetchError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Connect(why) => Self::Connect(why),
            SendError::Saturated => Self::Connect("every connection of the pool is taken".into()),
            SendError::Timeout => Self::Timeout,
            SendError::Body(fault) => Self::Protocol(fault.to_string()),
            SendError::Protocol(why) => Self::Protocol(why),
        }
    }
}
