//! `limiter`: quotas, in the plugin's own namespace. Needs no grant.

use crate::plugin::host::bindings::gateway::plugin::limiter::{Algorithm, Decision, Error, Quota};
use crate::plugin::host::guest::Guest;
use crate::state;

impl Guest {
    pub(super) fn acquire(
        &mut self,
        key: &str,
        quota: Quota,
        cost: u32,
    ) -> wasmtime::Result<Result<Decision, Error>> {
        self.budget.host_call()?;
        let quota = state::Quota {
            algorithm: match quota.algorithm {
                Algorithm::TokenBucket => state::Algorithm::TokenBucket,
                Algorithm::SlidingWindow => state::Algorithm::SlidingWindow,
                Algorithm::FixedWindow => state::Algorithm::FixedWindow,
            },
            limit: quota.limit.max(1),
            window_ms: quota.window_ms.max(1),
            burst: quota.burst,
        };
        let decision = self.shared.state.acquire(key, &quota, cost);
        Ok(decision.map_err(Error::from).map(|decision| Decision {
            allowed: decision.allowed,
            remaining: decision.remaining,
            reset_ms: decision.reset_ms,
        }))
    }
}
