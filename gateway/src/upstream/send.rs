//! One request to one upstream, over HTTP/1 or HTTP/2, and the head of the answer.

mod fetch;
mod learn;
mod learner;
mod outcome;
mod replay;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout_at;

use super::body::ResponseBody;
use super::connect::connect_to;
use super::endpoint::{Endpoint, Picked};
use super::error::SendError;
use super::group::Upstream;
use super::h1::{Attempt, Message, Sending};
use super::h2;
use super::pool::{Admitted, Client, Connection, place};
use super::times::{Silence, Times};
use crate::clock;
use crate::config::Protocol;
use crate::message::body::{BodyFault, Outgoing};
use crate::message::error::ErrorKind;
use crate::message::head::ResponseHead;
use learner::Learner;

pub use fetch::{FetchError, SubRequest, fetch};
pub use replay::Replayable;

/// A request to an upstream: all but its body, and the endpoint that it goes to.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The connections of this worker.
    pub client: &'a Arc<Client>,
    /// Where it goes.
    pub upstream: &'a Upstream,
    /// When things happen to it.
    pub times: Times<'a>,
    /// Its head.
    pub message: Message<'a>,
}

/// How often a request goes over another connection of HTTP/2 because the endpoint ends one in good order: most
/// times once, but with every new connection that takes fewer requests than there are, again.
const LEFT_OUT: u32 = 16;

/// The head of the answer, and the rest of it.
type Sent = Result<(ResponseHead, ResponseBody), SendError>;

/// Sends a request and waits for the head of the answer, which is counted for the upstream: as a request, or as a
/// failure by its kind.
///
/// Over HTTP/1 it goes out again on another connection where a kept-alive connection broke before a byte of the answer
/// came: the upstream closed it while the request was under way. No more than [`Replayable`] allows.
///
/// No connection of HTTP/1 is taken before the first byte of the body is there, or its end. A body that the upstream may
/// leave unread, and take for the next request, ends its connection.
///
/// A 101 is an answer only to a protocol that the message asks for. Cancelling it closes the connection (HTTP/2: resets
/// the stream).
///
/// # Errors
/// Where there is no answer; the error says whether a byte of the request went out.
pub async fn send(order: &Order<'_>, picked: Picked, body: Outgoing) -> Sent {
    match order.upstream.config.protocol {
        Protocol::H1 => over_h1(order, picked, body).await,
        // Boxed, so that exchanges over HTTP/1 do not carry the room for the others.
        Protocol::H2 | Protocol::Auto => Box::pin(over_h2(order, picked, body)).await,
    }
}

/// Over a connection of its own, which is opened or was kept.
#[inline]
async fn over_h1(order: &Order<'_>, picked: Picked, body: Outgoing) -> Sent {
    let (client, upstream) = (order.client, order.upstream);
    let mut learner = Learner::new(&order.times, &picked);
    let tls = upstream.tls.as_ref();
    let message = order.message.to(&picked.authority);
    let streams = !matches!(body, Outgoing::Empty | Outgoing::Full(_));
    let later;
    let (body, times) = match body {
        here if !streams => (here, &order.times),
        streamed => match Box::pin(begin(streamed, order.times.deadline)).await {
            Ok(begun) => {
                later = order.times.begun(clock::now());
                (begun, &later)
            }
            Err(error) => return Err(learner.failed(error)),
        },
    };
    let unread = message.has_unexpected_body(&body) && !upstream.config.reads_bodies;
    let last = unread || !picked.is_trusted(times.now);
    let replay = Replayable::of(message.method, &body);
    let mut sending = Some(Sending::new(&message, body, last, client.spare()));
    let mut pooled = true;
    let error = loop {
        let kept = pooled.then(|| client.take(&picked, tls, times.now));
        let (connection, reused, since) = match kept.flatten() {
            Some(connection) => (connection, true, times.now),
            None => match Box::pin(open(order, *times, picked.endpoint(), pooled)).await {
                Ok((connection, reused)) => (connection, reused, Instant::now()),
                Err(error) => {
                    let unsent = sending.take().and_then(Sending::into_body);
                    break error.with(unsent);
                }
            },
        };
        let again = || {
            let body = replay.as_ref().map_or(Outgoing::Empty, Replayable::body);
            Sending::new(&message, body, last, client.spare())
        };
        let request = sending.take().unwrap_or_else(again);
        let mut attempt = Attempt::new(client, connection, request, since, order.message.interim);
        let (limit, end) = times.answer(&upstream.config, since, streams);
        let silence = &mut learner.silence;
        let polled = poll_fn(|cx| attempt.poll(cx, message.method, limit, end, silence));
        let error = match polled.await {
            Ok((head, rest)) => {
                let idle = times.pause(head.status, &upstream.config);
                match attempt.answer(head, rest, order.message.upgrade, idle, picked) {
                    Ok((head, body)) => {
                        learner.answered(head.status);
                        return Ok((head, ResponseBody::H1(body)));
                    }
                    Err(error) => break error,
                }
            }
            Err(error) => error,
        };
        let stale = reused && !attempt.answered() && error.kind == ErrorKind::BadGateway;
        let replayable = replay.as_ref().is_some_and(|it| it.may_follow(&error));
        match attempt.into_sending() {
            Some(unsent) if stale && !unsent.begun() => sending = Some(unsent),
            _ if stale && replayable => {
                upstream.metrics.retry(true);
                pooled = false;
            }
            unsent => break error.with(unsent.and_then(Sending::into_body)),
        }
    };
    Err(learner.failed(error))
}

