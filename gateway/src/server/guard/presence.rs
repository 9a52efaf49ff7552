//! Whether the client of an HTTP/1 request is there while it is served.
//!
//! hyper reads nothing between the end of a request and its answer. So what comes meanwhile is read ahead: bytes are
//! the next request, which hyper gets in its turn; an end or an error is a client that has left, and everything that
//! hangs on its request ends with the connection. Where nothing comes this is one look at what the event loop knows.
//!
//! Where bytes wait that may not be read yet, of a body that goes nowhere for one, the socket is asked now and then
//! whether it was reset, or ended behind them.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::Guarded;
use crate::config::HalfClose;

/// How much is read ahead at most, and at once.
const AHEAD: usize = 4096;
const PIECE: usize = 1024;

impl Guarded {
    /// Looks for the client of the request that is served.
    ///
    /// # Errors
    /// When it has left.
    pub(super) fn watch(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(error) = self.gone.take() {
            return Err(error);
        }
        if self.is_quiet(cx)? {
            self.clocks.unwatched.store(false, Relaxed);
            return Ok(());
        }
        self.clocks.unwatched.store(true, Relaxed);
        match self.clocks.look.swap(false, Relaxed) {
            true => self.look(),
            false => Ok(()),
        }
    }

    /// Asks the socket for an end that bytes hide which wait to be read.
    fn look(&self) -> io::Result<()> {
        let socket = self.stream.socket();
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match self.half_close {
            HalfClose::Abort if socket.has_said_all()? => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Whether the task is woken by whatever comes.
    fn is_quiet(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.said_all {
            return Ok(false);
        }
        let clocks = &self.clocks;
        if clocks.body_to_come.load(Relaxed) || clocks.refuse.load(Relaxed) != 0 {
            return Ok(self.stream.socket().poll_read_ready(cx)?.is_pending());
        }
        self.read_ahead(cx)
    }

    fn read_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut piece = [MaybeUninit::uninit(); PIECE];
        while self.prefix.len() < AHEAD {
            let mut piece = ReadBuf::uninit(&mut piece);
            match Pin::new(&mut self.stream).poll_read(cx, &mut piece) {
                Poll::Pending => return Ok(true),
                Poll::Ready(Ok(())) => {}
                // TLS whose end TCP alone told.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
            if piece.filled().is_empty() {
                self.clocks.eof.store(true, Relaxed);
                self.said_all = true;
                return match self.half_close {
                    HalfClose::Abort => Err(io::ErrorKind::UnexpectedEof.into()),
                    HalfClose::Answer => Ok(false),
                };
            }
            self.prefix = [&self.prefix[..], piece.filled()].concat().into();
        }
        Ok(false)
    }
}
