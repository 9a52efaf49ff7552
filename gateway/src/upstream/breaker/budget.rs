//! How much of what goes to an upstream may be sent again: where all of it fails, repeats must not multiply it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::window::Window;

/// The span that is looked at.
const SPAN: Duration = Duration::from_secs(10);

/// So many may be sent again in each span whatever the ratio, so that where little goes on, or traffic has just begun, a
/// few failures are not the end.
const LEAST: f64 = 10.0;

/// What was sent to an upstream, and what of it again.
#[derive(Debug)]
pub(in crate::upstream) struct Budget(Mutex<Window>);

impl Budget {
    pub(in crate::upstream) fn new() -> Self {
        Self(Mutex::new(Window::new(SPAN, Instant::now())))
    }

    /// A request goes out for the first time.
    pub(in crate::upstream) fn first(&self, now: Instant) {
        self.0.lock().add(now, 1, 0);
    }

    /// Whether one more may go out again, which is counted; `ratio` is the part of all requests that may.
    pub(in crate::upstream) fn again(&self, now: Instant, ratio: f64) -> bool {
        let mut window = self.0.lock();
        let (requests, repeats) = window.counts(now);
        let may = (repeats as f64) < (requests as f64 * ratio).max(LEAST);
        if may {
            window.add(now, 0, 1);
        }
        may
    }

    /// One that was counted then stayed after all.
    pub(in crate::upstream) fn stays(&self, then: Instant) {
        self.0.lock().unmark(then);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_may_go_out_again_and_else_the_part_that_the_ratio_says() {
        let now = Instant::now();
        let budget = Budget::new();
        let repeats = |budget: &Budget| (0..1000).filter(|_| budget.again(now, 0.2)).count();
        assert_eq!(repeats(&budget), 10);
        for _ in 0..1000 {
            budget.first(now);
        }
        assert_eq!(repeats(&budget), 190);
        budget.stays(now);
        assert_eq!(repeats(&budget), 1);
        let later = now + SPAN * 2;
        assert!(budget.again(later, 0.2), "what was long ago counts no more");
    }
}
