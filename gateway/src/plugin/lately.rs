//! What a worker did lately beside the slow calls of plugins.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::meter::thread_time;

/// How long is looked back at the least.
const LOOK: Duration = Duration::from_millis(20);
/// A worker is idle whose other work takes less than one part in so many.
const IDLE: u32 = 10;

/// Measures it; asked and told by its thread alone.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<Option<Look>>);

#[derive(Debug)]
struct Look {
    since: Instant,
    /// The processor time of the thread then.
    thread: Duration,
    /// What slow calls have used since.
    slow: Duration,
    /// What was found the time before.
    idle: bool,
}

impl Lately {
    /// A slow call has used so much.
    pub(super) fn slow(&self, used: Duration) {
        if let Some(look) = &mut *self.0.lock() {
            look.slow += used;
        }
    }

    /// Whether the worker had next to nothing else to do.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let mut look = self.0.lock();
        let idle = match &*look {
            Some(look) if now.saturating_duration_since(look.since) < LOOK => return look.idle,
            Some(look) => look.found(now, thread_used()),
            None => false,
        };
        *look = Some(Look {
            since: now,
            thread: thread_used(),
            slow: Duration::ZERO,
            idle,
        });
        idle
    }
}

impl Look {
    fn found(&self, now: Instant, thread: Duration) -> bool {
        let others = thread.saturating_sub(self.thread).saturating_sub(self.slow);
        others * IDLE < now.saturating_duration_since(self.since)
    }
}

fn thread_used() -> Duration {
    Duration::from_nanos(thread_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_idle_that_did_little_but_slow_calls() {
        let since = Instant::now();
        let ms = Duration::from_millis;
        let look = Look {
            since,
            thread: ms(100),
            slow: ms(15),
            idle: false,
        };
        assert!(look.found(since + ms(20), ms(116)));
        assert!(!look.found(since + ms(20), ms(118)));
        assert!(look.found(since + ms(40), ms(118)));
    }

    #[test]
    fn a_worker_of_which_nothing_is_known_is_not_idle() {
        let (lately, now) = (Lately::default(), Instant::now());
        assert!(!lately.is_idle(now));
        assert!(!lately.is_idle(now + LOOK / 2));
        assert!(lately.is_idle(now + Duration::from_secs(60)));
    }
}
