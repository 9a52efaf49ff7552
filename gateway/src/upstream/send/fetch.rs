//! Sub-requests of plugins: a whole request in, a whole answer out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HOST};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::time::timeout_at;
use tracing::{Instrument, Span};

use super::{Order, send};
use crate::message::body::{BodyFault, Collected, Outgoing, collect};
use crate::message::coding::{CodingFault, Decoded, Decoder, Limits, codings};
use crate::message::depth::TooDeep;
use crate::message::error::ErrorKind;
use crate::message::head::ResponseHead;
use crate::message::headers;
use crate::telemetry::span;
use crate::upstream::balance::Tried;
use crate::upstream::body::ResponseBody;
use crate::upstream::endpoint::Picked;
use crate::upstream::error::SendError;
use crate::upstream::group::Upstream;
use crate::upstream::h1::Message;
use crate::upstream::pool::Client;
use crate::upstream::times::Times;

/// Why a sub-request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// It took longer than it may.
    Timeout,
    /// No connection within the time for that; the text says why.
    ConnectTimeout(String),
    /// No connection; the text says why.
    Connect(String),
    /// No endpoint takes requests; the text says why.
    NoEndpoint(String),
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
    /// What leads it to an endpoint there ([`Upstream::key`]).
    pub key: Option<u64>,
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
    let pass = sub.upstream.admit(true);
    let pass = pass.map_err(|held| FetchError::Connect(held.to_string()))?;
    let picked = sub.upstream.pick(&client, sub.key, &Tried::default());
    let picked = picked.ok_or_else(|| sub.upstream.refuse())?;
    let picked = picked.with(pass);
    let span = span::upstream(&sub.span, &sub.upstream.name, &picked.target);
    let deadline = sub.deadline;
    let whole = exchange(client, sub, picked).instrument(span.clone());
    // What is late tells its endpoint.
    let fetched = timeout_at(deadline.into(), whole).await;
    let fetched = fetched.unwrap_or(Err(FetchError::Timeout));
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
    parts.headers.remove(CONTENT_LENGTH);
    // A plugin reads bytes, not codings.
    let identity = HeaderValue::from_static("identity");
    parts.headers.insert(ACCEPT_ENCODING, identity);
    let host = parts.headers.remove(HOST);
    let path = parts.uri.path_and_query();
    let message = Message {
        method: &parts.method,
        path: path.ok_or_else(|| FetchError::Protocol("the request has no path".into()))?,
        host: host.as_ref(),
        headers: &parts.headers,
        mark: mark.as_ref(),
        upgrade: None,
        interim: None,
    };
    let body = Outgoing::full(body);
    let order = Order {
        client: &client,
        upstream: &sub.upstream,
        times: Times::new(Instant::now()).until(sub.deadline),
        message,
    };
    let (mut head, mut answer) = send(&order, picked, body).await?;
    if mark.is_some() && head.status == StatusCode::LOOP_DETECTED {
        return Err(looped());
    }
    let decoder = decoder(&mut head, &answer, sub.body_limit)?;
    let collected = match decoder {
        None => {
            let collected = collect(&mut answer, sub.body_limit);
            match timeout_at(sub.deadline.into(), collected).await {
                Ok(collected) => collected,
                Err(_) => {
                    answer.is_late();
                    return Err(FetchError::Timeout);
                }
            }
        }
        Some(decoder) => {
            let mut decoded = Box::new(Decoded::new(answer, decoder));
            collect(&mut decoded, sub.body_limit).await
        }
    };
    let body = match collected {
        Ok(Collected::Whole(body)) => body,
        Ok(Collected::Over) | Err(BodyFault::Coding(CodingFault::TooLarge)) => {
            return Err(FetchError::TooLarge);
        }
        Err(fault) => return Err(FetchError::Protocol(fault.to_string())),
    };
    headers::strip(&mut head.headers);
    head.headers.remove(CONTENT_LENGTH);
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    Ok(response)
}

/// What decodes an answer that comes coded, though nobody asked for that; its fields speak of the decoded one then.
fn decoder(
    head: &mut ResponseHead,
    answer: &ResponseBody,
    limit: usize,
) -> Result<Option<Decoder>, FetchError> {
    if answer.is_end_stream() || !head.headers.contains_key(CONTENT_ENCODING) {
        return Ok(None);
    }
    let unread = |why: String| FetchError::Protocol(format!("the answer cannot be decoded: {why}"));
    let codings = codings(&head.headers).map_err(|unknown| unread(unknown.to_string()))?;
    head.headers.remove(CONTENT_ENCODING);
    let Some(codings) = codings else {
        return Ok(None);
    };
    if head.status == StatusCode::PARTIAL_CONTENT {
        return Err(unread("it is a part of a coded body".to_owned()));
    }
    headers::edited(&mut head.headers);
    let limits = Limits::new(u64::try_from(limit).unwrap_or(u64::MAX));
    let decoder = Decoder::within_room(&codings, limits);
    let full = || unread("too many coded bodies are being decoded at once".to_owned());
    decoder.ok_or_else(full).map(Some)
}

impl FetchError {
    /// In the one vocabulary of failure.
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Timeout => ErrorKind::UpstreamTimeout,
            Self::ConnectTimeout(_) => ErrorKind::ConnectTimeout,
            Self::Connect(_) => ErrorKind::Connect,
            Self::NoEndpoint(_) => ErrorKind::NoEndpoint,
            Self::TooLarge => ErrorKind::ResponseTooLarge,
            Self::Protocol(_) => ErrorKind::BadGateway,
            Self::LoopDetected(_) => ErrorKind::Loop,
        }
    }
}

impl From<SendError> for FetchError {
    fn from(error: SendError) -> Self {
        match error.kind {
            ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Saturated => Self::Connect(error.why),
            ErrorKind::ConnectTimeout => Self::ConnectTimeout(error.why),
            ErrorKind::NoEndpoint => Self::NoEndpoint(error.why),
            ErrorKind::UpstreamTimeout => Self::Timeout,
            _ => Self::Protocol(error.why),
        }
    }
}
