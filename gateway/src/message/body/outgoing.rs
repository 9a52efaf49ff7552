//! The body of a request on its way to an upstream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

use super::{BodyFault, ClientBody};
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
            // Nothing reads ahead of plugins.
            Self::Edited(_) => {}
        }
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
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Client(body) => body.is_end_stream(),
            Self::Edited(_) => false,
            Self::Decoded(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Client(body) => body.size_hint(),
            Self::Edited(_) | Self::Decoded(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").finish_non_exhaustive()
    }
}
