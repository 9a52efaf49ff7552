//! What bounds a check, whatever the endpoint sends: the bytes that are read for it, and its informational answers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::net::Stream;

/// The most bytes that are read for one check.
const BYTES: usize = 64 << 10;

/// How many of them are read at once.
const CHUNK: usize = 4 << 10;

/// The most informational answers before the one that counts, as for requests.
const INFORMATIONAL: usize = 8;

/// A stream of which no more is read than a check needs.
pub(super) struct Bounded {
    io: Stream,
    left: usize,
}

impl Bounded {
    pub(super) fn new(io: Stream) -> Self {
        Self { io, left: BYTES }
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut chunk = [0; CHUNK];
        let most = buf.remaining().min(self.left).min(CHUNK);
        if self.left == 0 {
            let why = format!("it sent more than {BYTES} bytes for one check");
            return Poll::Ready(Err(io::Error::other(why)));
        }
        let mut read = ReadBuf::new(&mut chunk[..most]);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        self.left -= read.filled().len();
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Counts the informational answers to a request.
#[derive(Debug, Default)]
pub(super) struct Informational {
    count: AtomicUsize,
    surplus: Notify,
}

impl Informational {
    /// Of this request.
    pub(super) fn of<B>(request: &mut Request<B>) -> Arc<Self> {
        let counted = Arc::<Self>::default();
        let shared = counted.clone();
        hyper::ext::on_informational(request, move |_| {
            if shared.count.fetch_add(1, Relaxed) >= INFORMATIONAL {
                shared.surplus.notify_one();
            }
        });
        counted
    }

    /// Returns once there are too many.
    ///
    /// # Errors
    /// Always, in words for people.
    pub(super) async fn too_many<T>(&self) -> Result<T, String> {
        self.surplus.notified().await;
        Err(words())
    }

    /// What went wrong, which may have come of them.
    pub(super) fn explain(&self, why: String) -> String {
        match self.count.load(Relaxed) > INFORMATIONAL {
            true => words(),
            false => why,
        }
    }
}

fn words() -> String {
    format!("it sent more than {INFORMATIONAL} informational answers")
}
