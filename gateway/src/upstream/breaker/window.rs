//! Counts over the last span of time.

use std::time::{Duration, Instant};

/// How many slices a span has: what is older than the span goes a slice at a time.
const SLICES: u64 = 10;

/// How many there were in the last span of time, and how many of them were marked.
#[derive(Debug)]
pub(super) struct Window {
    began: Instant,
    /// How long a slice is; not zero.
    slice: Duration,
    slices: [Slice; SLICES as usize],
}

#[derive(Debug, Default, Clone, Copy)]
struct Slice {
    /// Which slice since it began.
    number: u64,
    all: u64,
    marked: u64,
}

impl Window {
    /// Nothing yet.
    pub(in crate::upstream) fn new(span: Duration, now: Instant) -> Self {
        Self {
            began: now,
            slice: (span / SLICES as u32).max(Duration::from_millis(1)),
            slices: [Slice::default(); SLICES as usize],
        }
    }

    /// Counts so many, and so many marks.
    pub(in crate::upstream) fn add(&mut self, now: Instant, all: u64, marked: u64) {
        let number = self.number(now);
        let slice = &mut self.slices[(number % SLICES) as usize];
        if slice.number != number {
            *slice = Slice {
                number,
                ..Slice::default()
            };
        }
        slice.all += all;
        slice.marked += marked;
    }

    /// Takes back a mark that was counted then, if that is not long ago.
    pub(super) fn unmark(&mut self, then: Instant) {
        let number = self.number(then);
        let slice = &mut self.slices[(number % SLICES) as usize];
        if slice.number == number {
            slice.marked = slice.marked.saturating_sub(1);
        }
    }

    /// All, and the marked ones.
    pub(in crate::upstream) fn counts(&self, now: Instant) -> (u64, u64) {
        let number = self.number(now);
        let recent = self.slices.iter();
        let recent = recent.filter(|slice| slice.number + SLICES > number);
        recent.fold((0, 0), |(all, marked), slice| {
            (all + slice.all, marked + slice.marked)
        })
    }

    fn number(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began);
        u64::try_from(since.as_nanos() / self.slice.as_nanos()).unwrap_or(u64::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_span_counts_no_more() {
        let began = Instant::now();
        let at = |milliseconds| began + Duration::from_millis(milliseconds);
        let mut window = Window::new(Duration::from_secs(1), began);
        window.add(at(0), 1, 1);
        window.add(at(550), 2, 0);
        assert_eq!(window.counts(at(999)), (3, 1));
        assert_eq!(window.counts(at(1_000)), (2, 0));
        window.add(at(1_020), 1, 1);
        assert_eq!(window.counts(at(1_020)), (3, 1));
        assert_eq!(window.counts(at(60_000)), (0, 0));
        window.add(at(60_000), 1, 0);
        assert_eq!(window.counts(at(60_000)), (1, 0));
    }
}
