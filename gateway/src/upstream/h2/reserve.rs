//! A stream for one request: of a connection that is there, or of one more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::sleep_until;

use super::line::{Line, Opening, Outcome, Turn, Waiting};
use super::opening::begin;
use super::stream::Stream;
use crate::config::Protocol;
use crate::message::error::ErrorKind;
use crate::telemetry::metrics::Refused;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::SendError;
use crate::upstream::group::Upstream;
use crate::upstream::pool::{Admitted, Client, Open, place};
use crate::upstream::times::Times;
use crate::upstream::tls;

/// What a request goes over.
pub(in crate::upstream) enum Reserved {
    /// A stream of HTTP/2.
    H2(Stream),
    /// HTTP/1.1, since the endpoint chose that.
    H1,
}

/// A stream to an endpoint. One connection at a time is opened, and only while there is no free stream; all wait for it,
/// and for streams that come free. Where those who wait leave, it is opened all the same, for those to come.
pub(in crate::upstream) async fn reserve(
    client: &Arc<Client>,
    upstream: &Upstream,
    endpoint: &Arc<Endpoint>,
    times: Times<'_>,
) -> Result<Reserved, SendError> {
    let (line, mark) = (client.line(endpoint), tls::mark(upstream.tls.as_ref()));
    // Twice, as for a place in the pool and then for the connection.
    let patience = times.connect(&upstream.config);
    let until = Instant::now() + 2 * patience;
    let until = times.end().map_or(until, |end| end.at.min(until));
    loop {
        if let Some(stream) = line.take(mark) {
            return Ok(Reserved::H2(stream));
        }
        if upstream.config.protocol == Protocol::Auto && line.speaks_h1(endpoint, mark) {
            return Ok(Reserved::H1);
        }
        let mut wait = match line.turn() {
            Turn::Wait(outcome) => {
                let waiting = line.enter(upstream.config.max_pending, &upstream.metrics);
                let Some(waiting) = waiting else {
                    return Err(crowded(upstream));
                };
                Wait::of(outcome, waiting)
            }
            Turn::Open(opening) => match seek(client, upstream, endpoint, times, &line).await {
                Ok(Sought::Stream(stream)) => return Ok(Reserved::H2(stream)),
                Ok(Sought::Place(open, waited)) => {
                    // It is for all routes: one that waits for less does so by itself.
                    let place = (open, patience.max(upstream.config.connect_timeout));
                    Wait::first(opening, waited, |opening, first| {
                        begin(client, upstream, endpoint, place, opening, first);
                    })
                }
                Err(error) => {
                    // When an attempt is over is its own.
                    if times.over().is_none() {
                        opening.failed(&error, patience, true);
                    }
                    return Err(error);
                }
            },
        };
        tokio::select! {
            biased;
            ended = wait.ended(patience) => if let Some(stream) = ended? {
                return Ok(Reserved::H2(stream));
            },
            stream = line.freed(mark) => return Ok(Reserved::H2(stream)),
            () = sleep_until(until.into()) => {
                let late = late(upstream, endpoint, times);
                return Err(match wait.excused {
                    true => times.excused(late),
                    false => late,
                });
            }
        }
    }
}

/// What one waits for while a connection is opened.
struct Wait {
    outcome: Outcome,
    /// Who had it opened gets its first stream, before others take them all.
    first: Option<oneshot::Receiver<Stream>>,
    /// Whether some of the time was none of the endpoint's.
    excused: bool,
    _waiting: Option<Waiting>,
}

impl Wait {
    fn of(outcome: Outcome, waiting: Waiting) -> Self {
        Self {
            outcome,
            first: None,
            excused: true,
            _waiting: Some(waiting),
        }
    }

    fn first(
        opening: Opening,
        excused: bool,
        begin: impl FnOnce(Opening, oneshot::Sender<Stream>),
    ) -> Self {
        let (outcome, (first, stream)) = (opening.outcome(), oneshot::channel());
        begin(opening, first);
        Self {
            outcome,
            first: Some(stream),
            excused,
            _waiting: None,
        }
    }

    /// The opening ended: with a stream, or with what else there is to be found, by one who may wait for so long.
    async fn ended(&mut self, patience: Duration) -> Result<Option<Stream>, SendError> {
        if let Some(first) = &mut self.first
            && let Ok(stream) = first.await
        {
            return Ok(Some(stream));
        }
        // Its end is one without a failure.
        let _ended = self.outcome.changed().await;
        let failure = self.outcome.borrow().clone();
        match failure {
            Some(failure) if !failure.came_too_soon(patience) => Err(failure.of_one()),
            _ => Ok(None),
        }
    }
}

/// What is there for one who would open a connection.
enum Sought {
    /// A place for it, and whether it was waited for.
    Place(Open, bool),
    /// A stream that came free meanwhile, which is as good.
    Stream(Stream),
}

/// Looks for a place for a connection.
async fn seek(
    client: &Arc<Client>,
    upstream: &Upstream,
    endpoint: &Arc<Endpoint>,
    times: Times<'_>,
    line: &Line,
) -> Result<Sought, SendError> {
    let mark = tls::mark(upstream.tls.as_ref());
    let _seeking = line.seek();
    tokio::select! {
        biased;
        place = place(client, upstream, endpoint, times) => {
            let Admitted { offer, waited } = place?;
            Ok(Sought::Place(offer.split().1, waited))
        }
        stream = line.freed(mark) => Ok(Sought::Stream(stream)),
    }
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
