//! The bytes of a connection of HTTP/2, on their way between hyper and the socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use super::state::State;
use crate::net::Stream;
use crate::upstream::pool::Open;
use crate::upstream::times::Timer;

/// How long a connection that carries no request may be there because the endpoint does not take what is to be written:
/// resets, and that it ends.
const LINGER: Duration = Duration::from_secs(5);

/// A stream that tells what comes over it. Its place in the pool is taken as long as the socket is open.
pub(super) struct Wire {
    io: Stream,
    state: Arc<State>,
    /// What comes, read along.
    frames: Frames,
    /// Since when the endpoint takes nothing of what is to be written.
    stalled: Option<Instant>,
    timer: Timer,
    _open: Open,
}

impl Wire {
    pub(super) fn new(io: Stream, state: Arc<State>, open: Open) -> Self {
        Self {
            io,
            state,
            frames: Frames::default(),
            stalled: None,
            timer: Timer::default(),
            _open: open,
        }
    }

    /// Who closed the connection may have said why before: that is worth more than that it is closed. The event loop may
    /// not have heard of it yet, but will: a socket that cannot be written to any more has something to read, if only
    /// its end.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if matches!(polled, Poll::Ready(Err(_))) {
            let mut read = [0; 256];
            let read = Pin::new(&mut self.io).poll_read(cx, &mut ReadBuf::new(&mut read));
            if read.is_pending() {
                return Poll::Pending;
            }
            let _said = self.noted(read);
        }
        let polled = match polled {
            Poll::Ready(_) => {
                if self.stalled.take().is_some() {
                    self.state.writes();
                }
                polled
            }
            Poll::Pending => self.stall(cx).map(Err),
        };
        self.noted(polled)
    }

    /// Nothing can be written now. Requests that wait for the endpoint have times of their own; where none is left, nobody
    /// else would ever end it.
    fn stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let since = *self.stalled.get_or_insert_with(Instant::now);
        self.state.stalls();
        let mut at = since + LINGER;
        loop {
            ready!(self.timer.poll(cx, at));
            if self.state.is_idle() {
                let why = "the endpoint takes nothing of what is sent";
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            at = Instant::now() + LINGER;
        }
    }

    fn noted<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled {
            self.state.failed(error);
        }
        polled
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Some(bytes) = buf.filled().get(before..).filter(|it| !it.is_empty()) {
            let Self { state, frames, .. } = &mut *self;
            state.read(bytes);
            frames.read(bytes, |said| state.heard(said));
        }
        self.noted(polled)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.written(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        self.written(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
