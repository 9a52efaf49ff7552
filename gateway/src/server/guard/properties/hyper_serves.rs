//! The same stream as hyper's server reads it.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Behind how many bytes hyper found the heads of requests. It reads every body, answers each request with 200, and
/// the client leaves at the end of the stream.
pub(super) fn heads(stream: &[u8]) -> Vec<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers needs nothing of the system");
    let read = Cell::new(0);
    let found = RefCell::new(Vec::new());
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        found.borrow_mut().push(read.get());
        async move {
            // What breaks is answered too.
            let _body = request.into_body().collect().await;
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let client = Client {
        stream,
        read: &read,
    };
    let mut builder = http1::Builder::new();
    let serving = builder
        .half_close(true)
        .serve_connection(TokioIo::new(client), service);
    // What it refuses ends the connection.
    let _refused = runtime.block_on(serving);
    found.into_inner()
}

/// Sends byte by byte and takes whatever comes.
struct Client<'a> {
    stream: &'a [u8],
    /// How much was read.
    read: &'a Cell<usize>,
}

impl AsyncRead for Client<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let at = self.read.get();
        if let Some(byte) = self.stream.get(at) {
            buf.put_slice(&[*byte]);
            self.read.set(at + 1);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
