//! The body of a request as it comes: over HTTP/1 hyper reads it, over HTTP/2 h2.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::{BodyFault, Framed};
use crate::message::flaws::Flaws;
use crate::message::interim::Interim;

/// The body of a request, before any limit.
pub enum Received {
    /// Of HTTP/1.
    H1(Incoming),
    /// Of HTTP/2.
    H2(Box<Stream>),
}

/// The client's side of one stream of HTTP/2.
#[derive(Debug)]
pub struct Stream {
    body: Framed,
    /// Whether the client waits for 100 before it sends.
    held_back: bool,
    interim: Arc<Interim>,
}

impl Received {
    /// Of a stream of HTTP/2 whose head has these fields; what is to be said before the answer goes to `interim`, and `flaws`
    /// are those of its connection.
    pub fn h2(
        data: RecvStream,
        fields: &HeaderMap,
        interim: Arc<Interim>,
        flaws: Arc<Flaws>,
    ) -> Self {
        if data.is_end_stream() {
            interim.ending.is_whole();
        }
        Self::H2(Box::new(Stream {
            held_back: !data.is_end_stream() && waits(fields),
            body: Framed::new(data, fields).checked(flaws),
            interim,
        }))
    }

    /// All of it was read.
    pub(super) fn is_read(&self) {
        if let Self::H2(stream) = self {
            stream.interim.ending.is_whole();
        }
    }

    /// HTTP/2: what takes informational responses to this request.
    pub fn interim(&self) -> Option<Arc<Interim>> {
        match self {
            Self::H1(_) => None,
            Self::H2(stream) => Some(stream.interim.clone()),
        }
    }
}

/// Whether a client waits for 100 (RFC 9110, section 10.1.1).
fn waits(fields: &HeaderMap) -> bool {
    let expected = fields.get(EXPECT).map(http::HeaderValue::as_bytes);
    expected.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"))
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let polled = self.body.poll(cx);
        if polled.is_pending() && std::mem::take(&mut self.held_back) {
            self.interim.go_on();
        }
        polled
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut *self {
            Self::H1(incoming) => {
                let polled = Pin::new(incoming).poll_frame(cx);
                polled.map_err(|_| BodyFault::Broken)
            }
            Self::H2(stream) => stream.poll(cx).map_err(|_| BodyFault::Broken),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::H1(incoming) => incoming.is_end_stream(),
            Self::H2(stream) => stream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::H1(incoming) => incoming.size_hint(),
            Self::H2(stream) => stream.body.size_hint(),
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").finish_non_exhaustive()
    }
}
