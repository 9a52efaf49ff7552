//! The count of an upstream's open connections.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::endpoint::{State, Upstream};
use crate::message::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;

/// Counts a connection as open while it lives.
pub struct Open {
    of: Arc<State>,
    metrics: Arc<UpstreamMetrics>,
}

impl Open {
    /// The right to open one more connection; `None` if the upstream's pool is full.
    pub(super) fn count(upstream: &Upstream) -> Option<Self> {
        let most = upstream.config.pool.max_connections;
        upstream
            .state
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < most).then_some(open + 1)
            })
            .ok()?;
        upstream.metrics.opened();
        Some(Self {
            of: upstream.state.clone(),
            metrics: upstream.metrics.clone(),
        })
    }

    /// Counts a failure of what the connection carried.
    pub(super) fn failed(&self, kind: ErrorKind) {
        self.metrics.failure(kind);
    }

    /// Counts bytes that were not asked for.
    pub(super) fn surplus(&self) {
        self.metrics.surplus();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.of.open.fetch_sub(1, Ordering::Relaxed);
        self.metrics.closed();
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Open")
    }
}
