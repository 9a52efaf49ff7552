//! How much processor time of its worker a call of a guest has used.
//!
//! A call that ends before the first tick of the epoch, as nearly all do, costs no system call. From its first tick
//! or wait on, a call is measured whenever the worker is in it; what other tasks of the worker use meanwhile, and
//! the time in which the worker has no processor, are not the guest's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::ticker::{Clock, TICK};

/// What a call has used at least if it is slow: the tick that counts whole, and half of one that was measured.
const SLOW: Duration = Duration::from_micros(1_500);

/// `since` of a call that is not measured yet.
const UNMEASURED: u64 = u64::MAX;
/// `since` of a call that the worker has left.
const AWAY: u64 = u64::MAX - 1;

/// The processor time of one call. Only the thread that polls the call writes to it; the atomics are there because
/// a store may be moved to another thread between two calls.
#[derive(Debug)]
pub(super) struct Meter {
    clock: Arc<Clock>,
    /// Nanoseconds.
    used: AtomicU64,
    /// The thread's clock when the worker came into the call, nanoseconds, or one of the marks above.
    since: AtomicU64,
    /// What was used when the worker came into the call, nanoseconds.
    before: AtomicU64,
    /// The call left the worker to others at a tick: it waits for nothing else.
    gave_way: AtomicBool,
}

/// Where a call stands at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// What the call has used so far.
    pub(super) used: Duration,
    /// What it has used since the worker came into it, as far as that was measured.
    pub(super) at_once: Duration,
}

impl Meter {
    pub(super) fn new(clock: Arc<Clock>) -> Self {
        Self {
            clock,
            used: AtomicU64::new(0),
            since: AtomicU64::new(UNMEASURED),
            before: AtomicU64::new(0),
            gave_way: AtomicBool::new(false),
        }
    }

    /// Ticks of the clock so far.
    pub(super) fn ticks(&self) -> u64 {
        self.clock.ticks()
    }

    /// Whether the call in hand has used a whole tick. A first one alone tells nothing: it comes to calls that began just
    /// before it.
    pub(super) fn is_slow(&self) -> bool {
        self.used() >= SLOW
    }

    /// The call leaves the worker to others.
    pub(super) fn give_way(&self) {
        self.gave_way.store(true, Ordering::Relaxed);
    }

    /// Whether the call left the worker to others when it was left last.
    pub(super) fn gave_way(&self) -> bool {
        self.gave_way.swap(false, Ordering::Relaxed)
    }

    /// What the call in hand has used, as far as it was measured.
    pub(super) fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Ordering::Relaxed))
    }

    /// A call begins.
    pub(super) fn begin(&self) {
        self.clock.mark();
        self.used.store(0, Ordering::Relaxed);
        self.since.store(UNMEASURED, Ordering::Relaxed);
        self.before.store(0, Ordering::Relaxed);
        self.gave_way.store(false, Ordering::Relaxed);
    }

    /// The worker comes into the call.
    pub(super) fn resume(&self) {
        self.clock.mark();
        if self.since.load(Ordering::Relaxed) == AWAY {
            self.since.store(thread_time(), Ordering::Relaxed);
            self.before
                .store(self.used.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// The worker leaves the call, which is not done. Time before the first tick is not counted; it is less than one.
    pub(super) fn pause(&self) {
        self.pause_at(thread_time);
    }

    /// The epoch moved on in the guest. The first tick counts whole, since no clock was read when it began.
    pub(super) fn tick(&self) -> Reading {
        self.clock.mark();
        self.tick_at(thread_time())
    }

    fn pause_at(&self, now: impl FnOnce() -> u64) {
        if self.since.load(Ordering::Relaxed) != UNMEASURED {
            self.tick_at(now());
        }
        self.since.store(AWAY, Ordering::Relaxed);
    }

    fn tick_at(&self, now: u64) -> Reading {
        let more = match self.since.swap(now, Ordering::Relaxed) {
            UNMEASURED => {
                self.before.store(nanos(TICK), Ordering::Relaxed);
                nanos(TICK)
            }
            AWAY => 0,
            since => now.saturating_sub(since),
        };
        let used = self.used.load(Ordering::Relaxed).saturating_add(more);
        self.used.store(used, Ordering::Relaxed);
        let at_once = used.saturating_sub(self.before.load(Ordering::Relaxed));
        Reading {
            used: Duration::from_nanos(used),
            at_once: Duration::from_nanos(at_once),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What the calling thread has used of the processors, nanoseconds.
#[cfg(unix)]
pub(super) fn thread_time() -> u64 {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    clock.now().map_or(0, |time| nanos(time.into()))
}

/// Without such a clock, the time that passes.
#[cfg(not(unix))]
pub(super) fn thread_time() -> u64 {
    static BEGAN: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    nanos(BEGAN.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn used(reading: Reading) -> Duration {
        reading.used
    }

    #[test]
    fn the_first_tick_counts_whole_and_later_ones_what_the_thread_used() {
        let meter = Meter::new(Arc::default());
        meter.begin();
        meter.resume();
        assert_eq!(used(meter.tick_at(70 * MS)), TICK);
        // A tick that came late because the worker had no processor.
        assert_eq!(
            used(meter.tick_at(70 * MS + 300)),
            TICK + Duration::from_nanos(300)
        );
        assert_eq!(used(meter.tick_at(72 * MS)), TICK * 3);
        meter.begin();
        assert_eq!(
            used(meter.tick_at(90 * MS)),
            TICK,
            "a new call begins at nothing"
        );
    }

    #[test]
    fn what_other_tasks_use_while_the_call_waits_is_not_charged() {
        let meter = Meter::new(Arc::default());
        meter.begin();
        // It waits before its first tick, and then after it.
        meter.pause_at(|| unreachable!("nothing is measured before the first tick"));
        meter.since.store(500 * MS, Ordering::Relaxed);
        assert_eq!(used(meter.tick_at(501 * MS)), TICK);
        meter.pause_at(|| 502 * MS);
        meter.since.store(900 * MS, Ordering::Relaxed);
        assert_eq!(used(meter.tick_at(900 * MS)), TICK * 2);
    }

    #[test]
    fn the_clock_is_that_of_the_processor() {
        let before = thread_time();
        std::thread::sleep(Duration::from_millis(30));
        let asleep = thread_time() - before;
        assert!(asleep < 20 * MS, "{asleep} ns while it slept");
        let mut sum = 0_u64;
        while thread_time() - before < 5 * MS {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
