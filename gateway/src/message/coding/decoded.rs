//! A body that decodes another.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use super::Decoder;
use crate::message::body::BodyFault;

/// How many steps of decoding and pieces of the other body one poll takes at most, as long as nothing comes of them.
/// Then others on this thread have their turn.
const ROUNDS: usize = 16;

/// A body that decodes the data of another and passes its trailers on.
///
/// A poll decodes one step ([`Limits::step`](super::Limits::step)) at most, and a frame is never empty. How long it will
/// be cannot be known.
pub struct Decoded<B> {
    body: B,
    decoder: Decoder,
    /// What is not decoded yet of the last piece.
    piece: Bytes,
    /// What was read already, by somebody who met a limit of its own.
    ahead: Bytes,
    /// Its end or a fault was handed out.
    over: bool,
}

impl<B> Decoded<B> {
    /// Decodes `body`.
    pub fn new(body: B, decoder: Decoder) -> Self {
        Self {
            body,
            decoder,
            piece: Bytes::new(),
            ahead: Bytes::new(),
            over: false,
        }
    }
}

impl<B> Decoded<B> {
    /// Puts bytes that were read before the rest again.
    pub fn prepend(&mut self, bytes: Bytes) {
        self.ahead = bytes;
    }
}

/// A frame, the end, or a fault.
type Polled = Option<Result<Frame<Bytes>, BodyFault>>;

impl<B> Decoded<B>
where
    B: http_body::Body<Data = Bytes, Error = BodyFault> + Unpin,
{
    /// One step, or one piece. Ready without anything: it goes on.
    fn poll_round(&mut self, cx: &mut Context<'_>) -> Poll<Result<Round, BodyFault>> {
        let fault = |fault| Poll::Ready(Err(BodyFault::Coding(fault)));
        match self.decoder.decode(&mut self.piece) {
            Err(broken) => return fault(broken),
            Ok(Some(bytes)) if bytes.is_empty() => return Poll::Ready(Ok(Round::Nothing)),
            Ok(Some(bytes)) => return Poll::Ready(Ok(Round::Frame(Frame::data(bytes)))),
            Ok(None) => {}
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else {
            return match self.decoder.finish() {
                Err(broken) => fault(broken),
                Ok(()) => Poll::Ready(Ok(Round::End)),
            };
        };
        match frame.into_data() {
            Ok(piece) => {
                self.piece = piece;
                Poll::Ready(Ok(Round::Nothing))
            }
            // They come after the last byte: the coding must be over too.
            Err(trailers) => match self.decoder.finish() {
                Err(broken) => fault(broken),
                Ok(()) => Poll::Ready(Ok(Round::Frame(trailers))),
            },
        }
    }
}

/// What came of a round.
enum Round {
    Frame(Frame<Bytes>),
    Nothing,
    End,
}

impl<B> http_body::Body for Decoded<B>
where
    B: http_body::Body<Data = Bytes, Error = BodyFault> + Unpin,
{
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Polled> {
        if !self.ahead.is_empty() {
            let ahead = std::mem::take(&mut self.ahead);
            return Poll::Ready(Some(Ok(Frame::data(ahead))));
        }
        if self.over {
            return Poll::Ready(None);
        }
        for _ in 0..ROUNDS {
            let polled = match ready!(self.poll_round(cx)) {
                Ok(Round::Nothing) => continue,
                Ok(Round::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(Round::End) => None,
                Err(fault) => Some(Err(fault)),
            };
            self.over = true;
            return Poll::Ready(polled);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let used_up = self.piece.is_empty() && self.body.is_end_stream();
        self.ahead.is_empty() && (self.over || (used_up && self.decoder.may_end()))
    }
}

impl<B> fmt::Debug for Decoded<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded")
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}
