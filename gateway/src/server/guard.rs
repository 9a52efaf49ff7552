//! What stands between the socket and hyper: it reads along, keeps the clocks of the watchdog, and refuses what
//! hyper would accept or hide.
//!
//! hyper drops Content-Length beside Transfer-Encoding, counts no control frame of HTTP/2, and knows no 414 below
//! 64 KiB. The scanners ([`h1`], [`h2`]) see the raw bytes. They allocate nothing and read no clock for a head
//! that arrives whole.

pub(super) mod clocks;
pub mod h1;
pub mod h2;
#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;
mod window;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Stream;
use clocks::{Clocks, now};

/// Which protocol is read along.
#[derive(Debug)]
pub(crate) enum Scanner {
    H1(h1::Scanner),
    H2(h2::Scanner),
}

/// The stream that hyper sees.
#[derive(Debug)]
pub struct Guarded {
    stream: Stream,
    /// Bytes that were read to find out the protocol.
    prefix: Bytes,
    scanner: Scanner,
    clocks: Arc<Clocks>,
}

impl Guarded {
    pub(crate) fn new(
        stream: Stream,
        prefix: Bytes,
        scanner: Scanner,
        clocks: Arc<Clocks>,
    ) -> Self {
        Self {
            stream,
            prefix,
            scanner,
            clocks,
        }
    }

    /// The stream without the guard.
    pub(crate) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn poll_read_raw(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let n = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix[..n]);
        self.prefix.advance(n);
        Poll::Ready(Ok(()))
    }

    /// Says why the connection ends, if nothing of another frame waits to be written.
    fn send_away(&mut self, cx: &mut Context<'_>, goaway: &[u8], flood: h2::Flood) -> io::Error {
        if self.clocks.write_since.load(Relaxed) == 0 {
            // Where there is no room or no client, nothing can be told.
            let _told = Pin::new(&mut self.stream).poll_write(cx, goaway);
        }
        io::Error::other(flood)
    }

    fn note_written(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Poll::Ready(Ok(bytes)), Scanner::H2(scanner)) = (&result, &mut self.scanner) {
            scanner.written(*bytes);
        }
        self.note_write(result)
    }

    /// Notes whether a write made progress or waits for the client.
    fn note_write<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let waiting = self.clocks.write_since.load(Relaxed);
        match &result {
            Poll::Pending if waiting == 0 => self.clocks.write_since.store(now(), Relaxed),
            Poll::Ready(_) if waiting != 0 => self.clocks.write_since.store(0, Relaxed),
            _ => {}
        }
        result
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.clocks.refuse.load(Relaxed) != 0 {
            // The watchdog, which polls hyper, answers and ends the connection: no task need be woken.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(this.poll_read_raw(cx, buf))?;
        let Some(read) = buf.filled().get(before..).filter(|read| !read.is_empty()) else {
            this.clocks.eof.store(true, Relaxed);
            return Poll::Ready(Ok(()));
        };
        match &mut this.scanner {
            Scanner::H1(scanner) => {
                let keep = scanner.scan(read, &this.clocks);
                if keep == 0 {
                    return {
                        buf.set_filled(before);
                        Poll::Pending
                    };
                }
                buf.set_filled(before + keep);
            }
            Scanner::H2(scanner) => {
                if let Err(flood) = scanner.scan(read, &this.clocks) {
                    let goaway = scanner.goaway();
                    return Poll::Ready(Err(this.send_away(cx, &goaway, flood)));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note_written(result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.stream {
            // Nothing to flush, and it must not count as progress.
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(tls) => {
                let result = Pin::new(tls.as_mut()).poll_flush(cx);
                this.note_write(result)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.note_write(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note_written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.clocks.reset.load(Relaxed)
            && let Err(error) = self.stream.tcp().set_zero_linger()
        {
            tracing::debug!(%error, "cannot reset; closing");
        }
    }
}
