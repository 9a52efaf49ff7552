//! What a worker did lately beside the slow calls of plugins.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::meter::thread_time;

/// How long is looked back at the least.
const LOOK: Duration = Duration::from_millis(20);
/// A worker is idle whose other work takes less than one part in so many.
const IDLE: u32 = 10;
/// One whose other work takes less than one part in so many has time to lend.
const LIGHT: u32 = 2;

/// How much else a worker has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Load {
    /// Next to nothing.
    Idle,
    /// Less than half of what it can.
    Light,
    /// More, or it is not known.
    Busy,
}

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
    load: Load,
}

impl Lately {
    /// A slow call has used so much.
    pub(super) fn slow(&self, used: Duration) {
        if let Some(look) = &mut *self.0.lock() {
            look.slow += used;
        }
    }

    /// How much else the worker had to do.
    pub(super) fn load(&self, now: Instant) -> Load {
        let mut look = self.0.lock();
        let load = match &*look {
            Some(look) if now.saturating_duration_since(look.since) < LOOK => return look.load,
            Some(look) => look.found(now, thread_used()),
            None => Load::Busy,
        };
        *look = Some(Look {
            since: now,
            thread: thread_used(),
            slow: Duration::ZERO,
            load,
        });
        load
    }
}

impl Look {
    fn found(&self, now: Instant, thread: Duration) -> Load {
        let others = thread.saturating_sub(self.thread).saturating_sub(self.slow);
        let passed = now.saturating_duration_since(self.since);
        match () {
            () if others * IDLE < passed => Load::Idle,
            () if others * LIGHT < passed => Load::Light,
            () => Load::Busy,
        }
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
            load: Load::Busy,
        };
        assert_eq!(look.found(since + ms(20), ms(116)), Load::Idle);
        assert_eq!(look.found(since + ms(20), ms(118)), Load::Light);
        assert_eq!(look.found(since + ms(20), ms(126)), Load::Busy);
        assert_eq!(look.found(since + ms(40), ms(118)), Load::Idle);
    }

    #[test]
    fn a_worker_of_which_nothing_is_known_is_not_idle() {
        let (lately, now) = (Lately::default(), Instant::now());
        assert_eq!(lately.load(now), Load::Busy);
        assert_eq!(lately.load(now + LOOK / 2), Load::Busy);
        assert_eq!(lately.load(now + Duration::from_secs(60)), Load::Idle);
    }
}
