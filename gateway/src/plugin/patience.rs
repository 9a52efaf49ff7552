//! Which calls are worth a fibre: those that may take long.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::ticker::TICK;

/// What makes a call a long one. One tick alone may come to any call.
const LONG: Duration = TICK.saturating_mul(2);
/// Calls that are made on a fibre after a long one.
const CALLS: u32 = 1_000;
/// The most of `cpu` for which the worker is left to a call that cannot give way: its default.
const DIRECT: Duration = TICK.saturating_mul(10);

/// A call on the worker's own stack costs half of one on a fibre, but cannot give way: a guest that computes for
/// milliseconds holds up the worker. So a plugin is called directly until it takes long; from then on its calls
/// run on fibres, which give way at every tick, until it was quick a thousand times. So are always the calls of a plugin
/// that is allowed more than 10 ms, and those that hold a large body (`limits::LARGE`).
#[derive(Debug)]
pub(super) struct Patience {
    /// Calls that are still to be made on a fibre.
    left: AtomicU32,
    /// At least so many.
    least: u32,
}

impl Patience {
    /// For a plugin whose calls may take so much processor time.
    pub(super) fn new(cpu: Duration) -> Self {
        let least = u32::from(cpu > DIRECT);
        Self {
            left: AtomicU32::new(least),
            least,
        }
    }

    /// Whether the next call is to run on a fibre.
    pub(super) fn wants_fibre(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    /// An instance could not be made or configured, which may have taken long.
    pub(super) fn suspect(&self) {
        self.left.store(CALLS, Ordering::Relaxed);
    }

    /// A call used so much processor time. Workers may overwrite each other here: a few calls more or less do not matter.
    pub(super) fn learn(&self, used: Duration) {
        let left = self.left.load(Ordering::Relaxed);
        if used >= LONG {
            self.left.store(CALLS, Ordering::Relaxed);
        } else if left > self.least {
            self.left.store(left - 1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_took_long_runs_on_fibres_until_it_was_quick_for_long() {
        let patience = Patience::new(DIRECT);
        patience.learn(TICK);
        assert!(!patience.wants_fibre(), "one tick comes to any call");
        patience.learn(LONG);
        for _ in 0..CALLS {
            assert!(patience.wants_fibre());
            patience.learn(Duration::ZERO);
        }
        assert!(!patience.wants_fibre());
    }

    #[test]
    fn a_plugin_that_may_take_long_always_runs_on_fibres() {
        let patience = Patience::new(DIRECT + TICK);
        for _ in 0..2 * CALLS {
            assert!(patience.wants_fibre());
            patience.learn(Duration::ZERO);
        }
    }
}
