//! One request on a stream of a connection.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::time::timeout_at;

use super::connection::Shared;
use super::fate::{Fate, Unanswered, explain};
use super::kept::Kept;
use super::request::{length, request};
use super::upload::{Follower, Upload};
use crate::config;
use crate::message::body::{Framed, Outgoing, send};
use crate::message::error::ErrorKind;
use crate::message::head::{ResponseHead, is_sound};
use crate::message::headers;
use crate::message::interim::Interim;
use crate::upstream::error::{MAX_INFORMATIONAL, SendError, TOO_MANY_INFORMATIONAL};
use crate::upstream::h1::Message;
use crate::upstream::times::{Silence, Times};

/// A stream that is taken, until this is dropped.
pub(in crate::upstream) struct Stream {
    connection: Shared,
    /// Whether it is of a connection that had answered before.
    kept: bool,
    home: Arc<Kept>,
}

/// The answer to a request: its head, and what its body comes of.
pub(in crate::upstream) struct Answered {
    pub(super) head: ResponseHead,
    pub(super) incoming: Framed,
    pub(super) upload: Option<Follower>,
}

impl Stream {
    pub(super) fn new(connection: Shared, home: Arc<Kept>) -> Self {
        let kept = connection.state.has_answered();
        Self {
            connection,
            kept,
            home,
        }
    }

