//! The bytes of a connection of HTTP/2, on their way between h2 and the socket.

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

/// How long a connection that carries no request may be there because it does not come to its end: the endpoint does not
/// take what is to be written, resets and that it ends, or sends nothing any more.
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
    /// Since when it takes no more requests and carries none.
    rests: Option<Instant>,
    /// For that.
    rest: Timer,
    /// Why nothing can be written any more, and since when.
    lost: Option<(io::Error, Instant)>,
    _open: Open,
}

impl Wire {
    pub(super) fn new(io: Stream, state: Arc<State>, open: Open) -> Self {
        Self {
            io,
            state,
            frames: Frames::default(),
            stalled: None,
            rests: None,
            rest: Timer::default(),
            lost: None,
            timer: Timer::default(),
            _open: open,
        }
    }

    /// Who closed the connection may have said why before: that is worth more than that it is closed. A socket that cannot
    /// be written to any more has something to read, if only its end. Until that came, all is written as if to somebody:
    /// `gone` is what is told then.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
        gone: T,
    ) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(Err(error)) => {
                self.lost = Some((error, Instant::now()));
                cx.waker().wake_by_ref();
                Poll::Ready(Ok(gone))
            }
            Poll::Ready(Ok(written)) => {
                if self.stalled.take().is_some() {
                    self.state.writes();
                }
                Poll::Ready(Ok(written))
            }
            Poll::Pending => self.stall(cx).map(Err),
        }
    }

    /// What comes of a reading once nothing can be written: the end, at last, is why.
    #[cold]
    fn read_on(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<()>>,
        came: bool,
    ) -> Poll<io::Result<()>> {
        let Some((lost, since)) = &self.lost else {
            return polled;
        };
        match polled {
            Poll::Ready(Ok(())) if came => return polled,
            Poll::Ready(Err(_)) => return polled,
            Poll::Ready(Ok(())) => {}
            Poll::Pending => ready!(self.timer.poll(cx, *since + LINGER)),
        }
        Poll::Ready(Err(io::Error::new(lost.kind(), lost.to_string())))
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
                let error = io::Error::new(io::ErrorKind::TimedOut, why);
                self.state.failed(&error);
                return Poll::Ready(error);
            }
            at = Instant::now() + LINGER;
        }
    }

    /// Nothing comes now. A connection that takes no more requests and carries none is at its end, whatever h2 still has
    /// to send: a request that was given up before the endpoint let it begin waits there for ever.
    fn pause(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.state.is_over() || !self.state.is_idle() {
            return Poll::Pending;
        }
        let since = *self.rests.get_or_insert_with(Instant::now);
        ready!(self.rest.poll(cx, since + LINGER));
        let why = "it carries nothing and does not close";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
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
        let mut polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Some(bytes) = buf.filled().get(before..).filter(|it| !it.is_empty()) {
            let Self { state, frames, .. } = &mut *self;
            state.read(bytes);
            frames.read(bytes, |said| state.heard(said));
            state.came(frames.streams());
        }
        if self.lost.is_some() {
            let came = buf.filled().len() > before;
            polled = self.read_on(cx, polled, came);
        }
        if polled.is_pending() {
            polled = self.pause(cx);
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
        if self.lost.is_some() {
            return Poll::Ready(Ok(buf.len()));
        }
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(cx, polled, buf.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lost.is_some() {
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.written(cx, polled, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lost.is_some() {
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        self.written(cx, polled, ())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = bufs.iter().map(|buf| buf.len()).sum();
        if self.lost.is_some() {
            return Poll::Ready(Ok(all));
        }
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(cx, polled, all)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use socket2::SockRef;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::telemetry::metrics::Metrics;
    use crate::upstream::pool::Places;
    use crate::upstream::tests::run;

    /// GOAWAY with ENHANCE_YOUR_CALM (RFC 9113, section 6.8).
    const AWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];

    /// Both ends of a socket.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap());
        let (socket, (peer, _)) = tokio::try_join!(socket, listener.accept()).unwrap();
        (socket, peer)
    }

    fn wire(socket: TcpStream) -> (Wire, Arc<State>) {
        let places = Places::new(1, Metrics::new(1).upstream("a"));
        let (state, open) = (Arc::new(State::new()), places.take().unwrap());
        let wire = Wire::new(Stream::Plain(socket.into()), state.clone(), open);
        (wire, state)
    }

    #[test]
    fn a_connection_that_is_over_and_carries_nothing_ends_though_nothing_comes() {
        run(async {
            let (socket, _peer) = pair().await;
            let (mut wire, state) = wire(socket);
            state.ends();
            let began = Instant::now();
            wire.read_u8().await.unwrap_err();
            assert!(began.elapsed() >= LINGER);
        });
    }

    #[test]
    fn what_was_said_before_the_end_is_heard_though_nothing_can_be_written() {
        run(async {
            let (socket, peer) = pair().await;
            // So much that the reason does not stand in the first bytes.
            peer.writable().await.unwrap();
            let pings = [0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].repeat(100);
            let said = [&pings[..], &AWAY].concat();
            assert_eq!(peer.try_write(&said).unwrap(), said.len());
            SockRef::from(&peer)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(peer);
            let (mut wire, state) = wire(socket);
            let mut wire = Pin::new(&mut wire);
            for _ in 0..3 {
                let written = poll_fn(|cx| wire.as_mut().poll_write(cx, b"away")).await;
                assert_eq!(written.unwrap(), 4);
            }
            let mut read = Vec::new();
            wire.read_to_end(&mut read).await.unwrap_err();
            assert_eq!(read, said);
            assert!(state.is_accused());
        });
    }
}
