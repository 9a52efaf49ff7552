//! What the client gets: the body that ends an exchange.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;

use super::answer::Source;
use super::passage::Passage;
use super::stream::{Edited, Edits};
use crate::message::body::{BodyFault, Progress};
use crate::message::error::ErrorKind;

/// The body of a response on its way to the client. It owns the exchange: the last byte, or the drop before it, is the
/// end.
pub struct Body(State);

enum State {
    /// Nothing more comes.
    Over,
    /// As it comes from its source.
    Plain(Plain),
    /// Through plugins that edit it, which have the exchange until its end.
    Edited(Edits),
}

struct Plain {
    source: Source,
    tail: Tail,
}

/// What happens at the end.
pub(super) struct Tail {
    pub(super) passage: Passage,
    request: Rc<Progress>,
    deadline: Option<Instant>,
    late: Option<Pin<Box<Sleep>>>,
}

impl Body {
    /// From its source to the client, within the exchange's deadline.
    pub(super) fn plain(source: Source, passage: Passage, request: Rc<Progress>) -> Self {
        let tail = Tail::new(passage, request);
        if http_body::Body::is_end_stream(&source) {
            tail.finish();
            return Self::empty();
        }
        Self(State::Plain(Plain { source, tail }))
    }

    /// Through plugins that edit it.
    pub(super) fn edited(edits: Edits) -> Self {
        Self(State::Edited(edits))
    }

    /// No body and no exchange: that of a tunnel, which has the exchange.
    pub(super) fn empty() -> Self {
        Self(State::Over)
    }
}

impl Tail {
    pub(super) fn new(passage: Passage, request: Rc<Progress>) -> Self {
        Self {
            deadline: passage.deadline(),
            passage,
            request,
            late: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// A frame is handed over.
    pub(super) fn count(&mut self, frame: &Frame<Bytes>) {
        let length = frame.data_ref().map_or(0, Bytes::len);
        self.passage.record.bytes_out += length as u64;
    }

    /// The last byte was handed over.
    pub(super) fn finish(mut self) {
        self.passage.record.finished = true;
    }

    /// The body breaks here.
    pub(super) fn fail(mut self, kind: ErrorKind) {
        self.passage.record.error.get_or_insert(kind);
    }

    /// Whether the exchange as a whole took too long; only asked while the body waits.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        self.late
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())))
            .as_mut()
            .poll(cx)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.passage.record.bytes_in = self.request.received.get();
    }
}

impl Body {
    fn poll_plain(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let State::Plain(plain) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let failed = match Pin::new(&mut plain.source).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                plain.tail.count(&frame);
                if http_body::Body::is_end_stream(&plain.source) {
                    self.finish();
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(None) => {
                self.finish();
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(fault))) => (fault, fault.of_response()),
            Poll::Pending => {
                ready!(plain.tail.poll_late(cx));
                (BodyFault::Timeout, ErrorKind::Deadline)
            }
        };
        let (fault, kind) = failed;
        if let State::Plain(plain) = std::mem::replace(&mut self.0, State::Over) {
            plain.tail.fail(kind);
        }
        Poll::Ready(Some(Err(fault)))
    }

    fn finish(&mut self) {
        if let State::Plain(plain) = std::mem::replace(&mut self.0, State::Over) {
            plain.tail.finish();
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let State::Edited(edits) = &mut self.0 else {
            return self.poll_plain(cx);
        };
        let polled = match ready!(edits.poll(cx)) {
            Edited::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
            Edited::Fault(fault) => Some(Err(fault)),
            Edited::End => None,
        };
        self.0 = State::Over;
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::Over => true,
            State::Plain(plain) => plain.source.is_end_stream(),
            State::Edited(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Over => SizeHint::with_exact(0),
            State::Plain(plain) => plain.source.size_hint(),
            State::Edited(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
