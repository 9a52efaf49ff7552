//! A body that leaves a copy of itself as it streams.
//!
//! Copying is in nobody's way: what is too large to be copied, or breaks, streams on as if there were no copy.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::BodyFault;

/// A body that leaves a copy of itself.
pub struct Teed<B> {
    body: B,
    /// None once it is decided whether there is a copy.
    copying: Option<Copying>,
}

/// All of a body.
#[derive(Debug)]
pub struct Whole {
    /// Its bytes.
    pub bytes: Bytes,
    /// What came behind them.
    pub trailers: Option<HeaderMap>,
}

/// Why there is no copy of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncopied {
    /// It is larger than a copy may be.
    TooLarge,
    /// It broke, or was not taken to its end.
    Incomplete,
}

/// What was copied so far. Its bytes are its own: a frame is a piece of a buffer that may be far larger.
struct Copying {
    bytes: BytesMut,
    trailers: Option<HeaderMap>,
    limit: usize,
    sender: oneshot::Sender<Result<Whole, Uncopied>>,
}

impl<B: Body> Teed<B> {
    /// The same body, which sends the copy of at most `limit` bytes when it was taken to its end. One that breaks or is
    /// dropped before sends nothing.
    pub fn new(body: B, limit: usize) -> (Self, oneshot::Receiver<Result<Whole, Uncopied>>) {
        let (sender, copy) = oneshot::channel();
        let copying = Copying {
            bytes: BytesMut::new(),
            trailers: None,
            limit,
            sender,
        };
        let copying = Some(copying);
        (Self { body, copying }, copy)
    }

    fn copy(&mut self, frame: &Frame<Bytes>) {
        let Some(copying) = &mut self.copying else {
            return;
        };
        if let Some(trailers) = frame.trailers_ref() {
            copying.trailers = Some(trailers.clone());
        }
        let data = frame.data_ref().map_or(&[][..], |data| data);
        if data.len() <= copying.limit - copying.bytes.len() {
            copying.bytes.extend_from_slice(data);
        } else if let Some(copying) = self.copying.take() {
            // Who waits for the copy may be gone.
            let _awaited = copying.sender.send(Err(Uncopied::TooLarge));
        }
    }

    fn finish(&mut self) {
        if let Some(copying) = self.copying.take() {
            let whole = Whole {
                bytes: copying.bytes.freeze(),
                trailers: copying.trailers,
            };
            let _awaited = copying.sender.send(Ok(whole));
        }
    }
}

impl<B> Body for Teed<B>
where
    B: Body<Data = Bytes, Error = BodyFault> + Unpin,
{
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                self.copy(frame);
                // Nothing asks for more where the length was announced.
                if self.body.is_end_stream() {
                    self.finish();
                }
            }
            Some(Err(_)) => self.copying = None,
            None => self.finish(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> fmt::Debug for Teed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teed").finish_non_exhaustive()
    }
}
