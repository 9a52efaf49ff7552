//! Keep-alive connections of one worker.
//!
//! A connection is driven by the exchange that holds it, in the same task: no wake-up between a task for the
//! exchange and one for the connection. While it idles nobody drives it; taking it out polls it once, which
//! tells whether the other side closed it or sent what nobody asked for.

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Endpoint, Upstream};
use crate::proxy::body::Outgoing;
use crate::telemetry::metrics::UpstreamMetrics;

type Io = TokioIo<TcpStream>;

/// One connection to an endpoint.
pub struct Connection {
    /// Where requests are put in.
    pub(super) sender: http1::SendRequest<Outgoing>,
    /// What moves them; none once it has ended.
    pub(super) io: Option<http1::Connection<Io, Outgoing>>,
    slot: usize,
    idle: config::Idle,
    idle_since: Option<Instant>,
    open: Open,
}

mod config {
    /// What the pool must know of an upstream's configuration when a connection comes back.
    #[derive(Clone, Copy)]
    pub(super) struct Idle {
        pub(super) most: usize,
        pub(super) timeout: std::time::Duration,
    }
}

/// Counts a connection as open while it lives.
pub(super) struct Open {
    open: Arc<AtomicUsize>,
    metrics: Arc<UpstreamMetrics>,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Open")
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.metrics.closed();
    }
}

thread_local! {
    /// By [`Endpoint::slot`]; the one used last is at the end.
    static IDLE: RefCell<Vec<Vec<Connection>>> = const { RefCell::new(Vec::new()) };
}

impl Connection {
    /// Takes over a connected stream; `None` if the upstream's pool is full.
    pub(super) fn count(upstream: &Upstream) -> Option<Counted> {
        let most = upstream.config.pool.max_connections;
        let taken = upstream
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < most).then_some(open + 1)
            })
            .is_ok();
        taken.then(|| {
            upstream.metrics.opened();
            Counted(Open {
                open: upstream.open.clone(),
                metrics: upstream.metrics.clone(),
            })
        })
    }

    /// Takes the connection apart, for whoever drives it alone.
    pub(super) fn into_parts(
        self,
    ) -> Option<(
        http1::SendRequest<Outgoing>,
        http1::Connection<Io, Outgoing>,
        Open,
    )> {
        Some((self.sender, self.io?, self.open))
    }

    /// Moves bytes. Ready when the connection has ended.
    pub fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(io) = self.io.as_mut() else {
            return Poll::Ready(());
        };
        match Pin::new(io).poll(cx) {
            Poll::Ready(_) => {
                self.io = None;
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Puts the connection back, if it can carry another exchange: the message in hand is over on both sides.
    pub fn give_back(mut self, cx: &mut Context<'_>) {
        // The last step of the exchange may still be due inside the connection.
        if self.poll_drive(cx).is_ready() || !self.sender.is_ready() {
            return;
        }
        self.idle_since = Some(Instant::now());
        IDLE.with_borrow_mut(|idle| {
            if idle.len() <= self.slot {
                idle.resize_with(self.slot + 1, Vec::new);
            }
            let slot = &mut idle[self.slot];
            if slot.len() < self.idle.most {
                slot.push(self);
            }
        });
    }
}

/// The right to open one connection.
pub(super) struct Counted(Open);

impl Counted {
    /// Speaks HTTP/1.1 on a connected stream.
    pub(super) async fn handshake(
        self,
        stream: TcpStream,
        upstream: &Upstream,
        endpoint: &Endpoint,
    ) -> hyper::Result<Connection> {
        let (sender, io) = http1::Builder::new()
            .max_buf_size(64 << 10)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Connection {
            sender,
            io: Some(io),
            slot: endpoint.slot,
            idle: config::Idle {
                most: upstream.config.pool.idle_per_worker,
                timeout: upstream.config.pool.idle_timeout,
            },
            idle_since: None,
            open: self.0,
        })
    }
}

/// The connection to an endpoint that was used last and still lives.
pub(super) fn take(endpoint: &Endpoint, cx: &mut Context<'_>) -> Option<Connection> {
    loop {
        let mut connection = IDLE.with_borrow_mut(|idle| idle.get_mut(endpoint.slot)?.pop())?;
        let expired = connection
            .idle_since
            .is_some_and(|since| since.elapsed() > connection.idle.timeout);
        if !expired && connection.poll_drive(cx).is_pending() && connection.sender.is_ready() {
            return Some(connection);
        }
    }
}

/// Closes what has idled too long; the worker calls it now and then.
pub fn sweep() {
    let now = Instant::now();
    let expired: Vec<Connection> = IDLE.with_borrow_mut(|idle| {
        let old = |connection: &mut Connection| {
            connection
                .idle_since
                .is_some_and(|since| now.duration_since(since) > connection.idle.timeout)
        };
        idle.iter_mut()
            .flat_map(|slot| slot.extract_if(.., old).collect::<Vec<_>>())
            .collect()
    });
    drop(expired);
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// Connects to an endpoint.
pub(super) async fn open(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
