//! Connections that requests share, and when one of them makes way for a worker that has none.
//!
//! Such a connection need never be idle. While somebody waits whose worker has no connection to there, as many as are
//! wanted make way, each once its shift is over: it takes no more requests, closes as the last of them ends, and its own
//! worker stands in the line behind. One whose requests last longer than those who wait have patience for goes on, and
//! tries again later: a stream that never ends must not stop those beside it.

use std::time::{Duration, Instant};

use super::way::Way;

/// How long those who wait leave a connection at work, all of them together: the more wait, the shorter is each shift.
const SHIFT: Duration = Duration::from_millis(100);
/// How many times its patience one goes on that could not make way.
const REST: u32 = 4;

/// The shared connections of a pool, over all workers.
#[derive(Debug, Default)]
pub(super) struct Shifts {
    of: Vec<Shift>,
    next: u64,
}

#[derive(Debug)]
struct Shift {
    number: u64,
    way: Way,
    began: Instant,
    /// How long it tries to make way.
    patience: Duration,
    /// Since when it does.
    yields: Option<Instant>,
    /// Takes no more requests, whoever waits.
    left: bool,
}

impl Shift {
    fn is_yielding(&self, now: Instant) -> bool {
        self.yields
            .is_some_and(|since| now.saturating_duration_since(since) < self.patience)
    }
}

impl Shifts {
    /// A connection is there.
    pub(super) fn begin(&mut self, way: Way, patience: Duration, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.of.push(Shift {
            number,
            way,
            began: now,
            patience,
            yields: None,
            left: false,
        });
        number
    }

    /// It is closed.
    pub(super) fn end(&mut self, number: u64) {
        self.of.retain(|shift| shift.number != number);
    }

    /// It takes no more requests, and closes as the last of them ends.
    pub(super) fn leave(&mut self, number: u64, now: Instant) {
        if let Some(shift) = self.of.iter_mut().find(|shift| shift.number == number) {
            shift.left = true;
            shift.yields.get_or_insert(now);
        }
    }

    /// Whether there is one at this way.
    pub(super) fn has(&self, way: Way) -> bool {
        let mut there = self.of.iter().filter(|shift| !shift.left);
        there.any(|shift| shift.way == way)
    }

    /// Whether one takes another request, while so many wait whose worker has none.
    pub(super) fn goes_on(&mut self, number: u64, in_need: usize, now: Instant) -> bool {
        let yielding = self.of.iter().filter(|it| it.is_yielding(now)).count();
        let Some(shift) = self.of.iter_mut().find(|shift| shift.number == number) else {
            return true;
        };
        if in_need == 0 {
            return true;
        }
        if let Some(since) = shift.yields {
            let since = now.saturating_duration_since(since);
            if since < shift.patience {
                return false;
            }
            if since < shift.patience * (1 + REST) {
                return true;
            }
        }
        let lasts = SHIFT / u32::try_from(in_need).unwrap_or(u32::MAX);
        if now.saturating_duration_since(shift.began) < lasts || yielding >= in_need {
            return true;
        }
        shift.yields = Some(now);
        false
    }

    /// Whether one that carries nothing closes, while so many others wait for a place: not where enough do already.
    pub(super) fn lets_go(&self, number: u64, others: usize, now: Instant) -> bool {
        let closing = self.of.iter();
        let closing = closing.filter(|it| it.left && it.number != number && it.is_yielding(now));
        closing.count() < others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    fn way(client: usize) -> Way {
        Way {
            endpoint: 0,
            client,
            tls: 0,
        }
    }

    /// One connection of each of so many workers, and their beginning.
    fn shifts(workers: usize) -> (Shifts, Instant) {
        let (mut shifts, began) = (Shifts::default(), Instant::now());
        for worker in 0..workers {
            shifts.begin(way(worker), PATIENCE, began);
        }
        (shifts, began)
    }

    #[test]
    fn one_makes_way_once_its_shift_is_over_and_no_more_do_than_are_wanted() {
        let (mut shifts, began) = shifts(3);
        let later = began + SHIFT;
        for number in 0..3 {
            assert!(shifts.goes_on(number, 0, later));
            assert!(shifts.goes_on(number, 1, began));
        }
        assert!(!shifts.goes_on(0, 1, later));
        assert!(shifts.goes_on(1, 1, later));
        assert!(!shifts.goes_on(2, 2, began + SHIFT / 2 + Duration::from_millis(51)));
        // Who waited has gone.
        assert!(shifts.goes_on(0, 0, later));
    }

    #[test]
    fn one_that_cannot_make_way_goes_on_and_tries_again() {
        let (mut shifts, began) = shifts(1);
        let mut at = began + SHIFT;
        for _ in 0..3 {
            assert!(!shifts.goes_on(0, 1, at));
            assert!(!shifts.goes_on(0, 1, at + PATIENCE / 2));
            assert!(shifts.goes_on(0, 1, at + PATIENCE));
            at += PATIENCE * (1 + REST);
        }
    }

    #[test]
    fn a_worker_whose_connection_takes_no_more_has_none() {
        let (mut shifts, began) = shifts(2);
        assert!(shifts.has(way(0)));
        shifts.leave(0, began);
        assert!(!shifts.has(way(0)) && shifts.has(way(1)));
        // It makes way for one: there is no need for another.
        assert!(shifts.goes_on(1, 1, began + SHIFT));
        assert!(!shifts.lets_go(1, 1, began) && shifts.lets_go(1, 2, began));
        shifts.end(0);
        assert!(shifts.lets_go(1, 1, began));
        assert!(!shifts.goes_on(1, 1, began + SHIFT));
    }
}
