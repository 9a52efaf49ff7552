//! Copies of bodies on their way to an upstream.

use bytes::Bytes;
use http_body::{Body as _, Frame};
use tokio::sync::{mpsc, oneshot};

use super::outgoing::Outgoing;
use super::teed::{Teed, Uncopied, Whole};

/// The copy of a body, which is there once that was taken to its end.
#[derive(Debug)]
pub enum BodyCopy {
    /// It is.
    Here(Outgoing),
    /// It is to come.
    Awaited(oneshot::Receiver<Result<Whole, Uncopied>>),
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
        let (teed, copy) = Teed::new(self, limit);
        (Self::Teed(Box::new(teed)), Ok(BodyCopy::Awaited(copy)))
    }
}

impl BodyCopy {
    /// The copy.
    ///
    /// # Errors
    /// If there will be none.
    pub async fn whole(self) -> Result<Outgoing, Uncopied> {
        let whole = match self {
            Self::Here(body) => return Ok(body),
            // A body that is dropped before its end drops its side of the channel.
            Self::Awaited(copy) => copy.await.unwrap_or(Err(Uncopied::Incomplete))?,
        };
        let Some(trailers) = whole.trailers else {
            return Ok(Outgoing::full(whole.bytes));
        };
        let (sender, frames) = mpsc::channel::<Result<Frame<Bytes>, _>>(2);
        for frame in [Frame::data(whole.bytes), Frame::trailers(trailers)] {
            // There is room for both.
            let _sent = sender.try_send(Ok(frame));
        }
        Ok(Outgoing::Edited(frames))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use http::HeaderMap;

    use super::*;
    use crate::message::body::BodyFault;

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
