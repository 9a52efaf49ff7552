//! HTTP/2 as a client, by hyper: one connection to an endpoint carries many requests at once, in a task of its own.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request, Uri};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::time::timeout_at;

use super::endpoint::{Endpoint, Picked};
use super::error::SendError;
use super::group::Upstream;
use super::h1::Message;
use super::outcome::Outcome;
use super::places::Open;
use super::timer::Timer;
use super::times::Times;
use crate::message::body::{BodyFault, Outgoing};
use crate::message::depth::DEPTH;
use crate::message::error::ErrorKind;
use crate::message::fields::is_written_last;
use crate::message::head::{ResponseHead, is_sound};
use crate::message::headers;
use crate::net::Stream;

/// A connection that requests share; it ends when the last of them has and it is not kept any more.
#[derive(Clone)]
pub(super) struct Shared {
    requests: http2::SendRequest<Outgoing>,
    tls: bool,
    /// What it leads to: its slot is taken as long as the connection is there.
    _endpoint: Arc<Endpoint>,
}

/// Runs what hyper needs on this worker.
#[derive(Clone)]
struct OnWorker;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for OnWorker {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

impl Shared {
    /// Speaks HTTP/2 with prior knowledge (RFC 9113, 3.3) over a stream that is open. Must be called on a local runtime.
    pub(super) async fn open(
        io: Stream,
        endpoint: Arc<Endpoint>,
        open: Open,
    ) -> Result<Self, SendError> {
        let tls = matches!(io, Stream::Tls(_));
        let (address, broke) = (endpoint.target.clone(), ErrorKind::BadGateway);
        let (requests, connection) = http2::handshake(OnWorker, TokioIo::new(io))
            .await
            .map_err(|error| SendError::new(broke, format!("{address}: {error}")))?;
        tokio::task::spawn_local(async move {
            let _counted = open;
            if let Err(error) = connection.await {
                tracing::debug!(%address, %error, "a connection of HTTP/2 to an upstream failed");
            }
        });
        Ok(Self {
            requests,
            tls,
            _endpoint: endpoint,
        })
    }

    /// Whether it takes no more requests.
    pub(super) fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        mut self,
        upstream: &Upstream,
        picked: Picked,
        times: Times<'_>,
        message: Message<'_>,
        body: Outgoing,
    ) -> Result<(ResponseHead, Body), SendError> {
        let request = request(message.to(&picked.authority), self.tls, body)?;
        let patience = Instant::now() + times.first_byte(&upstream.config);
        let (at, late) = match times.deadline {
            Some(deadline) if deadline < patience => (deadline, ErrorKind::Deadline),
            _ => (patience, ErrorKind::UpstreamTimeout),
        };
        let answered = timeout_at(at.into(), self.requests.try_send_request(request)).await;
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(mut error)) => {
                // hyper gives back a request of which it sent nothing.
                let sent = error.take_message().is_none();
                return Err(SendError::protocol(error.error().to_string()).sent(sent));
            }
            Err(_) => return Err(SendError::new(late, "no answer in time").sent(true)),
        };
        let (parts, incoming) = response.into_parts();
        // HTTP/2 has no 101 either (RFC 9113, section 8.6).
        if !is_sound(parts.status) || parts.status.is_informational() {
            let why = format!("{} is no status of an answer", parts.status.as_str());
            return Err(SendError::protocol(why).sent(true));
        }
        let head = ResponseHead {
            status: parts.status,
            headers: parts.headers,
        };
        let body = Body {
            ready: None,
            incoming,
            idle: times.idle(&upstream.config),
            timer: Timer::default(),
            waiting: None,
            picked,
        };
        Ok((head, body))
    }
}

/// The request as hyper sends it. Host becomes `:authority`, and framing is HTTP/2's (RFC 9113, 8.2.2 and 8.3.1).
fn request(
    message: Message<'_>,
    tls: bool,
    body: Outgoing,
) -> Result<Request<Outgoing>, SendError> {
    let authority = message.host.map_or(&b""[..], HeaderValue::as_bytes);
    let uri = Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(authority)
        .path_and_query(message.path.clone())
        .build()
        .map_err(|error| SendError::protocol(format!("the request has no URL: {error}")))?;
    let mut request = Request::new(body);
    *request.method_mut() = message.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = message.headers.clone();
    headers::remove_where(request.headers_mut(), is_written_last);
    if let Some(mark) = message.mark {
        request.headers_mut().insert(&DEPTH, mark.clone());
    }
    Ok(request)
}

/// The body of an answer, on its stream.
pub struct Body {
    /// Bytes that were read before.
    ready: Option<Bytes>,
    incoming: Incoming,
    idle: std::time::Duration,
    timer: Timer,
    /// Since when nothing came, as long as it is waited for.
    waiting: Option<Instant>,
    /// The request is in flight until the end of this.
    picked: Picked,
}

impl Body {
    pub(super) fn prepend(&mut self, bytes: Bytes) {
        self.ready = Some(bytes).filter(|bytes| !bytes.is_empty());
    }

    fn fail(&self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.picked.ended(Outcome::Failed(fault.of_response()));
        Poll::Ready(Some(Err(fault)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Some(bytes) = self.ready.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.picked.finished();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => self.fail(BodyFault::Broken),
            Poll::Pending => {
                let since = *self.waiting.get_or_insert_with(Instant::now);
                let at = since + self.idle;
                ready!(self.timer.poll(cx, at));
                self.fail(BodyFault::Timeout)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let ready = self.ready.as_ref().map_or(0, Bytes::len) as u64;
        match self.incoming.size_hint().exact() {
            Some(exact) => SizeHint::with_exact(exact + ready),
            None => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
