//! Where requests go: named groups of endpoints, and the way to get a request there and its answer back.

mod connect;
mod fetch;
mod h1;
mod pool;

use std::cell::RefCell;
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
    /// Its place among every worker's turns; the same for the same name over all reloads.
    pub turn: usize,
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

thread_local! {
    /// By [`Upstream::turn`]: how often an endpoint was picked.
    static TURNS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

impl Upstream {
    /// The next endpoint in turn: each worker has a turn for each upstream.
    pub fn pick(&self) -> &Endpoint {
        if let [only] = self.endpoints.as_slice() {
            return only;
        }
        let turn = TURNS.with_borrow_mut(|turns| {
            if turns.len() <= self.turn {
                turns.resize(self.turn + 1, 0);
            }
            let next = turns[self.turn].wrapping_add(1);
            std::mem::replace(&mut turns[self.turn], next)
        });
        &self.endpoints[turn % self.endpoints.len()]
    }
}
