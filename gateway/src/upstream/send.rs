//! One request to one upstream, over HTTP/1 or HTTP/2, and the head of the answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use tokio::time::timeout_at;

use super::admission::{Admitted, place};
use super::body::ResponseBody;
use super::connect::connect_to;
use super::endpoint::{Endpoint, Picked};
use super::error::SendError;
use super::group::Upstream;
use super::h1::{Attempt, Message, Sending};
use super::h2;
use super::outcome::Outcome;
use super::pool::{Client, Connection};
use super::replay::Replayable;
use super::times::Times;
use crate::clock;
use crate::config::Protocol;
use crate::message::body::{BodyFault, Outgoing};
use crate::message::error::ErrorKind;
use crate::message::head::ResponseHead;

/// Sends a request and waits for the head of the answer, which is counted for the upstream: as a request, or as a
/// failure by its kind.
///
/// Over HTTP/1 it goes out again on another connection where a kept-alive connection broke before a byte of the answer
/// came: the upstream closed it while the request was under way. No more than [`Replayable`] allows.
///
/// No connection of HTTP/1 is taken before the first byte of the body is there, or its end. A body that the upstream may
/// leave unread, and take for the next request, ends its connection.
///
/// A 101 is an answer only to a protocol that `message` asks for. Cancelling it closes the connection (HTTP/2: resets the
/// stream).
///
/// # Errors
/// Where there is no answer; the error says whether a byte of the request went out.
pub async fn send(
    client: &Arc<Client>,
    upstream: &Upstream,
    picked: Picked,
    times: Times<'_>,
    message: Message<'_>,
    body: Outgoing,
) -> Result<(ResponseHead, ResponseBody), SendError> {
    let (endpoint, pass) = (picked.endpoint().clone(), picked.pass().cloned());
    let is_whole = matches!(body, Outgoing::Empty | Outgoing::Full(_));
    let sent = match upstream.config.protocol {
        Protocol::H1 => send_h1(client, upstream, picked, times, message, body).await,
        // Boxed, so that exchanges over HTTP/1 do not carry the room for the others.
        Protocol::H2 | Protocol::Auto => {
            Box::pin(send_h2(client, upstream, picked, times, message, body)).await
        }
    };
    let outcome = match &sent {
        Ok((head, _)) => Outcome::Answered(head.status),
        Err(error) => Outcome::Failed(error.kind),
    };
    match &sent {
        Ok(_) => {
            endpoint.ended(outcome);
            endpoint.took(clock::now().saturating_duration_since(times.now));
        }
        Err(error) if error.blameless => endpoint.cut_off(error.kind, false),
        Err(error) if times.cut_off(error.kind) => {
            endpoint.cut_off(error.kind, is_whole && error.sent);
        }
        Err(_) => endpoint.ended(outcome),
    }
    let is_blameless = sent.as_ref().is_err_and(|error| error.blameless);
    if let Some(pass) = pass.filter(|_| !is_blameless) {
        pass.ended(outcome);
    }
    sent
}

