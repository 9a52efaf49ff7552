//! Which calls are worth a fibre: those of a plugin that was seen to take long.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::ticker::TICK;

/// What makes a call a long one. One tick alone may come to any call.
const LONG: Duration = TICK.saturating_mul(2);
/// Calls that are made on a fibre after a long one.
const CALLS: u32 = 1_000;

/// A call on the worker's own stack costs half of one on a fibre, but cannot give way: a guest that computes for
/// milliseconds holds up the worker. So a plugin is called directly until it takes long; from then on its calls
/// run on fibres, which give way at every tick, until it was quick a thousand times.
#[derive(Debug, Default)]
pub(super) struct Patience(AtomicU32);

impl Patience {
    /// Whether the next call is to run on a fibre.
    pub(super) fn wants_fibre(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// A call used so much processor time. Workers may overwrite each other here: a few calls more or less do not matter.
    pub(super) fn learn(&self, used: Duration) {
        let left = self.0.load(Ordering::Relaxed);
        if used >= LONG {
            self.0.store(CALLS, Ordering::Relaxed);
        } else if left > 0 {
            self.0.store(left - 1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_took_long_runs_on_fibres_until_it_was_quick_for_long() {
        let patience = Patience::default();
        patience.learn(TICK);
        assert!(!patience.wants_fibre(), "one tick comes to any call");
        patience.learn(LONG);
        for _ in 0..CALLS {
            assert!(patience.wants_fibre());
            patience.learn(Duration::ZERO);
        }
        assert!(!patience.wants_fibre());
    }
}
