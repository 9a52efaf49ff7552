//! Keep-alive connections of one worker.
//!
//! A connection is driven by the exchange that holds it, in the same task: no wake-up between a task for the
//! exchange and one for the connection. While it idles nobody drives it; taking it out looks once whether the
//! other side closed it or sent what nobody asked for.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::{Client, Endpoint, Upstream};
use crate::clock;
use crate::message::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;

/// One connection to an endpoint.
pub(super) struct Connection {
    pub(super) io: TcpStream,
    /// Bytes of a message that did not come in one piece; empty between two exchanges.
    pub(super) read: BytesMut,
    pub(super) timer: Timer,
    /// Whose it is, and where it goes back to.
    client: Weak<Client>,
    slot: usize,
    most_idle: usize,
    idle_timeout: Duration,
    idle_since: Option<Instant>,
    open: Open,
}

/// Counts a connection as open while it lives.
pub struct Open {
    open: Arc<AtomicUsize>,
    metrics: Arc<UpstreamMetrics>,
}

impl Open {
    /// The right to open one more connection; `None` if the upstream's pool is full.
    pub(super) fn count(upstream: &Upstream) -> Option<Self> {
        let most = upstream.config.pool.max_connections;
        upstream
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < most).then_some(open + 1)
            })
            .ok()?;
        upstream.metrics.opened();
        Some(Self {
            open: upstream.open.clone(),
            metrics: upstream.metrics.clone(),
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.metrics.closed();
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Open")
    }
}

/// Boxed, since a connection changes hands several times per exchange.
#[allow(clippy::vec_box, reason = "the boxes are what is handed around")]
pub(super) type Idle = Vec<Box<Connection>>;

impl Connection {
    /// Connects to an endpoint.
    pub(super) async fn open(
        client: &Arc<Client>,
        upstream: &Upstream,
        endpoint: &Endpoint,
        open: Open,
    ) -> io::Result<Box<Self>> {
        let io = TcpStream::connect(endpoint.address).await?;
        io.set_nodelay(true)?;
        Ok(Box::new(Self {
            io,
            read: BytesMut::new(),
            timer: Timer::default(),
            client: Arc::downgrade(client),
            slot: endpoint.slot,
            most_idle: upstream.config.pool.idle_per_worker,
            idle_timeout: upstream.config.pool.idle_timeout,
            idle_since: None,
            open,
        }))
    }

    /// Puts the connection back: the message in hand is over on both sides.
    pub(super) fn give_back(mut self: Box<Self>) {
        // An idle connection holds no buffer.
        self.read = BytesMut::new();
        self.idle_since = Some(clock::recent());
        let Some(client) = self.client.upgrade() else {
            return;
        };
        let mut idle = client.idle.lock();
        if idle.len() <= self.slot {
            idle.resize_with(self.slot + 1, Vec::new);
        }
        let slot = &mut idle[self.slot];
        if slot.len() < self.most_idle {
            slot.push(self);
        }
    }

    /// Counts a failure of what it carried.
    pub(super) fn failed(&self, kind: ErrorKind) {
        self.open.metrics.failure(kind);
    }

    /// Takes it out of the pool's hands; it counts while [`Open`] lives.
    pub(super) fn into_tunnel(self) -> (TcpStream, Open) {
        (self.io, self.open)
    }

    pub(super) fn expired(&self, now: Instant) -> bool {
        self.idle_since
            .is_some_and(|since| now.saturating_duration_since(since) > self.idle_timeout)
    }

    /// Whether nothing came since the last exchange: neither its end nor bytes that nobody asked for. No system
    /// call where the runtime has not heard of the socket.
    fn is_quiet(&self) -> bool {
        let read = self.io.try_read(&mut [0]);
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// The connection to an endpoint that was used last and still lives.
pub(super) fn take(client: &Client, endpoint: &Endpoint, now: Instant) -> Option<Box<Connection>> {
    loop {
        let connection = client.idle.lock().get_mut(endpoint.slot)?.pop()?;
        if !connection.expired(now) && connection.is_quiet() {
            return Some(connection);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// The one timer of a connection. It stays armed from one exchange to the next and moves only when it fires or
/// would fire too late, so that an exchange in a row of many does not touch the runtime's timers.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Ready at `at`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let at = tokio::time::Instant::from_std(at);
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_timer_fires_when_asked_to_however_it_was_armed_before() {
        let mut timer = Timer::default();
        for millis in [20, 5, 10] {
            let at = Instant::now() + Duration::from_millis(millis);
            let later = at + Duration::from_mins(1);
            let armed = std::future::poll_fn(|cx| Poll::Ready(timer.poll(cx, later)));
            assert!(armed.await.is_pending());
            std::future::poll_fn(|cx| timer.poll(cx, at)).await;
            assert!(Instant::now() >= at);
            let armed = std::future::poll_fn(|cx| Poll::Ready(timer.poll(cx, later)));
            assert!(
                armed.await.is_pending(),
                "a timer that fired is armed again"
            );
        }
    }
}
