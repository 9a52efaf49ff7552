//! What upstreams did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::endpoints::{EndpointMetrics, Endpoints};
use super::shards::{ByKind, Counter, Gauge};
use crate::message::error::ErrorKind;

/// What one upstream did.
#[derive(Debug)]
pub struct UpstreamMetrics {
    /// Requests and failures are theirs.
    pub(super) endpoints: Endpoints,
    pub(super) surplus: Counter,
    pub(super) open: Gauge,
    pub(super) pending: Gauge,
    pub(super) refused: ByKind,
    pub(super) retries: Counter,
    /// Requests that were not sent again, since too many were.
    pub(super) spent_budgets: Counter,
    /// How often its breaker opened, and whether it is open.
    pub(super) breaker_openings: Counter,
    pub(super) breaker_is_open: AtomicBool,
    /// How looking for the addresses of names ended, by name.
    pub(super) resolutions: Mutex<BTreeMap<(String, &'static str), u64>>,
}

/// Why a request gets no connection of a full pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// As many wait as may.
    QueueFull,
    /// None came free in time.
    QueueTimeout,
}

impl UpstreamMetrics {
    pub(super) fn new() -> Self {
        Self {
            endpoints: Endpoints::new(),
            surplus: Counter::new(),
            open: Gauge::new(),
            pending: Gauge::new(),
            refused: ByKind::new(),
            retries: Counter::new(),
            spent_budgets: Counter::new(),
            breaker_openings: Counter::new(),
            breaker_is_open: AtomicBool::new(false),
            resolutions: Mutex::default(),
        }
    }

    /// The counts of an endpoint.
    pub fn endpoint(&self, name: String) -> Arc<EndpointMetrics> {
        self.endpoints.add(name)
    }

    /// An endpoint is gone. What it counted stays in the sums of the upstream.
    pub fn gone(&self, endpoint: &Arc<EndpointMetrics>) {
        self.endpoints.remove(endpoint);
    }

    /// A connection was opened.
    pub fn opened(&self) {
        self.open.add(1);
    }

    /// A connection was closed.
    pub fn closed(&self) {
        self.open.add(-1);
    }

    /// A kept connection had bytes that were not asked for.
    pub fn surplus(&self) {
        self.surplus.add(1);
    }

    /// Requests wait for a connection (or, negative, wait no longer).
    pub fn waits(&self, by: i64) {
        self.pending.add(by);
    }

    /// How many requests wait for a connection.
    pub fn waiting(&self) -> u64 {
        self.pending.sum()
    }

    /// A request got no connection of a full pool.
    pub fn refused(&self, why: Refused) {
        self.refused.add(match why {
            Refused::QueueFull => "queue_full",
            Refused::QueueTimeout => "queue_timeout",
        });
    }

    /// The breaker let a request not out.
    pub fn held_back(&self, reason: &'static str) {
        self.refused.add(reason);
    }

    /// A request goes out again, or, with the budget of those spent, does not.
    pub fn retry(&self, goes: bool) {
        match goes {
            true => self.retries.add(1),
            false => self.spent_budgets.add(1),
        }
    }

    /// Its breaker opened, or closed.
    pub fn breaker(&self, open: bool) {
        self.breaker_openings.add(u64::from(open));
        self.breaker_is_open.store(open, Ordering::Relaxed);
    }

    /// The DNS was asked for the addresses of a name.
    pub fn resolution(&self, name: &str, outcome: &'static str) {
        let mut resolutions = self.resolutions.lock();
        *resolutions.entry((name.to_owned(), outcome)).or_default() += 1;
    }

    /// A request had no whole answer, and no endpoint.
    pub fn failure(&self, kind: ErrorKind) {
        self.endpoints.failure(kind);
    }
}
