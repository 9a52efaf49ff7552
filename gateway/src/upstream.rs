//! Where requests go: named groups of endpoints, and the way to get a request there and its answer back.

mod connect;
mod fetch;
mod h1;
mod pool;

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::HeaderValue;

use crate::config;
use crate::telemetry::metrics::UpstreamMetrics;

pub use connect::{SendError, Times, send};
pub use fetch::{FetchError, fetch};
pub use h1::{Message, ResponseBody};
pub use pool::{Open, sweep};

/// An upstream in force.
#[derive(Debug)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// As configured.
    pub config: config::Upstream,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// Open connections over all workers; outlives a reload.
    pub open: Arc<AtomicUsize>,
    /// Its counters.
    pub metrics: Arc<UpstreamMetrics>,
}

/// One address of an upstream.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// The `Host` that stands for it.
    pub authority: HeaderValue,
    /// Its place in every worker's pool; the same for the same upstream and address over all reloads.
    pub slot: usize,
}

impl Upstream {
    /// The next endpoint in turn, of this worker's.
    pub fn pick(&self) -> &Endpoint {
        thread_local!(static TURN: Cell<usize> = const { Cell::new(0) });
        if let [only] = self.endpoints.as_slice() {
            return only;
        }
        let turn = TURN.get();
        TURN.set(turn.wrapping_add(1));
        &self.endpoints[turn % self.endpoints.len()]
    }
}
