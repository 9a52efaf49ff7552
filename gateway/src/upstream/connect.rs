//! One request to one upstream: a connection from the pool or a new one, and the head of the answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::{sleep_until, timeout};

use super::pool::{self, Connection};
use super::{Endpoint, Upstream};
use crate::proxy::body::Outgoing;

/// Informational responses an upstream may send before its answer; more is an attack or a fault.
const MAX_INFORMATIONAL: u8 = 8;

/// Why there is no answer.
#[derive(Debug)]
pub enum SendError {
    /// No connection; the text says why.
    Connect(String),
    /// Every connection of the pool is taken.
    Saturated,
    /// The head of the answer did not come in time.
    Timeout,
    /// What came was not HTTP, or the connection ended first; the text says why.
    Protocol(String),
}

/// What [`send`] needs to know beside the request.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Whether the request may go out twice: an idempotent method and no body that was begun.
    pub replayable: bool,
    /// When the exchange as a whole must be over.
    pub deadline: Option<Instant>,
}

/// Sends a request and waits for the head of the answer.
///
/// `build` makes the request; it is called again only if `plan.replayable`, when a kept-alive connection broke
/// before a byte of the answer came: the upstream closed it while the request was under way.
///
/// Cancelling it closes the connection.
pub async fn send(
    upstream: &Upstream,
    endpoint: &Endpoint,
    plan: Plan,
    mut build: impl FnMut() -> Request<Outgoing>,
    body_sent: impl Fn() -> bool,
) -> Result<(Response<Incoming>, Connection), SendError> {
    let mut request = Some(build());
    let mut pooled = true;
    loop {
        let kept = if pooled {
            poll_fn(|cx| Poll::Ready(pool::take(endpoint, cx))).await
        } else {
            None
        };
        let reused = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => connect(upstream, endpoint).await?,
        };
        let message = match request.take() {
            Some(message) => message,
            None => build(),
        };
        match head(&mut connection, message, upstream, plan, &body_sent).await {
            Ok(response) => return Ok((response, connection)),
            Err(Broken::Unsent(message)) if reused => request = Some(*message),
            Err(Broken::Sent(_)) if reused && plan.replayable => pooled = false,
            Err(Broken::Unsent(_)) => {
                return Err(SendError::Protocol("the connection closed at once".into()));
            }
            Err(Broken::Sent(error)) => return Err(SendError::Protocol(error)),
            Err(Broken::Timeout) => return Err(SendError::Timeout),
        }
    }
}

/// Opens a connection.
async fn connect(upstream: &Upstream, endpoint: &Endpoint) -> Result<Connection, SendError> {
    let counted = Connection::count(upstream).ok_or(SendError::Saturated)?;
    let limit = upstream.config.connect_timeout;
    let stream = match timeout(limit, pool::open(endpoint.address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(SendError::Connect(format!("{}: {error}", endpoint.address))),
        Err(_) => {
            return Err(SendError::Connect(format!(
                "{}: no connection within {limit:?}",
                endpoint.address
            )));
        }
    };
    counted
        .handshake(stream, upstream, endpoint)
        .await
        .map_err(|error| SendError::Connect(format!("{}: {error}", endpoint.address)))
}

/// How an attempt failed.
enum Broken {
    /// Nothing of the request was written; here it is again.
    Unsent(Box<Request<Outgoing>>),
    /// It broke later; the text says how.
    Sent(String),
    /// The head did not come in time.
    Timeout,
}

/// Puts the request in and drives the connection until the head of the answer is there.
async fn head(
    connection: &mut Connection,
    mut request: Request<Outgoing>,
    upstream: &Upstream,
    plan: Plan,
    body_sent: &impl Fn() -> bool,
) -> Result<Response<Incoming>, Broken> {
    let informational = Arc::new(AtomicU8::new(0));
    let seen = informational.clone();
    hyper::ext::on_informational(&mut request, move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
    });
    let mut answer = pin!(connection.sender.try_send_request(request));
    let io = &mut connection.io;
    let mut clock = Clock {
        limit: upstream.config.first_byte_timeout,
        deadline: plan.deadline,
    };
    let mut timer = pin!(None::<tokio::time::Sleep>);
    poll_fn(|cx| {
        if let Some(moving) = io.as_mut()
            && Pin::new(moving).poll(cx).is_ready()
        {
            *io = None;
        }
        if informational.load(Ordering::Relaxed) > MAX_INFORMATIONAL {
            return Poll::Ready(Err(Broken::Sent(
                "more than 8 informational responses".into(),
            )));
        }
        match answer.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
            Poll::Ready(Err(mut error)) => {
                return Poll::Ready(Err(match error.take_message() {
                    Some(request) => Broken::Unsent(Box::new(request)),
                    None => Broken::Sent(describe(&error.into_error())),
                }));
            }
            Poll::Pending => {}
        }
        loop {
            match timer.as_mut().as_pin_mut() {
                None => timer.set(Some(sleep_until(clock.next().into()))),
                Some(sleep) => match sleep.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) if clock.over(body_sent()) => {
                        return Poll::Ready(Err(Broken::Timeout));
                    }
                    Poll::Ready(()) => timer.set(None),
                },
            }
        }
    })
    .await
}

/// When to give up: the exchange's deadline, or no head for `limit` after the whole request was sent.
struct Clock {
    limit: Duration,
    deadline: Option<Instant>,
}

impl Clock {
    fn next(&mut self) -> Instant {
        let limit = Instant::now() + self.limit;
        self.deadline.map_or(limit, |deadline| deadline.min(limit))
    }

    /// While the client still sends its body, only the deadline counts: the body has a clock of its own.
    fn over(&self, body_sent: bool) -> bool {
        body_sent
            || self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// hyper's error with its cause.
fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// A connection that may become a tunnel: it counts against the pool's limit while this lives, but it is not
/// one of the pool's.
#[derive(Debug)]
pub struct Upgrading {
    _open: pool::Open,
    _driver: tokio_util::task::AbortOnDropHandle<()>,
}

/// Sends a request that asks for an upgrade, on a connection of its own.
pub async fn send_upgrade(
    upstream: &Upstream,
    endpoint: &Endpoint,
    request: Request<Outgoing>,
) -> Result<(Response<Incoming>, Upgrading), SendError> {
    let connection = connect(upstream, endpoint).await?;
    let (mut sender, io, open) = connection.into_parts().ok_or(SendError::Timeout)?;
    let driver = tokio::task::spawn_local(async move {
        let _ended = io.with_upgrades().await;
    });
    let upgrading = Upgrading {
        _open: open,
        _driver: tokio_util::task::AbortOnDropHandle::new(driver),
    };
    let limit = upstream.config.first_byte_timeout;
    match timeout(limit, sender.send_request(request)).await {
        Ok(Ok(response)) => Ok((response, upgrading)),
        Ok(Err(error)) => Err(SendError::Protocol(describe(&error))),
        Err(_) => Err(SendError::Timeout),
    }
}
