//! What stands between the socket and hyper: it reads along, keeps the clocks of the watchdog, and refuses what
//! hyper would accept or hide.
//!
//! hyper drops Content-Length beside Transfer-Encoding, counts no control frame of HTTP/2, and knows no 414 below
//! 64 KiB. The scanners ([`h1`], [`h2`]) see the raw bytes. They allocate nothing and read no clock for a head
//! that arrives whole.
//!
//! Two things hold whatever a client sends:
//!
//! - **No verdict depends on how the stream is cut.** TCP cuts it where the client likes.
//! - **The guard is never blind.** It passes nothing on that it has not read, and hyper is shown no byte behind the
//!   point where the two could disagree on the end of a request: there the connection ends with the request in hand.
//!   A request that hyper finds and the guard did not see is not served. Only a tunnel is not read along: its bytes
//!   are no HTTP.

pub(super) mod clocks;
pub mod h1;
pub mod h2;
mod presence;
#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::config::HalfClose;
use crate::net::Stream;
use clocks::{Clocks, now};

/// The most that is read of HTTP/1 at once into a large buffer. hyper doubles its buffer where a read fills it, up to the
/// size of the largest head and a byte; less than 32 KiB never fills one of 32 KiB.
const READ: usize = (32 << 10) - 1;

/// What is read at once of a body that goes nowhere, and how many reads are so small from then on: hyper halves its buffer at
/// every second one.
const SMALL: usize = 4 << 10;
const SMALL_READS: u8 = 8;

/// Which protocol is read along.
#[derive(Debug)]
pub(crate) enum Scanner {
    H1(h1::Scanner),
    H2(h2::Scanner),
    /// HTTP is over: the upgrade that the last request asked for was answered with 101.
    Tunnel,
}

/// The stream that hyper sees.
#[derive(Debug)]
pub struct Guarded {
    stream: Stream,
    /// Bytes that were read before their time: to find out the protocol, or behind an upgrade that is not answered.
    prefix: Bytes,
    scanner: Scanner,
    clocks: Arc<Clocks>,
    half_close: HalfClose,
    /// How many of the next reads are small.
    small_reads: u8,
    /// The client's side has ended while a request was served.
    said_all: bool,
    /// Why the client of the request that is served has left.
    gone: Option<io::Error>,
}

impl Guarded {
    pub(crate) fn new(
        stream: Stream,
        prefix: Bytes,
        scanner: Scanner,
        clocks: Arc<Clocks>,
        half_close: HalfClose,
    ) -> Self {
        Self {
            stream,
            prefix,
            scanner,
            clocks,
            half_close,
            small_reads: 0,
            said_all: false,
            gone: None,
        }
    }

    /// The stream without the guard.
    pub(crate) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Becomes the client's side of the tunnel, when hyper has left with `unused` bytes; `false` where the request
    /// that asked for it did not come whole, so that what follows is a body.
    pub(crate) fn open_tunnel(&mut self, unused: &[u8]) -> bool {
        let whole = matches!(&self.scanner, Scanner::H1(scanner) if scanner.awaits_tunnel());
        let opens = whole && unused.is_empty();
        if opens {
            self.scanner = Scanner::Tunnel;
        }
        opens
    }