/// Over a connection of its own, which is opened or was kept.
#[inline]
async fn send_h1(
    client: &Arc<Client>,
    upstream: &Upstream,
    picked: Picked,
    times: Times<'_>,
    message: Message<'_>,
    body: Outgoing,
) -> Result<(ResponseHead, ResponseBody), SendError> {
    let (upgrade, interim) = (message.upgrade, message.interim);
    let tls = upstream.tls.as_ref();
    let message = message.to(&picked.authority);
    let streams = !matches!(body, Outgoing::Empty | Outgoing::Full(_));
    let (body, now, times) = match body {
        here if !streams => (here, times.now, times),
        streamed => {
            let begun = Box::pin(begin(streamed, times.deadline)).await?;
            let now = clock::now();
            (begun, now, times.begun(now))
        }
    };
    let unread = message.has_unexpected_body(&body) && !upstream.config.reads_bodies;
    let last = unread || !picked.is_trusted(now);
    let replay = Replayable::of(message, &body);
    let mut sending = Some(Sending::new(message, body, last, client.spare()));
    let mut pooled = true;
    loop {
        let kept = pooled.then(|| client.take(&picked, tls, now)).flatten();
        let (connection, reused, since) = match kept {
            Some(connection) => (connection, true, now),
            None => {
                let endpoint = picked.endpoint();
                match Box::pin(open(client, upstream, endpoint, times, pooled)).await {
                    Ok((connection, reused)) => (connection, reused, Instant::now()),
                    Err(error) => {
                        let unsent = sending.take().and_then(Sending::into_body);
                        return Err(error.with(unsent));
                    }
                }
            }
        };
        let again = || {
            let body = replay.as_ref().map_or(Outgoing::Empty, Replayable::body);
            Sending::new(message, body, last, client.spare())
        };
        let request = sending.take().unwrap_or_else(again);
        let mut attempt = Attempt::new(client, connection, request, since, interim);
        let (limit, end) = times.answer(&upstream.config, since, streams);
        let polled = poll_fn(|cx| attempt.poll(cx, message.method, limit, end));
        let error = match polled.await {
            Ok((head, rest)) => {
                let idle = match head.status {
                    StatusCode::SWITCHING_PROTOCOLS => times.tunnel(&upstream.config),
                    _ => times.idle(&upstream.config),
                };
                let answer = attempt.answer(head, rest, upgrade, idle, picked);
                return answer.map(|(head, body)| (head, ResponseBody::H1(body)));
            }
            Err(error) => error,
        };
        let stale = reused && !attempt.answered() && error.kind == ErrorKind::BadGateway;
        let replayable = replay
            .as_ref()
            .is_some_and(|replay| replay.may_follow(&error));
        match attempt.into_sending() {
            Some(unsent) if stale && !unsent.begun() => sending = Some(unsent),
            _ if stale && replayable => pooled = false,
            unsent => {
                let unsent = unsent.and_then(Sending::into_body);
                return Err(error.with(unsent));
            }
        }
    }
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
/// It goes out again, once, where the endpoint did nothing for it, or the connection broke: no more than [`Replayable`]
/// allows.
async fn send_h2(
    client: &Arc<Client>,
    upstream: &Upstream,
    picked: Picked,
    times: Times<'_>,
    message: Message<'_>,
    mut body: Outgoing,
) -> Result<(ResponseHead, ResponseBody), SendError> {
    // What a client would switch to is HTTP/1.1's.
    if upstream.config.protocol == Protocol::Auto && message.upgrade.is_some() {
        return send_h1(client, upstream, picked, times, message, body).await;
    }
    let replay = Replayable::of(message, &body);
    let mut is_first = true;
    loop {
        let stream = match h2::reserve(client, upstream, picked.endpoint(), times).await {
            Ok(h2::Reserved::H2(stream)) => stream,
            Ok(h2::Reserved::H1) => {
                return send_h1(client, upstream, picked, times, message, body).await;
            }
            Err(error) => return Err(error.with(Some(body))),
        };
        let sent = stream.send(message, &picked.authority, body, &upstream.config, times);
        let h2::Unanswered { mut error, broke } = match sent.await {
            Ok(answered) => {
                let idle = times.idle(&upstream.config);
                let (head, body) = h2::Body::of(answered, stream, idle, picked);
                return Ok((head, ResponseBody::H2(Box::new(body))));
            }
            Err(unanswered) => unanswered,
        };
        let held = replay.as_ref().filter(|replay| replay.may_follow(&error));
        let again = error.unsent.take();
        let again = again.or_else(|| held.map(Replayable::body));
        let is_safe = !error.sent || broke;
        match again {
            Some(again) if is_first && is_safe => body = again,
            again => {
                let unsent = again.filter(|_| !error.sent);
                return Err(error.with(unsent));
            }
        }
        is_first = false;
    }
}

/// A connection of HTTP/1: a new one, or, where the pool is full and `pooled` allows it, one that came to rest
/// meanwhile; whether it is such a one.
async fn open(
    client: &Arc<Client>,
    upstream: &Upstream,
    endpoint: &Arc<Endpoint>,
    times: Times<'_>,
    pooled: bool,
) -> Result<(Box<Connection>, bool), SendError> {
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
