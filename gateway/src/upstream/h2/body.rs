//! The body of an answer, on its stream.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::stream::{Answered, Stream};
use super::upload::Follower;
use crate::message::body::{BodyFault, Framed};
use crate::message::head::ResponseHead;
use crate::upstream::endpoint::Picked;
use crate::upstream::error::SendError;
use crate::upstream::times::Timer;

/// The body of an answer, on its stream.
pub struct Body {
    /// Bytes that were read before, and what came with the head.
    first: Option<Bytes>,
    ready: [Option<Frame<Bytes>>; 2],
    /// That was all: the stream is asked no more, which ends by a reset where the rest of the request is left.
    whole: bool,
    incoming: Framed,
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
    ///
    /// What came with the head is looked at: an answer that broke off there already is none, and one that is whole has
    /// nothing to do with the rest of the request.
    ///
    /// # Errors
    /// If the answer broke off.
    pub(in crate::upstream) async fn of(
        answered: Answered,
        stream: Stream,
        idle: Duration,
        picked: Picked,
    ) -> Result<(ResponseHead, Self), SendError> {
        let Answered {
            head,
            mut incoming,
            upload,
        } = answered;
        let mut ready = [None, None];
        for frame in &mut ready {
            let came = poll_fn(|cx| Poll::Ready(incoming.poll(cx))).await;
            match came {
                Poll::Ready(Some(Ok(came))) => *frame = Some(came),
                Poll::Ready(None) | Poll::Pending => break,
                Poll::Ready(Some(Err(error))) => {
                    let broke = upload.as_ref().is_some_and(Follower::broke);
                    return Err(broken_at_once(&stream, broke, &error));
                }
            }
            if incoming.is_end_stream() {
                break;
            }
        }
        let whole = incoming.is_end_stream();
        if whole {
            picked.finished();
            if let Some(upload) = &upload {
                upload.leave();
            }
        }
        let body = Self {
            first: None,
            ready,
            whole,
            incoming,
            idle,
            timer: Timer::default(),
            waiting: None,
            upload,
            stream,
            picked,
        };
        Ok((head, body))
    }

    /// The endpoint.
    pub(in crate::upstream) fn picked(&self) -> &Picked {
        &self.picked
    }

    pub(in crate::upstream) fn prepend(&mut self, bytes: Bytes) {
        self.first = Some(bytes).filter(|bytes| !bytes.is_empty());
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
        let first = self.first.take().map(Frame::data);
        let ready = || self.ready.iter_mut().find_map(Option::take);
        if let Some(frame) = first.or_else(ready) {
            return Poll::Ready(Some(Ok(frame)));
        }
        if self.whole {
            return Poll::Ready(None);
        }
        match self.incoming.poll(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.picked.finished();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => match self.stream.is_charged(&error) {
                true => self.fail(BodyFault::Broken),
                false => {
                    let kind = BodyFault::Broken.of_response();
                    self.picked.endpoint().cut_off(kind, false);
                    Poll::Ready(Some(Err(BodyFault::Broken)))
                }
            },
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
        let is_all = self.whole || self.incoming.is_end_stream();
        self.first.is_none() && self.ready.iter().all(Option::is_none) && is_all
    }

    fn size_hint(&self) -> SizeHint {
        let ready = self.ready.iter().flatten().filter_map(Frame::data_ref);
        let ready = ready.chain(self.first.as_ref());
        let ready: u64 = ready.map(|bytes| bytes.len() as u64).sum();
        match self.incoming.size_hint().exact() {
            Some(exact) => SizeHint::with_exact(exact + ready),
            None => SizeHint::default(),
        }
    }
}

/// The answer broke off behind its head: there is none.
#[cold]
fn broken_at_once(stream: &Stream, request_broke: bool, error: &h2::Error) -> SendError {
    if request_broke {
        return SendError::body(BodyFault::Broken).sent(true);
    }
    let why = format!("the answer broke off behind its head: {error}");
    let broken = SendError::protocol(why).sent(true);
    match stream.is_charged(error) {
        true => broken,
        false => broken.blameless(),
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