    fn poll_read_raw(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            let whole = buf.remaining() <= READ && self.small_reads == 0;
            return match &self.scanner {
                Scanner::H1(_) if !whole => self.poll_read_part(cx, buf),
                _ => Pin::new(&mut self.stream).poll_read(cx, buf),
            };
        }
        let n = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix[..n]);
        self.prefix.advance(n);
        if self.prefix.is_empty() && buf.remaining() > 0 && matches!(self.scanner, Scanner::H1(_)) {
            self.read_behind(cx, buf);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what is there behind the bytes that were read before their time. For a second read hyper would double its
    /// buffer, and what comes in it of a body would be kept as long as the head.
    #[cold]
    fn read_behind(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) {
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            // The next read meets it again.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Poll::Ready(Err(error)) => self.gone = Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }

    /// Reads as much as is read at once: of a body that goes nowhere little, since it waits here.
    fn poll_read_part(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.clocks.is_body_taken() {
            self.small_reads = SMALL_READS;
        }
        let most = match self.small_reads {
            0 => READ,
            _ => SMALL,
        };
        ready!(poll_read_buf(
            Pin::new(&mut self.stream),
            cx,
            &mut buf.limit(most)
        ))?;
        self.small_reads = self.small_reads.saturating_sub(1);
        Poll::Ready(Ok(()))
    }

    /// Hyper may see `keep` bytes of what was read; what becomes of the rest the scanner has noted.
    #[cold]
    fn hold_back(
        &mut self,
        cx: &Context<'_>,
        buf: &mut ReadBuf<'_>,
        before: usize,
        keep: usize,
    ) -> Poll<io::Result<()>> {
        let refused = self.clocks.refuse.load(Relaxed) != 0;
        let lost = matches!(&self.scanner, Scanner::H1(scanner) if scanner.is_lost());
        let shown = before + keep;
        if !refused && !lost {
            let rest = buf.filled().get(shown..).unwrap_or_default();
            self.prefix = [rest, &self.prefix[..]].concat().into();
        }
        buf.set_filled(shown);
        if keep > 0 {
            return Poll::Ready(Ok(()));
        }
        if lost {
            return Poll::Ready(Err(no_end()));
        }
        if !refused {
            *self.clocks.behind_upgrade.lock() = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Says why the connection ends, if nothing of another frame waits to be written.
    fn send_away(&mut self, cx: &mut Context<'_>, goaway: &[u8], fault: h2::Fault) -> io::Error {
        if matches!(fault, h2::Fault::Malformed(_)) {
            let status = http::StatusCode::BAD_REQUEST;
            self.clocks.refuse.store(status.as_u16(), Relaxed);
        }
        if self.clocks.write_since.load(Relaxed) == 0 {
            // Where there is no room or no client, nothing can be told.
            let _told = Pin::new(&mut self.stream).poll_write(cx, goaway);
        }
        io::Error::other(fault)
    }

    /// Writes what is to come before the answer to the request in hand.
    #[cold]
    fn write_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.stream;
        let interim = &self.clocks.interim;
        let result = interim.write(|bytes| Pin::new(&mut *stream).poll_write(cx, bytes));
        self.note_write(result)
    }

    #[inline]
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
            Poll::Ready(_) if waiting != 0 => self.clocks.stalls_no_more(),
            _ => {}
        }
        result
    }
}

/// Why nothing more is read of a connection.
fn no_end() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no end of the request is known")
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
        if matches!(&this.scanner, Scanner::H1(scanner) if scanner.is_lost()) {
            return Poll::Ready(Err(no_end()));
        }
        let before = buf.filled().len();
        if let Err(error) = ready!(this.poll_read_raw(cx, buf)) {
            if !this.clocks.serving.load(Relaxed) {
                return Poll::Ready(Err(error));
            }
            // It is the end of the exchange, not of its body: hyper flushes next, and meets it there.
            this.gone = Some(error);
            return Poll::Pending;
        }
        let Some(read) = buf.filled().get(before..).filter(|read| !read.is_empty()) else {
            this.clocks.eof.store(true, Relaxed);
            return Poll::Ready(Ok(()));
        };
        match &mut this.scanner {
            Scanner::H1(scanner) => {
                let keep = scanner.scan(read, &this.clocks);
                if keep < read.len() {
                    return this.hold_back(cx, buf, before, keep);
                }
            }
            Scanner::H2(scanner) => {
                if let Err(fault) = scanner.scan(read, &this.clocks) {
                    let goaway = scanner.goaway(fault);
                    return Poll::Ready(Err(this.send_away(cx, &goaway, fault)));
                }
            }
            Scanner::Tunnel => {}
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
        if this.clocks.interim.has_begun() {
            ready!(this.write_interim(cx))?;
        }
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note_written(result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper flushes when it has written all that it had.
        if this.clocks.interim.is_waiting() {
            ready!(this.write_interim(cx))?;
        }
        // hyper comes by here whenever it is polled and has nothing to write.
        if this.clocks.serving.load(Relaxed) {
            this.watch(cx)?;
        }
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
        if this.clocks.tunnel.load(Relaxed) && matches!(this.scanner, Scanner::H1(_)) {
            // That is hyper, which leaves; the tunnel goes on.
            return Poll::Ready(Ok(()));
        }
        let result = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.note_write(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.clocks.interim.has_begun() {
            ready!(this.write_interim(cx))?;
        }
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
            && let Err(error) = self.stream.socket().reset_at_close()
        {
            tracing::debug!(%error, "cannot reset; closing");
        }
    }
}