/// A body that streams, once it has begun. One that has not by the deadline is a slow one.
async fn begin(body: Outgoing, deadline: Option<Instant>) -> Result<Outgoing, SendError> {
    let begun = match deadline {
        None => body.begin().await,
        Some(deadline) => timeout_at(deadline.into(), body.begin())
            .await
            .unwrap_or(Err(BodyFault::Timeout)),
    };
    begun.map_err(SendError::body)
}

/// Over a stream of HTTP/2 to the endpoint, or over HTTP/1.1 where the endpoint chooses that.
///
/// It goes out again over another connection where the endpoint did nothing for it, and, once, where a connection that was
/// kept broke: no more than [`Replayable`] allows.
async fn over_h2(order: &Order<'_>, picked: Picked, mut body: Outgoing) -> Sent {
    let Order {
        client,
        upstream,
        times,
        message,
    } = *order;
    // What a client would switch to is HTTP/1.1's.
    if upstream.config.protocol == Protocol::Auto && message.upgrade.is_some() {
        return over_h1(order, picked, body).await;
    }
    let mut learner = Learner::new(&order.times, &picked);
    let replay = Replayable::of(message.method, &body);
    let (mut is_first, mut left_out) = (true, 0);
    let error = loop {
        let stream = match h2::reserve(client, upstream, picked.endpoint(), times).await {
            Ok(h2::Reserved::H2(stream)) => stream,
            Ok(h2::Reserved::H1) => return over_h1(order, picked, body).await,
            Err(error) => break error.with(Some(body)),
        };
        let silence = &mut learner.silence;
        let sent = stream.send(
            message,
            &picked.authority,
            body,
            &upstream.config,
            times,
            silence,
        );
        let h2::Unanswered { mut error, fate } = match sent.await {
            Ok(answered) => {
                let idle = times.idle(&upstream.config);
                match h2::Body::of(answered, stream, idle, picked).await {
                    Ok((head, body)) => {
                        learner.answered(head.status);
                        return Ok((head, ResponseBody::H2(Box::new(body))));
                    }
                    Err(error) => break error,
                }
            }
            Err(unanswered) => unanswered,
        };
        let held = replay.as_ref().filter(|replay| replay.may_follow(&error));
        let again = error.unsent.take();
        let again = again.or_else(|| held.map(Replayable::body));
        let follows = match fate {
            h2::Fate::Stayed | h2::Fate::LeftOut => left_out < LEFT_OUT,
            h2::Fate::Refused | h2::Fate::Lost => is_first,
            h2::Fate::Broke | h2::Fate::Failed => false,
        };
        match again {
            Some(again) if follows => body = again,
            again => {
                let unsent = again.filter(|_| !error.sent);
                break stream.charged(error, fate).with(unsent);
            }
        }
        learner.silence = Silence::Elsewhere;
        match fate {
            h2::Fate::Stayed | h2::Fate::LeftOut => left_out += 1,
            _ => is_first = false,
        }
        if fate != h2::Fate::Stayed {
            upstream.metrics.retry(true);
        }
    };
    Err(learner.failed(error))
}

/// A connection of HTTP/1: a new one, or, where the pool is full and `pooled` allows it, one that came to rest
/// meanwhile; whether it is such a one.
async fn open(
    order: &Order<'_>,
    times: Times<'_>,
    endpoint: &Arc<Endpoint>,
    pooled: bool,
) -> Result<(Box<Connection>, bool), SendError> {
    let Order {
        client, upstream, ..
    } = *order;
    let Admitted { offer, waited } = place(client, upstream, endpoint, times).await?;
    let (kept, mut open) = offer.split();
    if let Some(io) = kept.filter(|_| pooled) {
        let mut kept = Connection::over(io, client, upstream, endpoint, open);
        if kept.is_quiet() {
            return Ok((kept, true));
        }
        open = kept.into_tunnel().1;
    }
    let io = connect_to(&endpoint.target, Protocol::H1, upstream, endpoint, times).await;
    let io = io.map_err(|error| match waited {
        true => times.excused(error),
        false => error,
    })?;
    let opened = Connection::over(io, client, upstream, endpoint, open);
    Ok((opened, false))
}
