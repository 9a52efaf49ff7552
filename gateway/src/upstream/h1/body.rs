//! The body of a response, on the connection that it comes on.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio_util::io::poll_read_buf;

use super::chunked::{Chunked, Step};
use super::head::{Framing, Head};
use super::sending::{Sending, Stopped};
use crate::message::body::BodyFault;
use crate::upstream::endpoint::Picked;
use crate::upstream::pool::Connection;
use crate::upstream::tunnel::Tunnel;

/// How much is read at once. What a client does not take is held in pieces of this size: larger ones move a body no
/// faster than the kernel copies it, and cost as much for every client that stalls.
const READ: usize = 16 << 10;

/// A response body that may pause for a limited time. Its connection goes back to the pool with the last byte;
/// dropped before, it is closed.
pub struct Body {
    /// Bytes that are here already.
    ready: Option<Bytes>,
    rest: Option<Box<Rest>>,
}

/// What is still to come.
struct Rest {
    connection: Box<Connection>,
    framing: State,
    /// The request, where the upstream answers before it has all of it.
    sending: Option<Sending>,
    /// The client's body broke while the answer came.
    request_broke: bool,
    reusable: bool,
    idle: Duration,
    /// Since when nothing came, as long as it is waited for.
    waiting: Option<Instant>,
    /// The request is in flight until the end of this.
    picked: Picked,
}

enum State {
    Length(u64),
    Chunked(Chunked),
    Close,
    /// The connection is a tunnel now, once it is taken.
    Switched,
}

impl Body {
    /// The body after `head`, of which `first` came together with it.
    pub(in crate::upstream) fn new(
        head: &Head,
        first: Bytes,
        mut connection: Box<Connection>,
        sending: Option<Sending>,
        idle: Duration,
        picked: Picked,
    ) -> Self {
        let mut ready = None;
        let framing = match head.framing {
            Framing::Length(length) => {
                let have = usize::try_from(length)
                    .unwrap_or(usize::MAX)
                    .min(first.len());
                ready = Some(first.slice(..have));
                // Bytes beyond the message belong to no exchange.
                if have < first.len() {
                    connection.read.extend_from_slice(&first[have..]);
                }
                State::Length(length - have as u64)
            }
            Framing::Chunked => {
                connection.read.extend_from_slice(&first);
                State::Chunked(Chunked::Size)
            }
            Framing::Close => {
                ready = Some(first);
                State::Close
            }
        };
        let rest = Rest {
            connection,
            framing,
            reusable: head.keep_alive && sending.is_none(),
            sending,
            request_broke: false,
            idle,
            waiting: None,
            picked,
        };
        let mut body = Self {
            ready: ready.filter(|bytes| !bytes.is_empty()),
            rest: None,
        };
        if matches!(rest.framing, State::Length(0)) {
            rest.picked.finished();
            rest.settle();
        } else {
            body.rest = Some(Box::new(rest));
        }
        body
    }

    /// One that is here, and on no connection.
    pub(in crate::upstream) fn whole(bytes: Bytes) -> Self {
        Self {
            ready: Some(bytes).filter(|bytes| !bytes.is_empty()),
            rest: None,
        }
    }

    /// No body: the connection speaks another protocol from here, beginning with `first`.
    pub(in crate::upstream) fn switched(
        first: Bytes,
        connection: Box<Connection>,
        idle: Duration,
        picked: Picked,
    ) -> Self {
        picked.finished();
        Self {
            ready: Some(first),
            rest: Some(Box::new(Rest {
                connection,
                framing: State::Switched,
                sending: None,
                request_broke: false,
                reusable: false,
                idle,
                waiting: None,
                picked,
            })),
        }
    }

    /// The connection after a 101.
    pub(in crate::upstream) fn into_tunnel(self) -> Option<Tunnel> {
        let rest = self
            .rest
            .filter(|rest| matches!(rest.framing, State::Switched))?;
        let (io, open) = rest.connection.into_tunnel();
        Some(Tunnel {
            io,
            first: self.ready.unwrap_or_default(),
            idle: rest.idle,
            _open: open,
            _picked: rest.picked,
        })
    }

    /// The endpoint, until the end.
    pub(in crate::upstream) fn picked(&self) -> Option<&Picked> {
        self.rest.as_ref().map(|rest| &rest.picked)
    }

