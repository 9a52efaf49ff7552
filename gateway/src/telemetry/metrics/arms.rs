//! What the arms of a split did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;

use super::shards::{Histogram, Statuses};

/// By the names of route and arm.
pub(super) type ByRoute = Mutex<BTreeMap<(String, String), Arc<ArmMetrics>>>;

/// What one arm of one route did.
#[derive(Debug)]
pub struct ArmMetrics {
    /// 0 is "aborted": no head was sent.
    pub(super) statuses: Statuses,
    pub(super) duration: Histogram,
}

impl ArmMetrics {
    pub(super) fn new() -> Self {
        Self {
            statuses: Statuses::new(),
            duration: Histogram::new(Duration::from_micros(100)),
        }
    }

    /// An exchange is over. No status: no head was sent.
    pub fn record(&self, status: Option<StatusCode>, duration: Duration) {
        let status = status.map_or(0, |status| status.as_u16());
        self.statuses.add(status);
        self.duration.observe(duration);
    }
}
