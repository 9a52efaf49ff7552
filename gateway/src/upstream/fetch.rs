//! Sub-requests of plugins: a whole request in, a whole answer out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tracing::{Instrument, Span};

use super::endpoint::{Picked, Upstream};
use super::error::SendError;
use super::h1::Message;
use super::pick::Tried;
use super::pool::Client;
use super::send::send;
use super::times::Times;
use crate::message::body::{Collected, Outgoing, collect};
use crate::message::depth::TooDeep;
use crate::message::error::ErrorKind;
use crate::message::headers;
use crate::telemetry::span;

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
    /// This upstream is a gateway, and the request came through too many already, or would behind it.
    LoopDetected(Arc<str>),
}

/// A request that a plugin makes.
#[derive(Debug)]
pub struct SubRequest {
    /// Where it goes.
    pub upstream: Arc<Upstream>,
    /// Framing and hop-by-hop fields of it are replaced.
    pub request: Request<Bytes>,
    /// How deep the exchange stands that it is made for.
    pub depth: u8,
    /// The largest body of an answer, bytes.
    pub body_limit: usize,
    /// When the answer must be whole.
    pub deadline: Instant,
    /// That of the exchange it is made for.
    pub span: Span,
}

/// Sends a sub-request and reads its whole answer, without framing and hop-by-hop fields. Its end is counted for the
/// upstream, as that of a request which a client made.
pub async fn fetch(client: Arc<Client>, sub: SubRequest) -> Result<Response<Bytes>, FetchError> {
    let picked = sub.upstream.pick(&client, None, &Tried::default());
    let picked = picked.ok_or_else(|| FetchError::Connect("no endpoint".into()))?;
    let span = span::upstream(&sub.span, &sub.upstream.name, picked.address);
    let (upstream, deadline) = (sub.upstream.clone(), sub.deadline);
    let whole = exchange(client, sub, picked).instrument(span.clone());
    let fetched = match tokio::time::timeout_at(deadline.into(), whole).await {
        Ok(fetched) => fetched,
        Err(_) => {
            upstream.metrics.failure(ErrorKind::UpstreamTimeout);
            Err(FetchError::Timeout)
        }
    };
    if let Err(error) = &fetched {
        span::failed(&span, error.kind());
    }
    fetched
}

async fn exchange(
    client: Arc<Client>,
    sub: SubRequest,
    picked: Picked,
) -> Result<Response<Bytes>, FetchError> {
    let looped = || FetchError::LoopDetected(sub.upstream.name.clone());
    let mark = sub.upstream.mark(&picked, sub.depth);
    let mark = mark.map_err(|TooDeep| looped())?;
    let (mut parts, body) = sub.request.into_parts();
    headers::strip(&mut parts.headers);
    parts.headers.remove(http::header::CONTENT_LENGTH);
    let path = parts.uri.path_and_query();
    let message = Message {
        method: &parts.method,
        path: path.ok_or_else(|| FetchError::Protocol("the request has no path".into()))?,
        host: None,
        headers: &parts.headers,
        mark: mark.as_ref(),
        upgrade: None,
        interim: None,
    };
    let times = Times {
        now: Instant::now(),
        deadline: None,
    };
    let body = Outgoing::full(body);
    let sent = send(&client, &sub.upstream, picked, times, message, body);
    let (mut head, mut answer) = sent.await?;
    if mark.is_some() && head.status == StatusCode::LOOP_DETECTED {
        return Err(looped());
    }
    let body = match collect(&mut answer, sub.body_limit).await {
        Ok(Collected::Whole(body)) => body,
        Ok(Collected::Over) => return Err(FetchError::TooLarge),
        Err(fault) => return Err(FetchError::Protocol(fault.to_string())),
    };
    headers::strip(&mut head.headers);
    head.headers.remove(http::header::CONTENT_LENGTH);
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    Ok(response)
}

impl FetchError {
    /// In the one vocabulary of failure.
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Timeout => ErrorKind::UpstreamTimeout,
            Self::Connect(_) => ErrorKind::Connect,
            Self::TooLarge => ErrorKind::ResponseTooLarge,
            Self::Protocol(_) => ErrorKind::BadGateway,
            Self::LoopDetected(_) => ErrorKind::Loop,
        }
    }
}

impl From<SendError> for FetchError {
    fn from(error: SendError) -> Self {
        match error.kind {
            ErrorKind::Connect | ErrorKind::ConnectTimeout | ErrorKind::Saturated => {
                Self::Connect(error.why)
            }
            ErrorKind::UpstreamTimeout => Self::Timeout,
            _ => Self::Protocol(error.why),
        }
    }
}
