//! The clock that interrupts guests: a thread that counts the epoch up every millisecond while guests run, and hardly
//! ever while none does, so that a gateway without requests lets its machine sleep.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::telemetry::metrics::Metrics;
use crate::thread::priority::go_first;

/// The time between two ticks of the epoch: the grain of `cpu`.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// The time between two ticks while no guest runs. They only bound what a missed [`Clock::mark`] could cost.
const IDLE: Duration = Duration::from_millis(50);
/// Ticks without a guest, after which there are fewer.
const QUIET: u32 = 64;
/// The niceness of the clock where it has no priority of real time. A late tick is processor time that a guest has
/// without being asked for it: where the process may not go before others, ticks are as punctual as the machine is idle.
const NICENESS: i32 = -15;

/// What guests tell the ticking thread.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// A guest ran since the last tick.
    busy: AtomicBool,
    /// The thread waits for longer than a tick.
    dozing: AtomicBool,
    /// The ticks so far, for the host: it works for guests where no epoch interrupts.
    ticks: AtomicU64,
    thread: OnceLock<Thread>,
}

impl Clock {
    /// A guest runs, or is about to. Costs one read, but for the first since a tick.
    pub(super) fn mark(&self) {
        if self.busy.load(Ordering::Relaxed) {
            return;
        }
        // Both sides write before they read, so that one of them sees the other.
        self.busy.store(true, Ordering::SeqCst);
        if self.dozing.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// The ticks so far.
    pub(super) fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Waits for a guest, but not for longer than [`IDLE`]; whether one came.
    fn doze(&self) -> bool {
        self.dozing.store(true, Ordering::SeqCst);
        if !self.busy.load(Ordering::SeqCst) {
            thread::park_timeout(IDLE);
        }
        self.dozing.store(false, Ordering::SeqCst);
        self.busy.load(Ordering::SeqCst)
    }
}

/// The ticking thread; it ends with this.
pub(super) struct Ticker {
    clock: Arc<Clock>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// `tick` counts the epoch up; `metrics` learns of ticks that came late.
    pub(super) fn start(
        tick: impl Fn() + Send + 'static,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let (clock, stop) = (Arc::new(Clock::default()), Arc::new(AtomicBool::new(false)));
        let (marked, stopped) = (clock.clone(), stop.clone());
        let tick = {
            let clock = clock.clone();
            move || {
                clock.ticks.fetch_add(1, Ordering::Relaxed);
                tick();
            }
        };
        let thread = thread::Builder::new()
            .name("epoch".to_owned())
            .spawn(move || {
                go_first(NICENESS);
                let _once = marked.thread.set(thread::current());
                let (mut last, mut quiet) = (Instant::now(), QUIET);
                while !stopped.load(Ordering::Relaxed) {
                    if quiet >= QUIET {
                        if marked.doze() {
                            // The guest that came has its first tick after a whole one.
                            (last, quiet) = (Instant::now(), 0);
                        } else {
                            tick();
                        }
                        continue;
                    }
                    thread::sleep(TICK);
                    tick();
                    let now = Instant::now();
                    if now - last > TICK * 3 / 2 {
                        metrics.late_tick();
                    }
                    last = now;
                    quiet = if marked.busy.swap(false, Ordering::SeqCst) {
                        0
                    } else {
                        quiet + 1
                    };
                }
            })?;
        Ok(Self {
            clock,
            stop,
            thread: Some(thread),
        })
    }

    /// What guests have to mark.
    pub(super) fn clock(&self) -> Arc<Clock> {
        self.clock.clone()
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else {
            return;
        };
        thread.thread().unpark();
        if thread.join().is_err() {
            tracing::error!("the thread that interrupts plugins had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// A ticker, and its ticks.
    fn ticking() -> (Ticker, Receiver<Instant>) {
        let (sender, ticks) = channel();
        let tick = move || sender.send(Instant::now()).unwrap_or_default();
        (Ticker::start(tick, Metrics::new(1)).unwrap(), ticks)
    }

    /// Takes ticks until one of them came so long after the one before.
    fn pause(ticks: &Receiver<Instant>, long: Duration) {
        let mut last = ticks.recv().unwrap();
        loop {
            let next = ticks.recv().unwrap();
            if next - last >= long {
                return;
            }
            last = next;
        }
    }

    #[test]
    fn ticks_are_rare_without_a_guest_and_soon_and_many_with_one() {
        let (ticker, ticks) = ticking();
        let clock = ticker.clock();
        let mut waited: Vec<_> = (0..5)
            .map(|_| {
                pause(&ticks, IDLE);
                let began = Instant::now();
                clock.mark();
                let first = ticks.recv().unwrap();
                let last = ticks.iter().take(QUIET as usize).last().unwrap();
                assert!(last - first < IDLE * QUIET / 2);
                first - began
            })
            .collect();
        waited.sort();
        assert!(waited[2] >= TICK && waited[2] < IDLE / 2, "{waited:?}");
    }

    #[test]
    fn a_guest_that_is_marked_all_the_time_has_no_pause() {
        let (ticker, ticks) = ticking();
        let clock = ticker.clock();
        clock.mark();
        let began = ticks.recv().unwrap();
        let mut last = began;
        for _ in 0..5 * QUIET {
            clock.mark();
            last = ticks.recv().unwrap();
        }
        // Without the marks, all ticks but the first 64 would be 50 ms apart.
        assert!(last - began < IDLE * QUIET, "{:?}", last - began);
    }
}
