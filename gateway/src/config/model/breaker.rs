//! `upstreams.NAME.breaker`.

use std::time::Duration;

/// `upstreams.NAME.breaker`, as far as it is more than the bound of those who wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// Requests that may be under way at once, over all workers.
    pub max_requests: Option<usize>,
    /// What opens it; none: nothing does.
    pub trip: Option<Trip>,
}

/// What opens a breaker, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trip {
    /// The part of requests that failed.
    pub failure_ratio: f64,
    /// Of the requests of so long.
    pub window: Duration,
    /// Which must be so many.
    pub min_requests: u64,
    /// How long nothing is sent then.
    pub open_for: Duration,
    /// An answer whose head takes longer than this counts as a failure.
    pub slow: Option<Duration>,
}
