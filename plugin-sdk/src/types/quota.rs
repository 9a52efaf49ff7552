//! What the limiter is asked for, and what it decides.

use std::time::Duration;

use crate::duration::milliseconds;

/// How use is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `limit` tokens flow in per window, evenly; up to `burst` of them wait.
    TokenBucket,
    /// At most `limit` in any window, estimated from this window and the last.
    SlidingWindow,
    /// At most `limit` per window of the clock.
    FixedWindow,
}

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How use is counted.
    pub algorithm: Algorithm,
    /// How many per window; at least 1.
    pub limit: u32,
    /// The window in milliseconds; at least 1.
    pub window_ms: u32,
    /// The depth of the bucket ([`Algorithm::TokenBucket`] only); 0 stands for `limit`.
    pub burst: u32,
}

impl Quota {
    /// A quota of `limit` per `window`. What is 0 counts as 1.
    #[must_use]
    pub fn new(algorithm: Algorithm, limit: u32, window: Duration) -> Self {
        Self {
            algorithm,
            limit: limit.max(1),
            window_ms: milliseconds(window).max(1),
            burst: 0,
        }
    }

    /// `limit` tokens flow in per `window`, evenly.
    #[must_use]
    pub fn token_bucket(limit: u32, window: Duration) -> Self {
        Self::new(Algorithm::TokenBucket, limit, window)
    }

    /// At most `limit` in any `window`.
    #[must_use]
    pub fn sliding_window(limit: u32, window: Duration) -> Self {
        Self::new(Algorithm::SlidingWindow, limit, window)
    }

    /// At most `limit` per `window` of the clock.
    #[must_use]
    pub fn fixed_window(limit: u32, window: Duration) -> Self {
        Self::new(Algorithm::FixedWindow, limit, window)
    }

    /// How many tokens may wait in the bucket; by default as many as the limit.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the cost was within the quota. If not, nothing was taken.
    pub allowed: bool,
    /// What is left right now.
    pub remaining: u32,
    /// Until the quota is full again, or, when refused, until the same cost would be allowed; 49 days
    /// (`u32::MAX` milliseconds) if it never would.
    pub reset: Duration,
}
