//! An answer on its way to the client: a route's, a plugin's, an upstream's, the gateway's own.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Version;
use http_body::{Frame, SizeHint};

use crate::message::body::BodyFault;
use crate::message::coding::Decoded;
use crate::message::head::ResponseHead;
use crate::upstream::ResponseBody;

/// What a route, a plugin, an upstream or the gateway itself answers. All of it takes the same way: response phases,
/// streaming plugins, client.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: ResponseHead,
    pub(super) body: Source,
}

impl Answer {
    /// An answer that is whole.
    pub(super) fn whole(head: ResponseHead, body: Bytes) -> Self {
        let body = Source::full(body);
        Self { head, body }
    }
}

/// Where the bytes of a response body come from.
#[derive(Debug)]
pub(super) enum Source {
    Empty,
    /// Made or held by the gateway.
    Full(Bytes),
    /// As they come.
    Upstream(ResponseBody),
    /// Without their content coding.
    Decoded(Box<Decoded<Self>>),
}

impl Source {
    /// A body held in memory.
    pub(super) fn full(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Full(bytes)
        }
    }

    /// Whether what it comes of may read no more of the request, once it is over: the stream of HTTP/2 ends then.
    pub(super) fn leaves_requests(&self) -> bool {
        match self {
            Self::Empty | Self::Full(_) => false,
            Self::Upstream(body) => body.version() == Version::HTTP_2,
            // It does not say of what.
            Self::Decoded(_) => true,
        }
    }

    /// All of it, where it is held in memory.
    pub(super) fn held(&self) -> Option<Bytes> {
        match self {
            Self::Empty => Some(Bytes::new()),
            Self::Full(bytes) => Some(bytes.clone()),
            Self::Upstream(_) | Self::Decoded(_) => None,
        }
    }

    /// Puts bytes that were read before the rest again.
    pub(super) fn prepend(&mut self, bytes: Bytes) {
        match self {
            Self::Empty => *self = Self::full(bytes),
            Self::Full(rest) => *rest = [bytes, std::mem::take(rest)].concat().into(),
            Self::Upstream(body) => body.prepend(bytes),
            Self::Decoded(body) => body.prepend(bytes),
        }
    }
}

impl http_body::Body for Source {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
            Self::Decoded(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Decoded(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Upstream(body) => body.size_hint(),
            Self::Decoded(_) => SizeHint::default(),
        }
    }
}
