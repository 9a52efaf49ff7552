//! Bodies in frames of HTTP/2 (RFC 9113, section 8.1), by h2: how one is read, and how one is sent at the pace of who takes
//! it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};

use crate::message::flaws::Flaws;
use crate::message::headers;

/// The most that is handed to h2 at once, in bytes.
const PIECE: usize = 32 << 10;

/// A body that comes.
///
/// An error is always one of the body: h2 remembers the end of a stream that is reset behind it (RFC 9113, section 8.1).
#[derive(Debug)]
pub struct Framed {
    data: RecvStream,
    /// Bytes that are to come, where that was announced. h2 holds the sender to it.
    left: Option<u64>,
    /// Whether only trailers may follow.
    data_over: bool,
    /// All that was announced came, and the end did not: the last of it, without which nobody takes the message for whole.
    last: Option<Bytes>,
    trailers: Option<HeaderMap>,
    /// Nothing is read.
    is_none: bool,
    /// What is wrong with it that h2 does not show.
    flaws: Option<Arc<Flaws>>,
}

impl Framed {
    /// The body of a message whose head has these fields.
    pub fn new(data: RecvStream, fields: &HeaderMap) -> Self {
        let announced = |value: &http::HeaderValue| value.to_str().ok()?.parse().ok();
        let announced = fields.get(CONTENT_LENGTH).and_then(announced);
        Self {
            left: announced.or_else(|| data.is_end_stream().then_some(0)),
            data,
            data_over: false,
            last: None,
            trailers: None,
            is_none: false,
            flaws: None,
        }
    }

    /// That of a message which has none, whatever its head says and its stream does: the answer to HEAD, 204, 304.
    pub fn none(data: RecvStream) -> Self {
        let mut body = Self::new(data, &HeaderMap::new());
        (body.data_over, body.left, body.is_none) = (true, Some(0), true);
        body
    }

    /// The same on a connection of these flaws: one that has any is broken.
    #[must_use]
    pub fn checked(mut self, flaws: Arc<Flaws>) -> Self {
        self.flaws = Some(flaws);
        self
    }

    /// The next frame, of data or trailers.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        while !self.data_over {
            match ready!(self.data.poll_data(cx)?) {
                Some(data) => {
                    // What is taken makes room for more. A stream that is over has no window.
                    let _gone = self.data.flow_control().release_capacity(data.len());
                    let length = data.len() as u64;
                    self.left = self.left.map(|left| left.saturating_sub(length));
                    if self.left != Some(0) || self.data.is_end_stream() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    // What is empty may come before the end too.
                    self.last.get_or_insert(data);
                }
                None => self.data_over = true,
            }
        }
        if self.is_none {
            return Poll::Ready(None);
        }
        if self.trailers.is_none() {
            self.trailers = ready!(self.data.poll_trailers(cx))?;
            let is_padded = |fields: &HeaderMap| fields.values().any(headers::is_padded);
            let is_wrong = self.trailers.as_ref().is_some_and(is_padded);
            if is_wrong || self.trailers.is_some() && self.takes_flaw() {
                return Poll::Ready(Some(Err(Reason::PROTOCOL_ERROR.into())));
            }
        }
        let last = self.last.take().map(Frame::data);
        let next = last.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(next.map(Ok))
    }

    /// Whether its stream has a flaw, which is forgotten with this.
    fn takes_flaw(&self) -> bool {
        let number = self.data.stream_id().as_u32();
        let flaws = self.flaws.as_ref();
        flaws.is_some_and(|flaws| flaws.take(number).is_some())
    }

    /// Whether nothing more comes.
    pub fn is_end_stream(&self) -> bool {
        let is_over = self.is_none || self.data.is_end_stream();
        is_over && self.last.is_none() && self.trailers.is_none()
    }

    /// How many bytes are to come.
    pub fn size_hint(&self) -> SizeHint {
        let last = self.last.as_ref().map_or(0, |last| last.len() as u64);
        let left = self.left.map(|left| SizeHint::with_exact(left + last));
        left.unwrap_or_default()
    }
}

impl Drop for Framed {
    fn drop(&mut self) {
        self.takes_flaw();
    }
}

/// Sends a body and its trailers. h2 is given no more than there is room for. `moved` is told `true` when more of the body
/// went, `false` when the body itself is waited for: 32 KiB go, or all that there is; who takes a byte now and then takes
/// nothing. One that breaks resets the stream, for this reason.
///
/// # Errors
/// Where the stream ends before the body does.
pub async fn send<B>(
    mut stream: SendStream<Bytes>,
    mut body: B,
    broken: Reason,
    moved: impl Fn(bool),
) -> Result<(), h2::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        let frame = poll_fn(|cx| {
            if let Poll::Ready(left) = left(&mut stream, cx) {
                return Poll::Ready(Err(left));
            }
            let polled = Pin::new(&mut body).poll_frame(cx);
            moved(polled.is_ready());
            polled.map(Ok)
        });
        let frame = match frame.await? {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => {
                stream.send_reset(broken);
                return Err(broken.into());
            }
            None => return stream.send_data(Bytes::new(), true),
        };
        match frame.into_data() {
            Ok(data) => {
                let last = body.is_end_stream();
                send_data(&mut stream, data, last, &moved).await?;
                if last {
                    return Ok(());
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return stream.send_trailers(trailers);
                }
            }
        }
    }
}

/// Sends what came of a body; `last`: that is the end.
async fn send_data(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    last: bool,
    moved: impl Fn(bool),
) -> Result<(), h2::Error> {
    if data.is_empty() && last {
        return stream.send_data(data, true);
    }
    while !data.is_empty() {
        let mut piece = data.split_to(data.len().min(PIECE));
        while !piece.is_empty() {
            stream.reserve_capacity(piece.len());
            let room = poll_fn(|cx| poll_room(stream, cx)).await?;
            let part = piece.split_to(room.min(piece.len()));
            let ends = last && piece.is_empty() && data.is_empty();
            stream.send_data(part, ends)?;
        }
        moved(true);
    }
    Ok(())
}

/// How many bytes may be sent.
fn poll_room(
    stream: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, h2::Error>> {
    loop {
        let room = stream.capacity();
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
        if let Poll::Ready(left) = left(stream, cx) {
            return Poll::Ready(Err(left));
        }
        match ready!(stream.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(error)),
            None => return Poll::Ready(Err(Reason::CANCEL.into())),
        }
    }
}

/// Ready when the other side has reset the stream, or the connection is over.
fn left(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<h2::Error> {
    stream.poll_reset(cx).map(|reset| match reset {
        Ok(reason) => reason.into(),
        Err(error) => error,
    })
}
