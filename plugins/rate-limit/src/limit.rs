//! One limit, ready to be asked, and what it answered.

use gateway_plugin_sdk::limiter::{Algorithm, Decision, Quota};

use crate::key::Key;

/// One limit.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) name: String,
    pub(crate) quota: Quota,
    pub(crate) cost: u32,
    pub(crate) key: Key,
}

impl Limit {
    /// How much may be taken at once: the depth of a bucket, the limit of a window.
    pub(crate) fn capacity(&self) -> u32 {
        if self.quota.algorithm == Algorithm::TokenBucket && self.quota.burst > 0 {
            self.quota.burst
        } else {
            self.quota.limit
        }
    }
}

/// Where a client stands with one limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The place of the limit in the configuration.
    pub(crate) limit: usize,
    pub(crate) decision: Decision,
}

impl Standing {
    /// Seconds until the quota is full again, or, when refused, until the request would be allowed; rounded up, so
    /// that a client that waits as long is not refused again.
    pub(crate) fn seconds(self) -> u64 {
        let reset = self.decision.reset;
        reset.as_secs() + u64::from(reset.subsec_nanos() > 0)
    }
}
