//! Sub-requests of plugins: a whole request in, a whole answer out.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as _;

use super::connect::{Plan, SendError, send};
use super::{Connection, Upstream};
use crate::proxy::body::Outgoing;
use crate::proxy::{MAX_DEPTH, headers};

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
        .insert(http::header::HOST, endpoint.authority.clone());
    parts
        .headers
        .insert(&headers::DEPTH, http::HeaderValue::from(u16::from(depth)));
    let replayable = parts.method.is_idempotent();
    let build = || {
        let mut request = Request::new(Outgoing::full(body.clone()));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.headers_mut() = parts.headers.clone();
        request
    };
    let whole = async {
        let plan = Plan {
            replayable,
            deadline: None,
        };
        let (response, connection) = send(&upstream, &endpoint, plan, build, || true).await?;
        collect(response, connection, body_limit).await
    };
    match tokio::time::timeout_at(deadline.into(), whole).await {
        Ok(answer) => answer,
        Err(_) => Err(FetchError::Timeout),
    }
}

/// Reads the body, driving the connection, and puts the connection back.
async fn collect(
    response: Response<hyper::body::Incoming>,
    mut connection: Connection,
    limit: usize,
) -> Result<Response<Bytes>, FetchError> {
    let (mut parts, mut body) = response.into_parts();
    let mut whole = BytesMut::new();
    loop {
        let frame = poll_fn(|cx| {
            let _ended = connection.poll_drive(cx);
            Pin::new(&mut body).poll_frame(cx)
        });
        match frame.await {
            None => break,
            Some(Err(error)) => return Err(FetchError::Protocol(error.to_string())),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                if whole.len() + data.len() > limit {
                    return Err(FetchError::TooLarge);
                }
                whole.extend_from_slice(&data);
            }
        }
    }
    give_back(connection).await;
    headers::strip(&mut parts.headers, false);
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, whole.freeze()))
}

/// [`Connection::give_back`] where there is no context at hand.
async fn give_back(connection: Connection) {
    let mut connection = Some(connection);
    poll_fn(|cx| {
        if let Some(connection) = connection.take() {
            connection.give_back(cx);
        }
        Poll::Ready(())
    })
    .await;
}

impl From<SendError> for FetchError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Connect(why) => Self::Connect(why),
            SendError::Saturated => Self::Connect("every connection of the pool is taken".into()),
            SendError::Timeout => Self::Timeout,
            SendError::Protocol(why) => Self::Protocol(why),
        }
    }
}
