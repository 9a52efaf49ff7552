//! The body of a request on its way to an upstream.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use super::{BodyFault, ClientBody, Teed};
use crate::message::coding::Decoded;

/// The body of a request on its way to an upstream.
pub enum Outgoing {
    /// None.
    Empty,
    /// All at once.
    Full(Bytes),
    /// As it comes from the client.
    Client(Box<ClientBody>),
    /// As it comes from plugins that edit it.
    Edited(mpsc::Receiver<Result<Frame<Bytes>, BodyFault>>),
    /// Without its content coding.
    Decoded(Box<Decoded<Self>>),
    /// As it comes; its first piece is there.
    Begun(Box<Begun>),
    /// As it comes, leaving a copy.
    Teed(Box<Teed<Self>>),
}

/// A body that streams, whose first bytes or trailers are there.
#[derive(Debug)]
pub struct Begun {
    first: Option<Frame<Bytes>>,
    /// Behind the first.
    next: VecDeque<Frame<Bytes>>,
    rest: Outgoing,
    /// Of the whole.
    length: Option<u64>,
}

impl Outgoing {
    /// As it comes from a client.
    pub fn client(body: ClientBody) -> Self {
        match http_body::Body::is_end_stream(&body) {
            true => Self::Empty,
            false => Self::Client(Box::new(body)),
        }
    }

    /// Puts bytes that were read before the rest again.
    pub fn prepend(&mut self, bytes: Bytes) {
        match self {
            Self::Empty => *self = Self::full(bytes),
            Self::Full(rest) => *rest = [bytes, std::mem::take(rest)].concat().into(),
            Self::Client(body) => body.prepend(bytes),
            Self::Decoded(body) => body.prepend(bytes),
            // Nothing reads ahead of plugins, or on the way out.
            Self::Edited(_) | Self::Begun(_) | Self::Teed(_) => {}
        }
    }

    /// Waits for the first byte of a body that streams, for its trailers, or for its end: then there is none, whatever
    /// was announced.
    ///
    /// # Errors
    /// The fault of the body.
    pub async fn begin(mut self) -> Result<Self, BodyFault> {
        if matches!(self, Self::Empty | Self::Full(_) | Self::Begun(_)) {
            return Ok(self);
        }
        let length = http_body::Body::size_hint(&self).exact();
        loop {
            match self.frame().await.transpose()? {
                Some(frame) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
                Some(frame) => {
                    return Ok(Self::Begun(Box::new(Begun {
                        first: Some(frame),
                        next: VecDeque::new(),
                        rest: self,
                        length,
                    })));
                }
                None if length.is_some_and(|length| length > 0) => return Err(BodyFault::Broken),
                None => return Ok(Self::Empty),
            }
        }
    }

    /// The same once more, where it is held in memory or there is none.
    pub fn held(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Full(bytes) => Some(Self::Full(bytes.clone())),
            Self::Client(_)
            | Self::Edited(_)
            | Self::Decoded(_)
            | Self::Begun(_)
            | Self::Teed(_) => None,
        }
    }

    /// A body that streams, of which some was taken: that is there again, before the rest. `length`: of the whole.
    pub fn resumed(taken: Vec<Frame<Bytes>>, rest: Self, length: Option<u64>) -> Self {
        if taken.is_empty() {
            return rest;
        }
        let mut next = VecDeque::from(taken);
        Self::Begun(Box::new(Begun {
            first: next.pop_front(),
            next,
            rest,
            length,
        }))
    }

    /// A body held in memory.
    pub fn full(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Full(bytes)
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(_) => {
                let Self::Full(bytes) = std::mem::replace(&mut *self, Self::Empty) else {
                    return Poll::Ready(None);
                };
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Client(body) => Pin::new(body.as_mut()).poll_frame(cx),
            Self::Edited(frames) => frames.poll_recv(cx),
            Self::Decoded(body) => Pin::new(body.as_mut()).poll_frame(cx),
            Self::Begun(begun) => match begun.first.take().or_else(|| begun.next.pop_front()) {
                Some(first) => Poll::Ready(Some(Ok(first))),
                None => Pin::new(&mut begun.rest).poll_frame(cx),
            },
            Self::Teed(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Client(body) => body.is_end_stream(),
            Self::Edited(_) => false,
            Self::Decoded(body) => body.is_end_stream(),
            Self::Begun(begun) => {
                begun.first.is_none() && begun.next.is_empty() && begun.rest.is_end_stream()
            }
            Self::Teed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Client(body) => body.size_hint(),
            Self::Edited(_) | Self::Decoded(_) => SizeHint::default(),
            // Asked for before the first piece is taken.
            Self::Begun(begun) => match begun.length {
                Some(length) => SizeHint::with_exact(length),
                None => SizeHint::default(),
            },
            Self::Teed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").finish_non_exhaustive()
    }
}
