//! The bytes of a connection of HTTP/2, on their way between hyper and the socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use super::state::State;
use crate::net::Stream;
use crate::upstream::places::Open;

/// A stream that tells what comes over it. Its place in the pool is taken as long as the socket is open.
pub(super) struct Wire {
    io: Stream,
    state: Arc<State>,
    /// What comes, read along.
    frames: Frames,
    _open: Open,
}

impl Wire {
    pub(super) fn new(io: Stream, state: Arc<State>, open: Open) -> Self {
        Self {
            io,
            state,
            frames: Frames::default(),
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
        self.noted(polled)
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
        Pin::new(&mut self.io).poll_shutdown(cx)
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
