//! How many requests are under way to an upstream, whatever breaker it has or had.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::telemetry::metrics::Gauge;

/// The requests under way to one upstream, over all workers and reloads.
#[derive(Debug, Default)]
pub(in crate::upstream) struct UnderWay {
    /// Those that a breaker let out.
    passed: AtomicUsize,
    /// Those that went out while there was no breaker: a limit that a reload brings counts them too.
    free: Gauge,
}

impl UnderWay {
    /// One more that a breaker lets out, if there are fewer than so many.
    pub(super) fn enter(&self, most: Option<usize>) -> bool {
        let Some(most) = most else {
            self.passed.fetch_add(1, Relaxed);
            return true;
        };
        let free = usize::try_from(self.free.sum()).unwrap_or(usize::MAX);
        let room = |passed: usize| (passed.saturating_add(free) < most).then_some(passed + 1);
        self.passed.fetch_update(Relaxed, Relaxed, room).is_ok()
    }

    /// One that a breaker let out is under way no more.
    pub(super) fn leave(&self) {
        self.passed.fetch_sub(1, Relaxed);
    }

    /// One without a breaker goes out, or is under way no more.
    pub(in crate::upstream) fn free(&self, by: i64) {
        self.free.add(by);
    }
}
