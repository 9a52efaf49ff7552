//! What the arms of a split did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;

use super::shards::{Histogram, Statuses};

/// By the names of route and arm.
pub(super) type ByRoute = Mutex<BTreeMap<(String, String), Arc<ArmMetrics>>>;

/// Counted in the place of the status where the arm's own upstream did not answer, but the fallback of the route: a canary
/// that is dead is not to look well.
pub(super) const FALLBACK: u16 = 1;

/// What one arm of one route did.
#[derive(Debug)]
pub struct ArmMetrics {
    /// 0 is "aborted": no head was sent. 1 is [`FALLBACK`].
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

    /// An exchange is over, which the fallback of the route may have answered. No status: no head was sent.
    pub fn record(&self, status: Option<StatusCode>, has_fallen_back: bool, duration: Duration) {
        let status = match (status, has_fallen_back) {
            (None, _) => 0,
            (Some(_), true) => FALLBACK,
            (Some(status), false) => status.as_u16(),
        };
        self.statuses.add(status);
        self.duration.observe(duration);
    }
}
