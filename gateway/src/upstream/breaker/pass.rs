//! The right to send one request, and what its breaker learns of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Breaker;
use super::held::Held;
use crate::clock;

/// The right to send one request. It is under way until this is dropped.
pub struct Pass {
    of: Arc<Breaker>,
    /// Its number, where it is the one that goes out half open.
    probe: Option<u64>,
    told: Mutex<Told>,
}

/// What the breaker was told: one outcome for a request.
#[derive(Debug, Clone, Copy)]
enum Told {
    Nothing,
    /// The head of an answer came then, which is no failure. Of a probe, that is not counted yet.
    Well(Instant),
    All,
}

impl Pass {
    /// One of a breaker, as it is now; `whole` says that nothing of the request is still to come from its client.
    ///
    /// # Errors
    /// If the request may not go out.
    pub(in crate::upstream) fn of(
        of: &Arc<Breaker>,
        now: Instant,
        whole: bool,
    ) -> Result<Arc<Self>, Held> {
        let probe = of.admit(now, whole)?;
        let (of, told) = (of.clone(), Mutex::new(Told::Nothing));
        Ok(Arc::new(Self { of, probe, told }))
    }

    /// The head of an answer came.
    pub(in crate::upstream) fn answered(&self, failed: bool) {
        if failed {
            return self.failed();
        }
        let now = clock::now();
        *self.told.lock() = Told::Well(now);
        match self.probe {
            Some(number) => self.of.is_well(number),
            None => self.of.ended(false, true, false, now),
        }
    }

    /// The answer came whole.
    pub(in crate::upstream) fn finished(&self) {
        if self.probe.is_some() {
            self.well();
        }
    }

    /// It failed: there is no answer, it is one that counts as a failure, or it broke off.
    pub(in crate::upstream) fn failed(&self) {
        let told = std::mem::replace(&mut *self.told.lock(), Told::All);
        let (now, is_probe) = (clock::now(), self.probe.is_some());
        let more = match told {
            Told::All => return,
            Told::Nothing => true,
            // Where it counts already, as one that did not fail, it is that one.
            Told::Well(at) => now.saturating_duration_since(at) >= self.of.window(),
        };
        self.of.ended(true, more, is_probe, now);
    }

    /// Whether so long is slow.
    pub(in crate::upstream) fn is_slow(&self, took: Duration) -> bool {
        self.of.slow().is_some_and(|slow| took > slow)
    }

    /// The answer to a probe is no failure.
    fn well(&self) {
        let mut told = self.told.lock();
        // An answer without a body is whole before its head is told.
        if matches!(*told, Told::Well(_)) {
            *told = Told::All;
            drop(told);
            self.of.ended(false, true, true, clock::now());
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // Its client broke the answer off: the head is what is known.
        if self.probe.is_some() {
            self.well();
        }
        self.of.leaves(self.probe);
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}
