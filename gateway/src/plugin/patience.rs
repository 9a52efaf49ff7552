//! Which calls are worth a fibre: those of a plugin that was seen to take long.

use std::sync::atomic::{AtomicU32, Ordering};

/// Ticks of one call that make it a long one. One tick alone may come to any call.
const LONG: u64 = 2;
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

    /// A call took so many ticks. Workers may overwrite each other here: a few calls more or less do not matter.
    pub(super) fn learn(&self, ticks: u64) {
        let left = self.0.load(Ordering::Relaxed);
        if ticks >= LONG {
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
        patience.learn(LONG - 1);
        assert!(!patience.wants_fibre(), "one tick comes to any call");
        patience.learn(LONG);
        for _ in 0..CALLS {
            assert!(patience.wants_fibre());
            patience.learn(0);
        }
        assert!(!patience.wants_fibre());
    }
}
