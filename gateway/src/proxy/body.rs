//! What the client gets: the body that ends an exchange.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use crate::message::body::{BodyFault, Progress};
use crate::proxy::exchange::Exchange;
use crate::upstream::ResponseBody;

/// The body of a response on its way to the client. It owns the exchange: the last byte, or the drop before
/// it, is the end.
pub struct Body {
    source: Source,
    tail: Option<Tail>,
}

enum Source {
    Empty,
    Full(Bytes),
    Upstream(ResponseBody),
    Edited(mpsc::Receiver<Edited>),
}

/// A step of a response body that plugins edit. The exchange is with them until the end.
pub(super) enum Edited {
    /// A frame to send.
    Frame(Frame<Bytes>),
    /// The body breaks here.
    Fault(BodyFault),
    /// Nothing follows.
    End(Box<Exchange>),
}

/// What happens at the end.
struct Tail {
    exchange: Box<Exchange>,
    request: Option<Rc<Progress>>,
    deadline: Option<Instant>,
    late: Option<Pin<Box<Sleep>>>,
}

impl Body {
    /// A body held in memory.
    pub fn full(bytes: Bytes, exchange: Box<Exchange>, request: Option<Rc<Progress>>) -> Self {
        let source = if bytes.is_empty() {
            Source::Empty
        } else {
            Source::Full(bytes)
        };
        Self::new(source, exchange, request, None)
    }

    /// As it comes from the upstream.
    pub(super) fn upstream(
        body: ResponseBody,
        exchange: Box<Exchange>,
        request: Option<Rc<Progress>>,
        deadline: Option<Instant>,
    ) -> Self {
        Self::new(Source::Upstream(body), exchange, request, deadline)
    }

    /// As it comes from plugins that edit it.
    pub(super) fn edited(frames: mpsc::Receiver<Edited>) -> Self {
        Self {
            source: Source::Edited(frames),
            tail: None,
        }
    }

    /// No body and no exchange: for what is answered before there is one.
    pub fn empty() -> Self {
        Self {
            source: Source::Empty,
            tail: None,
        }
    }

    fn new(
        source: Source,
        exchange: Box<Exchange>,
        request: Option<Rc<Progress>>,
        deadline: Option<Instant>,
    ) -> Self {
        let mut body = Self {
            source,
            tail: Some(Tail {
                exchange,
                request,
                deadline,
                late: None,
            }),
        };
        if http_body::Body::is_end_stream(&body) {
            body.finish();
        }
        body
    }

    /// The last byte was handed over.
    fn finish(&mut self) {
        if let Some(mut tail) = self.tail.take() {
            tail.exchange.record.finished = true;
            tail.count_request();
        }
    }
}

impl Tail {
    fn count_request(&mut self) {
        if let Some(request) = &self.request {
            self.exchange.record.bytes_in = request.received.get();
        }
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
        self.count_request();
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
        let polled = match &mut this.source {
            Source::Empty => Poll::Ready(None),
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                this.source = Source::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Source::Upstream(body) => Pin::new(body).poll_frame(cx),
            Source::Edited(frames) => match ready!(frames.poll_recv(cx)) {
                Some(Edited::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Some(Edited::Fault(fault)) => Poll::Ready(Some(Err(fault))),
                Some(Edited::End(mut exchange)) => {
                    exchange.record.finished = true;
                    Poll::Ready(None)
                }
                None => Poll::Ready(Some(Err(BodyFault::Broken))),
            },
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(tail), Some(data)) = (&mut this.tail, frame.data_ref()) {
                    tail.exchange.record.bytes_out += data.len() as u64;
                }
                if http_body::Body::is_end_stream(this) {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(fault))) => {
                this.source = Source::Empty;
                if let Some(tail) = &mut this.tail {
                    tail.exchange.record.error.get_or_insert("response_broken");
                }
                this.tail = None;
                Poll::Ready(Some(Err(fault)))
            }
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let Some(tail) = &mut this.tail else {
                    return Poll::Pending;
                };
                ready!(tail.poll_late(cx));
                tail.exchange.record.error = Some("deadline");
                this.source = Source::Empty;
                this.tail = None;
                Poll::Ready(Some(Err(BodyFault::Timeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Full(bytes) => bytes.is_empty(),
            Source::Upstream(body) => body.is_end_stream(),
            Source::Edited(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Upstream(body) => body.size_hint(),
            Source::Edited(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
