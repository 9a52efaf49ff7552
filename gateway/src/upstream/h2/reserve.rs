//! A stream for one request: of a connection that is there, or of one more.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::{sleep_until, timeout_at};

use super::connection::Shared;
use super::line::{Line, Turn};
use super::stream::Stream;
use crate::config::Protocol;
use crate::message::error::ErrorKind;
use crate::telemetry::metrics::Refused;
use crate::upstream::connect::connect;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::SendError;
use crate::upstream::group::Upstream;
use crate::upstream::pool::{Admitted, Client, Connection, place};
use crate::upstream::times::Times;
use crate::upstream::tls;

/// What a request goes over.
pub(in crate::upstream) enum Reserved {
    /// A stream of HTTP/2.
    H2(Stream),
    /// HTTP/1.1, since the endpoint chose that.
    H1,
}

/// A stream to an endpoint. One request at a time opens a connection, and only while there is no free stream; the others
/// wait for it, and for streams that come free.
pub(in crate::upstream) async fn reserve(
    client: &Arc<Client>,
    upstream: &Upstream,
    endpoint: &Arc<Endpoint>,
    times: Times<'_>,
) -> Result<Reserved, SendError> {
    let (line, mark) = (client.line(endpoint), tls::mark(upstream.tls.as_ref()));
    // Twice, as for a place in the pool and then for the connection.
    let until = Instant::now() + 2 * times.connect(&upstream.config);
    let until = times.end().map_or(until, |end| end.at.min(until));
    loop {
        if let Some(stream) = line.take(mark) {
            return Ok(Reserved::H2(stream));
        }
        if upstream.config.protocol == Protocol::Auto && line.speaks_h1(mark) {
            return Ok(Reserved::H1);
        }
        let mut outcome = match line.turn() {
            Turn::Wait(outcome) => outcome,
            Turn::Open(opening) => match open(client, upstream, endpoint, times, &line).await {
                Ok(reserved) => return Ok(reserved),
                Err(error) => {
                    // When an attempt is over is its own.
                    if times.over().is_none() {
                        opening.failed(error.kind, &error.why);
                    }
                    return Err(error);
                }
            },
        };
        let Some(_waiting) = line.enter(upstream.config.max_pending, &upstream.metrics) else {
            return Err(crowded(upstream));
        };
        tokio::select! {
            biased;
            ended = outcome.changed() => {
                let failed = outcome.borrow().clone();
                if let (Ok(()), Some((kind, why))) = (ended, failed) {
                    // The one who opened it has told.
                    return Err(SendError::new(kind, why).blameless());
                }
            }
            stream = line.freed(mark) => return Ok(Reserved::H2(stream)),
            () = sleep_until(until.into()) => {
                let late = late(upstream, endpoint, times);
                return Err(times.excused(late));
            }
        }
    }
}

/// Opens a connection for this request and those to come. Where it has to wait for a place, a stream that comes free
/// meanwhile is as good.
async fn open(
    client: &Arc<Client>,
    upstream: &Upstream,
    endpoint: &Arc<Endpoint>,
    times: Times<'_>,
    line: &Arc<Line>,
) -> Result<Reserved, SendError> {
    let mark = tls::mark(upstream.tls.as_ref());
    let seeking = line.seek();
    let Admitted { offer, waited } = tokio::select! {
        biased;
        place = place(client, upstream, endpoint, times) => place?,
        stream = line.freed(mark) => return Ok(Reserved::H2(stream)),
    };
    drop(seeking);
    let (_, open) = offer.split();
    let excused = |error| match waited {
        true => times.excused(error),
        false => error,
    };
    let until = Instant::now() + times.connect(&upstream.config);
    let until = times.end().map_or(until, |end| end.at.min(until));
    let io = connect(upstream, endpoint, times).await;
    let io = io.map_err(excused)?;
    if upstream.config.protocol == Protocol::Auto && io.agreed() != Some(b"h2") {
        line.chose_h1(mark);
        // It was opened to find out, and is as good as one that another request left.
        Connection::over(io, client, upstream, endpoint, open).give_back();
        return Ok(Reserved::H1);
    }
    upstream.state.places.know(client);
    let opened = timeout_at(until.into(), Shared::open(io, upstream, endpoint, open)).await;
    let shared = opened.unwrap_or_else(|_| Err(excused(late(upstream, endpoint, times))))?;
    line.add(shared);
    // The first stream is this request's, before anyone who waits takes them all.
    let stream = line.take(mark);
    stream.map(Reserved::H2).ok_or_else(|| {
        let target = &endpoint.target;
        SendError::protocol(format!("{target}: the connection ended before it was used"))
    })
}

/// There is no connection of HTTP/2 in time.
fn late(upstream: &Upstream, endpoint: &Endpoint, times: Times<'_>) -> SendError {
    let kind = match times.over() {
        Some(ErrorKind::Deadline) => ErrorKind::Deadline,
        _ => ErrorKind::ConnectTimeout,
    };
    let (target, limit) = (&endpoint.target, times.connect(&upstream.config));
    SendError::new(
        kind,
        format!("{target}: no stream of HTTP/2 within {limit:?}"),
    )
}

/// Too many wait for a stream.
fn crowded(upstream: &Upstream) -> SendError {
    upstream.metrics.refused(Refused::QueueFull);
    let most = upstream.config.max_pending;
    let why = format!(
        "every stream that the endpoint allows is taken, and as many requests wait as `breaker.max_pending` allows, {most}"
    );
    SendError::new(ErrorKind::Saturated, why)
}