    /// Sends a request and waits for the head of the answer, as long as it may take from when all of the request that
    /// there is was sent.
    pub(in crate::upstream) async fn send(
        &self,
        message: Message<'_>,
        authority: &HeaderValue,
        body: Outgoing,
        upstream: &config::Upstream,
        times: Times<'_>,
        silence: &mut Silence,
    ) -> Result<Answered, Unanswered> {
        let (upload, follower) = Upload::new(body);
        let (request, upload) = self.request(message.to(authority), upload)?;
        let is_head = request.method() == Method::HEAD;
        let began = Instant::now();
        let streams = follower.is_some();
        *silence = match &follower {
            None => Silence::Endpoint(began),
            Some(follower) => Silence::Upload(follower.course()),
        };
        let (limit, end) = times.answer(upstream, began, streams);
        let mut awaited = self.begin(request, upload, follower.as_ref()).await?;
        let response = loop {
            let since = match &follower {
                None => Some(began),
                Some(follower) => follower.since(),
            };
            let patience = since.unwrap_or_else(Instant::now) + limit;
            let (at, late) = match end {
                Some(end) if end.at < patience => (end.at, end.kind),
                _ => (patience, ErrorKind::UpstreamTimeout),
            };
            // While the client still sends its body, only the deadline counts: the body has a clock of its own.
            let waits_for_client = since.is_none() && late == ErrorKind::UpstreamTimeout;
            if !waits_for_client && at <= Instant::now() {
                self.doubt(began);
                return Err(SendError::new(late, "no answer in time").sent(true).into());
            }
            let answered = poll_fn(|cx| awaited.poll(message.interim, cx));
            match timeout_at(at.into(), answered).await {
                Ok(Ok(response)) => break response,
                Ok(Err(Unfit::Odd(why))) => {
                    return Err(SendError::protocol(why).sent(true).into());
                }
                Ok(Err(Unfit::Failed(error))) => {
                    let number = awaited.answer.stream_id().as_u32();
                    return Err(self.explain(&error, None, follower.as_ref(), number));
                }
                Err(_) => {}
            }
        };
        self.connection.state.answers();
        if let Some(follower) = &follower {
            follower.answered();
        }
        let (parts, data) = response.into_parts();
        if !is_sound(parts.status) {
            let why = odd(parts.status);
            return Err(SendError::protocol(why).sent(true).into());
        }
        if parts.headers.values().any(headers::is_padded) {
            let why = "HTTP/2: a field value begins or ends with white space";
            return Err(SendError::protocol(why).sent(true).into());
        }
        let has_none = is_head
            || matches!(
                parts.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        Ok(Answered {
            incoming: match has_none {
                true => Framed::none(data),
                false => Framed::new(data, &parts.headers),
            },
            head: ResponseHead {
                status: parts.status,
                headers: parts.headers,
            },
            upload: follower,
        })
    }

    /// The head of a request that the endpoint takes.
    fn request(
        &self,
        message: Message<'_>,
        upload: Upload,
    ) -> Result<(Request<()>, Upload), Unanswered> {
        let is_tls = self.connection.tls.is_some();
        let request = match request(message, is_tls, upload.size_hint().exact()) {
            Ok(request) => request,
            Err(error) => return Err(error.with(Some(upload.into_body())).into()),
        };
        if let Some(longest) = self.connection.state.longest_head()
            && let length = length(&request)
            && length > longest
        {
            let why = format!(
                "the head of the request has {length} bytes, and the service behind this gateway takes {longest}"
            );
            let error = SendError::new(ErrorKind::HeadTooLong, why);
            return Err(error.with(Some(upload.into_body())).into());
        }
        Ok((request, upload))
    }

    /// Sends the head, and has the body follow.
    async fn begin(
        &self,
        request: Request<()>,
        upload: Upload,
        follower: Option<&Follower>,
    ) -> Result<Awaited, Unanswered> {
        let mut requests = self.connection.requests.clone();
        let ends = upload.is_end_stream();
        let ready = poll_fn(|cx| requests.poll_ready(cx)).await;
        match ready.and_then(|()| requests.send_request(request, ends)) {
            Ok((answer, stream)) => {
                if !ends {
                    carry(stream, upload).await;
                }
                Ok(Awaited {
                    answer,
                    informational: 0,
                })
            }
            Err(error) => Err(self.explain(&error, Some(upload.into_body()), follower, 0)),
        }
    }

    /// What the endpoint is charged with: one broken connection is one failure, whatever it carried.
    pub(in crate::upstream) fn charged(&self, error: SendError, fate: Fate) -> SendError {
        match fate {
            Fate::Refused | Fate::Failed => error,
            _ if self.connection.state.is_told_now() => error,
            _ => error.blameless(),
        }
    }

    /// Whether a broken answer is to be told of: not where the connection broke, and another request has.
    pub(super) fn is_charged(&self, error: &h2::Error) -> bool {
        error.is_reset() || self.connection.state.is_told_now()
    }

    /// Nothing came on the stream that was waited for since then.
    pub(super) fn doubt(&self, since: Instant) {
        self.connection.state.doubt(since);
    }

    fn explain(
        &self,
        error: &h2::Error,
        unsent: Option<Outgoing>,
        follower: Option<&Follower>,
        number: u32,
    ) -> Unanswered {
        let connection = (&*self.connection.state, self.kept);
        explain(connection, error, unsent, follower, number)
    }
}

/// An answer that is waited for.
struct Awaited {
    answer: ResponseFuture,
    /// How many came that say nothing yet.
    informational: u8,
}

/// Why an answer is none.
enum Unfit {
    /// The stream ended.
    Failed(h2::Error),
    /// It is none of HTTP/2.
    Odd(String),
}

impl Awaited {
    /// The head of the answer. What goes before it goes to `interim`.
    fn poll(
        &mut self,
        interim: Option<&Interim>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RecvStream>, Unfit>> {
        while let Poll::Ready(Some(informed)) = self.answer.poll_informational(cx) {
            let (parts, ()) = informed.map_err(Unfit::Failed)?.into_parts();
            self.informational += 1;
            // HTTP/2 has no 101 (RFC 9113, section 8.6).
            if parts.status == StatusCode::SWITCHING_PROTOCOLS {
                return Poll::Ready(Err(Unfit::Odd(odd(parts.status))));
            }
            if self.informational > MAX_INFORMATIONAL {
                return Poll::Ready(Err(Unfit::Odd(TOO_MANY_INFORMATIONAL.into())));
            }
            if let Some(interim) = interim {
                interim.add(parts.status, parts.headers);
            }
        }
        Pin::new(&mut self.answer).poll(cx).map_err(Unfit::Failed)
    }
}

fn odd(status: StatusCode) -> String {
    format!("{} is no status of an answer", status.as_str())
}

/// Sends a body: now, as far as there is room, and the rest by a task.
async fn carry(stream: SendStream<Bytes>, upload: Upload) {
    // How it goes on its follower knows. The endpoint learns one thing of what went wrong here.
    let mut sending = Box::pin(send(stream, upload, Reason::CANCEL, |_| {}));
    let now = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await;
    if now.is_pending() {
        tokio::task::spawn_local(async move {
            if let Err(error) = sending.await {
                tracing::debug!(%error, "a request broke on its way over HTTP/2");
            }
        });
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.state.give_back();
        self.home.rests(&self.connection);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
