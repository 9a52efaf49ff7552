//! One request to one upstream, over HTTP/1 or HTTP/2, and the head of the answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};

use super::body::ResponseBody;
use super::endpoint::{Endpoint, Picked};
use super::error::SendError;
use super::group::Upstream;
use super::h1::{Attempt, Message, Sending};
use super::h2;
use super::outcome::Outcome;
use super::places::{Offer, Way};
use super::pool::{Client, Connection};
use super::replay::Replayable;
use super::times::Times;
use crate::clock;
use crate::config::Protocol;
use crate::message::body::{BodyFault, Outgoing};
use crate::message::error::ErrorKind;
use crate::message::head::ResponseHead;
use crate::message::target::Target;
use crate::net::Stream;
use crate::telemetry::metrics::Refused;

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
    // Boxed, so that exchanges over HTTP/1 without a limit of their own do not carry the room for the others.
    let sent = match (upstream.config.protocol, times.patience) {
        (Protocol::H1, None) => send_h1(client, upstream, picked, times, message, body).await,
        (_, None) => Box::pin(send_any(client, upstream, picked, times, message, body)).await,
        (_, Some(patience)) => {
            let sending = send_any(client, upstream, picked, times, message, body);
            let sent = timeout_at(patience.into(), Box::pin(sending)).await;
            let late = || SendError::new(ErrorKind::UpstreamTimeout, "no answer in time");
            sent.unwrap_or_else(|_| Err(late().sent(true)))
        }
    };
    let outcome = match &sent {
        Ok((head, _)) => {
            endpoint.took(clock::now().saturating_duration_since(times.now));
            Outcome::Answered(head.status)
        }
        Err(error) => {
            if error.kind == ErrorKind::Deadline && error.sent && is_whole {
                endpoint.was_late();
            }
            Outcome::Failed(error.kind)
        }
    };
    endpoint.ended(outcome);
    if let Some(pass) = pass {
        pass.ended(outcome);
    }
    sent
}

