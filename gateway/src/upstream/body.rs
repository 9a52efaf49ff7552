//! The body of an answer, whatever protocol it comes by.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Version;
use http_body::{Frame, SizeHint};

use super::tunnel::Tunnel;
use super::{h1, h2};
use crate::message::body::{BodyFault, Collected, collect};
use crate::message::error::ErrorKind;
use crate::message::fields::may_trail;
use crate::message::headers;

/// The body of an answer. It may pause for a limited time; dropped before its end, it breaks the exchange off.
#[derive(Debug)]
pub enum ResponseBody {
    /// On the connection that it comes on.
    H1(h1::Body),
    /// On one stream of a connection.
    H2(Box<h2::Body>),
}

impl ResponseBody {
    /// What it comes by.
    #[inline]
    pub fn version(&self) -> Version {
        match self {
            Self::H1(_) => Version::HTTP_11,
            Self::H2(_) => Version::HTTP_2,
        }
    }

    /// The connection after a 101.
    pub fn into_tunnel(self) -> Option<Tunnel> {
        match self {
            Self::H1(body) => body.into_tunnel(),
            Self::H2(_) => None,
        }
    }

    /// Reads all of it, up to `limit` bytes: what holds a connection, a place under way and an endpoint holds nothing then.
    /// None where there is more, or it breaks. Trailers are left out.
    pub async fn whole(mut self, limit: usize) -> Option<Self> {
        match collect(&mut self, limit).await {
            Ok(Collected::Whole(bytes)) => Some(Self::H1(h1::Body::whole(bytes))),
            Ok(Collected::Over) | Err(_) => None,
        }
    }

    /// Nobody waits for the rest of it any more, which is late.
    #[cold]
    pub fn is_late(&self) {
        let picked = match self {
            Self::H1(body) => body.picked(),
            Self::H2(body) => Some(body.picked()),
        };
        if let Some(picked) = picked {
            picked.failed(ErrorKind::UpstreamTimeout);
        }
    }

    /// Puts bytes that were read before the rest again.
    pub fn prepend(&mut self, bytes: Bytes) {
        match self {
            Self::H1(body) => body.prepend(bytes),
            Self::H2(body) => body.prepend(bytes),
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let polled = match self.get_mut() {
            Self::H1(body) => Pin::new(body).poll_frame(cx),
            Self::H2(body) => Pin::new(body.as_mut()).poll_frame(cx),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => {
                Poll::Ready(Some(Ok(fit_to_trail(frame))))
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::H1(body) => body.is_end_stream(),
            Self::H2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::H1(body) => body.size_hint(),
            Self::H2(body) => body.size_hint(),
        }
    }
}

/// Trailers without the fields that may not come after a body.
#[cold]
fn fit_to_trail(frame: Frame<Bytes>) -> Frame<Bytes> {
    let Ok(mut trailers) = frame.into_trailers() else {
        return Frame::data(Bytes::new());
    };
    headers::remove_where(&mut trailers, |name| !may_trail(name.as_str()));
    Frame::trailers(trailers)
}
