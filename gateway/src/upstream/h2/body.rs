//! The body of an answer, on its stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::stream::{Answered, Stream};
use super::upload::Follower;
use crate::message::body::BodyFault;
use crate::message::head::ResponseHead;
use crate::upstream::endpoint::Picked;
use crate::upstream::timer::Timer;

/// The body of an answer, on its stream.
pub struct Body {
    /// Bytes that were read before.
    ready: Option<Bytes>,
    incoming: Incoming,
    idle: Duration,
    timer: Timer,
    /// Since when nothing came, as long as it is waited for.
    waiting: Option<Instant>,
    /// What still goes out of the request ends with this.
    upload: Option<Follower>,
    stream: Stream,
    /// The request is in flight until the end of this.
    picked: Picked,
}

impl Body {
    /// The head and the body of an answer on a stream. The body may pause for as long as `idle`.
    pub(in crate::upstream) fn of(
        answered: Answered,
        stream: Stream,
        idle: Duration,
        picked: Picked,
    ) -> (ResponseHead, Self) {
        if http_body::Body::is_end_stream(&answered.incoming) {
            picked.finished();
        }
        let body = Self {
            ready: None,
            incoming: answered.incoming,
            idle,
            timer: Timer::default(),
            waiting: None,
            upload: answered.upload,
            stream,
            picked,
        };
        (answered.head, body)
    }

    /// The endpoint.
    pub(in crate::upstream) fn picked(&self) -> &Picked {
        &self.picked
    }

    pub(in crate::upstream) fn prepend(&mut self, bytes: Bytes) {
        self.ready = Some(bytes).filter(|bytes| !bytes.is_empty());
    }

    /// Counts a broken answer; what the client did wrong with its request meanwhile says nothing about the endpoint.
    fn fail(&self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if !self.upload.as_ref().is_some_and(Follower::broke) {
            self.picked.failed(fault.of_response());
        }
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
                self.stream.doubt(since);
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