async fn send_any(
    client: &Arc<Client>,
    upstream: &Upstream,
    picked: Picked,
    times: Times<'_>,
    message: Message<'_>,
    body: Outgoing,
) -> Result<(ResponseHead, ResponseBody), SendError> {
    match upstream.config.protocol {
        Protocol::H1 => send_h1(client, upstream, picked, times, message, body).await,
        Protocol::H2 => send_h2(client, upstream, picked, times, message, body).await,
    }
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
    let message = message.to(&picked.authority);
    let (body, now) = match body {
        here @ (Outgoing::Empty | Outgoing::Full(_)) => (here, times.now),
        streamed => {
            let begun = Box::pin(begin(streamed, times.deadline)).await;
            (begun?, clock::now())
        }
    };
    let unread = message.has_unexpected_body(&body) && !upstream.config.reads_bodies;
    let last = unread || !picked.is_trusted(now);
    let replay = Replayable::of(message, &body);
    let mut sending = Some(Sending::new(message, body, last, client.spare()));
    let mut pooled = true;
    loop {
        let kept = pooled.then(|| client.take(&picked, now)).flatten();
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
        let limit = times.first_byte(&upstream.config);
        let polled = poll_fn(|cx| attempt.poll(cx, message.method, limit, times.deadline));
        let error = match polled.await {
            Ok((head, rest)) => {
                let idle = times.idle(&upstream.config);
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

/// Over the connection of HTTP/2 to the endpoint, which is opened for the first request.
async fn send_h2(
    client: &Arc<Client>,
    upstream: &Upstream,
    picked: Picked,
    times: Times<'_>,
    message: Message<'_>,
    body: Outgoing,
) -> Result<(ResponseHead, ResponseBody), SendError> {
    let shared = match client.shared(&picked) {
        Some(shared) => shared,
        None => {
            let opened = open_h2(client, upstream, &picked, times).await;
            match opened {
                Ok(shared) => shared,
                Err(error) => return Err(error.with(Some(body))),
            }
        }
    };
    let sent = shared.send(upstream, picked, times, message, body).await;
    sent.map(|(head, body)| (head, ResponseBody::H2(Box::new(body))))
}

/// A connection of HTTP/2 to the endpoint, for all requests to it.
async fn open_h2(
    client: &Arc<Client>,
    upstream: &Upstream,
    picked: &Picked,
    times: Times<'_>,
) -> Result<h2::Shared, SendError> {
    let place = place(client, upstream, picked, times).await;
    let (_, place) = place?.split();
    let io = connect(upstream, &picked.target, times).await?;
    let shared = h2::Shared::open(io, picked.endpoint().clone(), place).await?;
    client.share(picked, shared.clone());
    Ok(shared)
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
    let place = place(client, upstream, endpoint, times).await?;
    let (kept, mut open) = place.split();
    if let Some(io) = kept.filter(|_| pooled) {
        let mut kept = Connection::over(io, client, upstream, endpoint, open);
        if kept.is_quiet() {
            return Ok((kept, true));
        }
        open = kept.into_tunnel().1;
    }
    let io = connect(upstream, &endpoint.target, times).await?;
    let opened = Connection::over(io, client, upstream, endpoint, open);
    Ok((opened, false))
}

/// A place for one more connection. Where the pool is full, an idle connection makes way, or the request waits its turn.
async fn place(
    client: &Arc<Client>,
    upstream: &Upstream,
    endpoint: &Endpoint,
    times: Times<'_>,
) -> Result<Offer, SendError> {
    let places = &upstream.state.places;
    if let Some(free) = places.take() {
        return Ok(Offer::Place(free));
    }
    let way = Way {
        endpoint: endpoint.slot(),
        client: Arc::as_ptr(client).addr(),
    };
    let patience = times.connect(&upstream.config);
    let most = upstream.config.max_pending;
    let (until, is_late) = match (Instant::now() + patience, times.deadline) {
        (patience, Some(deadline)) if deadline < patience => (deadline, true),
        (patience, _) => (patience, false),
    };
    let refused = match places.wait(way, most, until).await {
        Ok(offer) => return Ok(offer),
        Err(refused) => refused,
    };
    let full = format!(
        "all {} connections that `pool.max_connections` allows are taken",
        upstream.config.pool.max_connections
    );
    let (kind, why) = match refused {
        Refused::QueueFull => (
            ErrorKind::Saturated,
            format!("{full}, and as many requests wait as `breaker.max_pending` allows, {most}"),
        ),
        Refused::QueueTimeout if is_late => (ErrorKind::Deadline, full),
        Refused::QueueTimeout => (
            ErrorKind::Saturated,
            format!("{full}, and none came free within the {patience:?} of `timeouts.connect`"),
        ),
    };
    if kind == ErrorKind::Saturated {
        upstream.metrics.refused(refused);
    }
    Err(SendError::new(kind, why))
}

/// Opens a stream to where an endpoint listens, within `timeouts.connect` and before the deadline of the exchange.
pub(super) async fn connect(
    upstream: &Upstream,
    target: &Target,
    times: Times<'_>,
) -> Result<Stream, SendError> {
    let limit = times.connect(&upstream.config);
    let left = times
        .deadline
        .map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let is_late = left.is_some_and(|left| left < limit);
    let limit = left.map_or(limit, |left| left.min(limit));
    let opening = async {
        match target {
            Target::Tcp(address) => {
                let tcp = TcpStream::connect(address).await?;
                tcp.set_nodelay(true)?;
                std::io::Result::Ok(Stream::Plain(tcp))
            }
            Target::Unix(_) => Err(std::io::ErrorKind::Unsupported.into()),
        }
    };
    let (kind, why) = match timeout(limit, opening).await {
        Ok(Ok(stream)) => return Ok(stream),
        // The kernel too gives up after a while.
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
            (ErrorKind::ConnectTimeout, format!("{target}: {error}"))
        }
        Ok(Err(error)) => (ErrorKind::Connect, format!("{target}: {error}")),
        Err(_) => {
            let kind = match is_late {
                true => ErrorKind::Deadline,
                false => ErrorKind::ConnectTimeout,
            };
            (kind, format!("{target}: no connection within {limit:?}"))
        }
    };
    Err(SendError::new(kind, why))
}
