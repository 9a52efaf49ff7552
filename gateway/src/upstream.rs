//! Where requests go: named groups of endpoints, and the way to get a request there and its answer back.

mod connect;
mod error;
mod fetch;
mod h1;
mod pool;
mod timer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::HeaderValue;

use crate::config;
use crate::telemetry::metrics::UpstreamMetrics;

pub use connect::{Times, send};
pub use error::SendError;
pub use fetch::{FetchError, SubRequest, fetch};
#[cfg(any(test, feature = "fuzzing"))]
pub use h1::properties;
pub use h1::{Message, ResponseBody, Tunnel};
pub use pool::{Client, Open};

/// An upstream in force.
#[derive(Debug)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// As configured.
    pub config: config::Upstream,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// Its place among every client's turns; the same for the same name over all reloads.
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
    /// Its place in every client's pool; the same for the same upstream and address over all reloads.
    pub slot: usize,
}
