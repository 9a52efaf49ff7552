//! One stream: an answer on its way to the client, at the client's pace.
//!
//! h2 is given no more of a body than the client has room for. So the exchange ends when its last byte can go, and one that
//! waits for the client is known to.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, Entry};
use http::response::Parts;
use http::{HeaderValue, Response};
use http_body::Body;

use super::{SEND_BUFFER, date};
use crate::message::interim::Interim;
use crate::server::connection::InFlight;
use crate::server::guard::clocks::now;
use crate::server::serve::BoxError;
use crate::server::streams::WAITING;

/// Carries an exchange to its end: its answer, or that of the client, who may reset the stream.
pub(super) async fn carry<F, B>(
    answer: Pin<Box<F>>,
    mut respond: SendResponse<Bytes>,
    interim: Arc<Interim>,
    in_flight: InFlight,
) where
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let Some(response) = answered(answer, &mut respond, &interim).await else {
        return;
    };
    in_flight.mark(now());
    let (mut head, body) = response.into_parts();
    finish(&mut head, &body);
    let ended = body.is_end_stream();
    let sent = match respond.send_response(Response::from_parts(head, ()), ended) {
        Ok(_) if ended => Ok(()),
        Ok(stream) => send(stream, body, &in_flight).await,
        Err(error) => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            Err(error)
        }
    };
    if let Err(error) = sent {
        tracing::debug!(peer = %in_flight.connection.peer, %error, "stream failed");
    }
}

/// Waits for the answer; none where the client leaves first. What goes before it is sent meanwhile.
async fn answered<F, B>(
    mut answer: Pin<Box<F>>,
    respond: &mut SendResponse<Bytes>,
    interim: &Interim,
) -> Option<Response<B>>
where
    F: Future<Output = Response<B>>,
{
    poll_fn(|cx| {
        let polled = answer.as_mut().poll(cx).map(Some);
        if polled.is_pending() || interim.is_waiting() {
            if respond.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            while let Poll::Ready(head) = interim.poll_take(cx) {
                let mut informed = Response::new(());
                *informed.status_mut() = head.status;
                *informed.headers_mut() = head.headers;
                if respond.send_informational(informed).is_err() {
                    return Poll::Ready(None);
                }
            }
        }
        polled
    })
    .await
}

/// What a head says beside what the exchange made of it, which may be that an HTTP/1 connection ends with it.
fn finish<B: Body>(head: &mut Parts, body: &B) {
    head.headers.remove(CONNECTION);
    if let Entry::Vacant(date) = head.headers.entry(DATE) {
        date.insert(date::now());
    }
    if !body.is_end_stream()
        && let Some(length) = body.size_hint().exact()
        && let Entry::Vacant(entry) = head.headers.entry(CONTENT_LENGTH)
    {
        entry.insert(HeaderValue::from(length));
    }
}

/// Sends a body and its trailers.
async fn send<B>(
    mut stream: SendStream<Bytes>,
    mut body: B,
    in_flight: &InFlight,
) -> Result<(), h2::Error>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    loop {
        let frame = poll_fn(|cx| {
            if let Poll::Ready(left) = left(&mut stream, cx) {
                return Poll::Ready(Err(left));
            }
            let polled = Pin::new(&mut body).poll_frame(cx);
            in_flight.mark(if polled.is_pending() { WAITING } else { now() });
            polled.map(Ok)
        })
        .await?;
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                let (peer, error) = (&in_flight.connection.peer, error.into());
                tracing::debug!(%peer, %error, "a body broke on its way to the client");
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
            None => return stream.send_data(Bytes::new(), true),
        };
        match frame.into_data() {
            Ok(data) => {
                let last = body.is_end_stream();
                send_data(&mut stream, data, last, in_flight).await?;
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

/// Sends what came of a body, as the client makes room for it. It moves when the client has taken [`SEND_BUFFER`] bytes of it,
/// or all: one that takes a byte now and then takes nothing.
async fn send_data(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    last: bool,
    in_flight: &InFlight,
) -> Result<(), h2::Error> {
    if data.is_empty() && last {
        return stream.send_data(data, true);
    }
    while !data.is_empty() {
        let mut piece = data.split_to(data.len().min(SEND_BUFFER));
        while !piece.is_empty() {
            stream.reserve_capacity(piece.len());
            let room = poll_fn(|cx| poll_room(stream, cx)).await?;
            let part = piece.split_to(room.min(piece.len()));
            let ends = last && piece.is_empty() && data.is_empty();
            stream.send_data(part, ends)?;
        }
        in_flight.mark(now());
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
        match stream.poll_capacity(cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(None) => return Poll::Ready(Err(Reason::CANCEL.into())),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// Ready when the client has reset the stream, or the connection is over.
fn left(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<h2::Error> {
    stream.poll_reset(cx).map(|reset| match reset {
        Ok(reason) => reason.into(),
        Err(error) => error,
    })
}
