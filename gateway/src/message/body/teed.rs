//! A body that leaves a copy of itself as it streams.
//!
//! Copying is in nobody's way: what is too large to be copied, or breaks, streams on as if there were no copy.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

use super::{BodyFault, Outgoing};

/// Why there is no copy of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncopied {
    /// It is larger than a copy may be.
    TooLarge,
    /// It broke, or was not taken to its end.
    Incomplete,
}

/// The copy of a body, which is there once that was taken to its end.
#[derive(Debug)]
pub enum BodyCopy {
    /// It is.
    Here(Outgoing),
    /// It is to come.
    Awaited(oneshot::Receiver<Result<Outgoing, Uncopied>>),
}

impl BodyCopy {
    /// The copy.
    ///
    /// # Errors
    /// If there will be none.
    pub async fn whole(self) -> Result<Outgoing, Uncopied> {
        match self {
            Self::Here(body) => Ok(body),
            // A body that is dropped before its end drops its side of the channel.
            Self::Awaited(copy) => copy.await.unwrap_or(Err(Uncopied::Incomplete)),
        }
    }
}

impl Outgoing {
    /// The same body, and a copy of at most `limit` bytes.
    ///
    /// # Errors
    /// If its length is known, and over the limit.
    pub fn tee(self, limit: usize) -> (Self, Result<BodyCopy, Uncopied>) {
        let length = self.size_hint().exact();
        if length.is_some_and(|length| length > limit as u64) {
            return (self, Err(Uncopied::TooLarge));
        }
        if let Some(copy) = self.held() {
            return (self, Ok(BodyCopy::Here(copy)));
        }
        let (sender, copy) = oneshot::channel();
        let copying = Copying {
            bytes: BytesMut::new(),
            trailers: None,
            limit,
            sender,
        };
        let teed = Teed {
            body: self,
            copying: Some(copying),
        };
        (Self::Teed(Box::new(teed)), Ok(BodyCopy::Awaited(copy)))
    }
}

/// A body that leaves a copy of itself.
pub struct Teed {
    body: Outgoing,
    /// None once it is decided whether there is a copy.
    copying: Option<Copying>,
}

/// What was copied so far. Its bytes are its own: a frame is a piece of a buffer that may be far larger.
struct Copying {
    bytes: BytesMut,
    trailers: Option<HeaderMap>,
    limit: usize,
    sender: oneshot::Sender<Result<Outgoing, Uncopied>>,
}

impl Teed {
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
            let Copying {
                bytes,
                trailers,
                sender,
                ..
            } = copying;
            let body = whole(bytes.freeze(), trailers);
            let _awaited = sender.send(Ok(body));
        }
    }
}

/// A body that is there, with the trailers that came behind it.
fn whole(bytes: Bytes, trailers: Option<HeaderMap>) -> Outgoing {
    let Some(trailers) = trailers else {
        return Outgoing::full(bytes);
    };
    let (sender, frames) = mpsc::channel(2);
    for frame in [Frame::data(bytes), Frame::trailers(trailers)] {
        // There is room for both.
        let _sent = sender.try_send(Ok(frame));
    }
    Outgoing::Edited(frames)
}

impl http_body::Body for Teed {
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

impl fmt::Debug for Teed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    type Frames = mpsc::Sender<Result<Frame<Bytes>, BodyFault>>;

    fn streamed() -> (Frames, Outgoing) {
        let (sender, receiver) = mpsc::channel(8);
        (sender, Outgoing::Edited(receiver))
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, BodyFault> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    /// Reads a body to its end or fault.
    async fn read(mut body: Outgoing) -> Result<(Vec<u8>, Option<HeaderMap>), BodyFault> {
        let (mut bytes, mut trailers) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok((bytes, trailers))
    }

    #[tokio::test]
    async fn the_copy_is_the_body_and_its_trailers() {
        let (frames, body) = streamed();
        let (body, copy) = body.tee(6);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "6".parse().unwrap());
        for frame in [
            data("abc"),
            data(""),
            data("def"),
            Ok(Frame::trailers(trailers)),
        ] {
            frames.send(frame).await.unwrap();
        }
        drop(frames);
        let read_of_original = read(body.begin().await.unwrap()).await.unwrap();
        let copied = read(copy.unwrap().whole().await.unwrap()).await.unwrap();
        assert_eq!(read_of_original, copied);
        assert_eq!(copied.0, b"abcdef");
        assert_eq!(copied.1.unwrap()["x-sum"], "6");
    }

    #[tokio::test]
    async fn what_is_over_the_limit_streams_on_without_a_copy() {
        let (frames, body) = streamed();
        let (body, copy) = body.tee(5);
        frames.send(data("abc")).await.unwrap();
        frames.send(data("def")).await.unwrap();
        frames.send(data("ghi")).await.unwrap();
        drop(frames);
        assert_eq!(read(body).await.unwrap().0, b"abcdefghi");
        let copy = copy.unwrap().whole().await;
        assert_eq!(copy.unwrap_err(), Uncopied::TooLarge);
        let (body, copy) = Outgoing::Full(Bytes::from_static(b"abcdef")).tee(5);
        assert_eq!(copy.unwrap_err(), Uncopied::TooLarge);
        assert_eq!(read(body).await.unwrap().0, b"abcdef");
    }

    #[tokio::test]
    async fn there_is_no_copy_of_what_breaks_or_is_left_unread() {
        let (frames, body) = streamed();
        let (body, copy) = body.tee(100);
        frames.send(data("abc")).await.unwrap();
        frames.send(Err(BodyFault::Broken)).await.unwrap();
        assert_eq!(read(body).await.unwrap_err(), BodyFault::Broken);
        let copy = copy.unwrap().whole().await;
        assert_eq!(copy.unwrap_err(), Uncopied::Incomplete);
        let (frames, body) = streamed();
        let (mut body, copy) = body.tee(100);
        frames.send(data("abc")).await.unwrap();
        assert!(body.frame().await.unwrap().is_ok());
        drop(body);
        let copy = copy.unwrap().whole().await;
        assert_eq!(copy.unwrap_err(), Uncopied::Incomplete);
    }

    #[tokio::test]
    async fn what_is_held_is_copied_at_once() {
        for (body, length) in [
            (Outgoing::Empty, 0),
            (Outgoing::Full(Bytes::from_static(b"abc")), 3),
        ] {
            let (_body, copy) = body.tee(3);
            let copy = copy.unwrap().whole().await.unwrap();
            assert_eq!(copy.size_hint().exact(), Some(length));
        }
    }
}
