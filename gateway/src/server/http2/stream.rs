//! One stream: an answer on its way to the client, at the client's pace.
//!
//! h2 is given no more of a body than the client has room for. So the exchange ends when its last byte can go, and it is known
//! which of them wait for the client.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, Entry};
use http::response::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body::Body;

use super::date;
use crate::message::body;
use crate::message::interim::Interim;
use crate::server::connection::InFlight;
use crate::server::guard::clocks::now;
use crate::server::streams::WAITING;

/// How many turns others have to tell what became of a stream that h2 has reset.
const TURNS: usize = 2;

/// Carries an exchange to its end: its answer, or that of the client, who may reset the stream.
///
/// `is_head`: of HEAD.
pub(super) async fn carry<F, B>(
    answer: Pin<Box<F>>,
    is_head: bool,
    mut respond: SendResponse<Bytes>,
    interim: Arc<Interim>,
    in_flight: InFlight,
) where
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes> + Unpin,
{
    let Some(response) = answered(answer, &mut respond, &interim).await else {
        return;
    };
    in_flight.mark(now());
    let (mut head, mut body) = response.into_parts();
    finish(&mut head, &body, is_head);
    let ended = body.is_end_stream();
    let sent = match respond.send_response(Response::from_parts(head, ()), ended) {
        Ok(_) if ended => Ok(()),
        Ok(stream) => {
            let moved = |moves| in_flight.mark(if moves { now() } else { WAITING });
            let sent = body::send(stream, &mut body, Reason::INTERNAL_ERROR, moved).await;
            // Before the exchange ends, with its body.
            if sent.as_ref().is_err_and(is_over_request) {
                interim.ending.breaks(true);
            }
            sent
        }
        Err(error) => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            Err(error)
        }
    };
    if let Err(error) = sent {
        tracing::debug!(peer = %in_flight.connection.peer, %error, "stream failed");
    }
    drop(body);
}

/// Whether a stream is ended over what the client sends, by h2 or, with the connection, by the guard. h2 does not tell whether
/// a reason is its own; clients that leave give others.
fn is_over_request(error: &h2::Error) -> bool {
    match error.reason() {
        Some(reason) => matches!(
            reason,
            Reason::PROTOCOL_ERROR
                | Reason::FLOW_CONTROL_ERROR
                | Reason::STREAM_CLOSED
                | Reason::FRAME_SIZE_ERROR
                | Reason::COMPRESSION_ERROR
                | Reason::ENHANCE_YOUR_CALM
        ),
        None => error
            .get_io()
            .is_some_and(|error| error.kind() == io::ErrorKind::Other),
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
    let mut turns = TURNS;
    poll_fn(|cx| {
        // Before its body tells that it broke: a client that resets its stream has gone. What is ended for a fault of the
        // client's is one of the body's, and the task that sends it upstream may be the first to know. It may be long in
        // knowing, or not read the body: then it is known from here.
        let reset = respond.poll_reset(cx);
        if let Poll::Ready(reset) = &reset {
            let ending = &interim.ending;
            let is_over_request = match reset {
                Ok(reason) => is_over_request(&(*reason).into()),
                Err(error) => is_over_request(error),
            };
            if is_over_request {
                ending.breaks(false);
            }
            if !ending.is_broken() {
                return Poll::Ready(None);
            }
        }
        let polled = answer.as_mut().poll(cx).map(Some);
        if polled.is_pending() || interim.is_waiting() {
            if reset.is_ready() {
                if turns == 0 {
                    return Poll::Ready(None);
                }
                turns -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
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
fn finish<B: Body>(head: &mut Parts, body: &B, is_head: bool) {
    head.headers.remove(CONNECTION);
    if let Entry::Vacant(date) = head.headers.entry(DATE) {
        date.insert(date::now());
    }
    // A plugin may have made it of an answer that has no content and says how much it would be.
    let has_none = is_head || head.status == StatusCode::NOT_MODIFIED;
    if body.is_end_stream() && !has_none && head.headers.contains_key(CONTENT_LENGTH) {
        head.headers
            .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if !body.is_end_stream()
        && let Some(length) = body.size_hint().exact()
        && let Entry::Vacant(entry) = head.headers.entry(CONTENT_LENGTH)
    {
        entry.insert(HeaderValue::from(length));
    }
}
