//! What the client gets: the body that ends an exchange.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::answer::Source;
use super::stream::{Edited, Edits};
use super::tail::Tail;
use crate::message::body::BodyFault;
use crate::message::error::ErrorKind;

/// The body of a response on its way to the client. It owns the exchange: the last byte, or the drop before it, is the
/// end.
pub struct Body {
    way: Way,
    /// The exchange, until its end, and unless the plugins that edit the body have it.
    tail: Option<Tail>,
}

enum Way {
    /// As it comes from its source.
    Plain(Source),
    /// Through plugins that edit it.
    Edited(Edits),
    /// It breaks here, once what came before is on its way.
    Broken(BodyFault),
}

impl Body {
    /// From its source to the client, within the exchange's deadline.
    pub(super) fn plain(source: Source, mut tail: Tail) -> Self {
        let over = source.is_end_stream();
        tail.passage.record.finished = over;
        Self {
            way: Way::Plain(source),
            tail: Some(tail).filter(|_| !over),
        }
    }

    /// Through plugins that edit it.
    pub(super) fn edited(edits: Edits) -> Self {
        Self {
            way: Way::Edited(edits),
            tail: None,
        }
    }

    /// No body and no exchange: that of a tunnel, which has the exchange.
    pub(super) fn empty() -> Self {
        Self {
            way: Way::Plain(Source::Empty),
            tail: None,
        }
    }

    /// The last byte was handed over.
    fn finish(&mut self) {
        if let Some(tail) = self.tail.take() {
            tail.finish();
        }
    }

    /// The body breaks here.
    fn fail(&mut self, kind: ErrorKind, fault: BodyFault) {
        self.way = Way::Plain(Source::Empty);
        if let Some(tail) = self.tail.take() {
            tail.fail(kind, fault);
        }
    }

    /// Tells the fault with the next call, which is at once. Hyper drops what it has not written of a response whose body
    /// breaks, the head too; where it is told to wait it writes. So the client has the bytes that came, however they were
    /// cut on their way here.
    #[cold]
    fn break_later(
        &mut self,
        fault: BodyFault,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.way = Way::Broken(fault);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        let source = match &mut this.way {
            Way::Plain(source) => source,
            Way::Edited(edits) => {
                match ready!(edits.poll(cx)) {
                    Edited::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
                    Edited::Fault(fault) => return this.break_later(fault, cx),
                    Edited::End => {}
                }
                this.way = Way::Plain(Source::Empty);
                return Poll::Ready(None);
            }
            Way::Broken(fault) => {
                let fault = *fault;
                this.way = Way::Plain(Source::Empty);
                return Poll::Ready(Some(Err(fault)));
            }
        };
        match Pin::new(&mut *source).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let over = source.is_end_stream();
                if let Some(tail) = &mut this.tail {
                    tail.count(&frame);
                }
                if over {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(fault))) => {
                this.fail(fault.of_response(), fault);
                this.break_later(fault, cx)
            }
            Poll::Pending => {
                let Some(tail) = &mut this.tail else {
                    return Poll::Pending;
                };
                ready!(tail.poll_late(cx));
                this.fail(ErrorKind::Deadline, BodyFault::Timeout);
                Poll::Ready(Some(Err(BodyFault::Timeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.way {
            Way::Plain(source) => source.is_end_stream(),
            Way::Edited(_) | Way::Broken(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.way {
            Way::Plain(source) => source.size_hint(),
            Way::Edited(_) | Way::Broken(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