    /// Puts bytes that were read before the rest again.
    pub(in crate::upstream) fn prepend(&mut self, bytes: Bytes) {
        self.ready = Some(bytes).filter(|bytes| !bytes.is_empty());
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let polled = ready!(rest.poll(cx));
        let over = match &polled {
            Some(Ok(_)) => rest.is_over(),
            Some(Err(fault)) => {
                rest.failed(*fault);
                true
            }
            None => true,
        };
        if over && !matches!(polled, Some(Err(_))) {
            rest.picked.finished();
        }
        if over && let Some(rest) = self.rest.take() {
            rest.settle();
        }
        Poll::Ready(polled)
    }
}

impl Rest {
    /// The next piece, or none at the end. At an error the connection must not be used again.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Err(fault) = self.send(cx) {
            self.reusable = false;
            return Poll::Ready(Some(Err(fault)));
        }
        loop {
            match self.step() {
                Ok(Step::Data(data)) => {
                    self.waiting = None;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Step::Trailers(trailers)) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(Step::End) => return Poll::Ready(None),
                Ok(Step::More) => {}
                Err(fault) => {
                    self.reusable = false;
                    return Poll::Ready(Some(Err(fault)));
                }
            }
            let fault = match self.receive(cx) {
                Poll::Ready(Ok(0)) if matches!(self.framing, State::Close) => {
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(0) | Err(_)) => BodyFault::Broken,
                Poll::Ready(Ok(_)) => continue,
                Poll::Pending => {
                    let since = *self.waiting.get_or_insert_with(Instant::now);
                    ready!(self.connection.timer.poll(cx, since + self.idle));
                    BodyFault::Timeout
                }
            };
            self.reusable = false;
            return Poll::Ready(Some(Err(fault)));
        }
    }

    /// Counts a broken answer; what the client did wrong with its request meanwhile says nothing about the upstream.
    fn failed(&self, fault: BodyFault) {
        if !self.request_broke {
            self.picked.failed(fault.of_response());
        }
    }

    /// Sends more of the request while the answer comes. An upstream that takes no more of it may still answer.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), BodyFault> {
        let Some(sending) = &mut self.sending else {
            return Ok(());
        };
        match sending.poll(&mut self.connection.io, cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(()) | Err(Stopped::Write(_))) => {
                self.sending = None;
                Ok(())
            }
            Poll::Ready(Err(Stopped::Body(fault))) => {
                self.request_broke = true;
                Err(fault)
            }
        }
    }

    fn step(&mut self) -> Result<Step, BodyFault> {
        let buffer = &mut self.connection.read;
        match &mut self.framing {
            State::Chunked(chunked) => chunked.step(buffer).map_err(|_| BodyFault::Broken),
            State::Length(0) => Ok(Step::End),
            State::Length(left) if !buffer.is_empty() => {
                let take = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                *left -= take as u64;
                Ok(Step::Data(buffer.split_to(take).freeze()))
            }
            State::Close if !buffer.is_empty() => Ok(Step::Data(buffer.split().freeze())),
            State::Length(_) | State::Close => Ok(Step::More),
            State::Switched => Ok(Step::End),
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let Connection { io, read, .. } = &mut *self.connection;
        if read.capacity() - read.len() < READ / 2 {
            read.reserve(READ);
        }
        poll_read_buf(Pin::new(io), cx, read)
    }

    fn is_over(&self) -> bool {
        matches!(
            self.framing,
            State::Length(0) | State::Chunked(Chunked::End)
        )
    }

    /// The end: the connection goes back if the message is over on both sides.
    fn settle(self) {
        if !self.is_over() {
            return;
        }
        if !self.connection.read.is_empty() {
            self.connection.surplus();
        } else if self.reusable && self.sending.is_none() {
            self.connection.give_back();
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
        match self.ready.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => self.poll_rest(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let ready = self.ready.as_ref().map_or(0, Bytes::len) as u64;
        match self.rest.as_ref().map(|rest| &rest.framing) {
            None => SizeHint::with_exact(ready),
            Some(State::Length(left)) => SizeHint::with_exact(ready.saturating_add(*left)),
            Some(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
