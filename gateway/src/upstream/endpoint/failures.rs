//! What an endpoint failed at in a row, and when it was ejected for that.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config;

/// An ejection lasts no longer than so many times the first.
const LONGEST: u32 = 10;

/// What all endpoints of one upstream are judged by.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Judge {
    /// How many failures in a row are too many; 0: nobody counts.
    too_many: AtomicU32,
    /// As configured. Held while one is ejected, so that two are not at once where one may be.
    pub(in crate::upstream) rules: Mutex<Option<config::Outlier>>,
    /// Tells who brings endpoints back that one went.
    pub(in crate::upstream) notice: Arc<Notify>,
}

impl Judge {
    pub(in crate::upstream) fn new(notice: Arc<Notify>) -> Self {
        Self {
            notice,
            ..Self::default()
        }
    }

    /// By these rules from now on.
    pub(in crate::upstream) fn follow(&self, rules: Option<config::Outlier>) {
        *self.rules.lock() = rules;
        let too_many = rules.map_or(0, |rules| rules.consecutive_failures);
        self.too_many.store(too_many, Relaxed);
    }

    /// Whether failures are counted.
    #[inline]
    pub(in crate::upstream) fn counts(&self) -> bool {
        self.too_many.load(Relaxed) > 0
    }

    /// Whether so many in a row are too many.
    pub(in crate::upstream) fn is_too_many(&self, row: u32) -> bool {
        let too_many = self.too_many.load(Relaxed);
        too_many > 0 && row >= too_many
    }
}

/// What an endpoint failed at.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Failures {
    /// Requests in a row without an answer, or with a 5xx.
    pub(in crate::upstream) requests: Row,
    /// Answers in a row that broke off behind a head that was well.
    pub(in crate::upstream) bodies: Row,
    pub(in crate::upstream) ejection: Mutex<Ejection>,
}

/// How often something happened in a row.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Row(AtomicU32);

impl Row {
    /// Once more; how often it is.
    pub(in crate::upstream) fn add(&self) -> u32 {
        self.0.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// The row ends. Most times there is none.
    #[inline]
    pub(in crate::upstream) fn end(&self) {
        if self.0.load(Relaxed) != 0 {
            self.0.store(0, Relaxed);
        }
    }
}

/// When an endpoint was ejected.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Ejection {
    /// Since when it is.
    since: Option<Instant>,
    /// How often it was, one less for each time that it stayed as long as an ejection.
    times: u32,
    returned: Option<Instant>,
}

impl Ejection {
    /// It is ejected; for how long.
    pub(in crate::upstream) fn begin(&mut self, now: Instant, first: Duration) -> Duration {
        let stayed = self
            .returned
            .map_or(Duration::ZERO, |returned| now - returned);
        let quiet = stayed.as_nanos() / first.as_nanos().max(1);
        let quiet = u32::try_from(quiet).unwrap_or(u32::MAX);
        self.times = (self.times.saturating_sub(quiet) + 1).min(LONGEST);
        self.since = Some(now);
        first * self.times
    }

    /// When it is over, where the first lasts so long.
    pub(in crate::upstream) fn ends(&self, first: Duration) -> Option<Instant> {
        self.since?.checked_add(first * self.times)
    }

    /// It returns.
    pub(in crate::upstream) fn end(&mut self, now: Instant) {
        self.since = None;
        self.returned = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ejection_in_a_row_is_longer_up_to_ten_times_the_first_and_time_spent_well_counts() {
        let first = Duration::from_secs(30);
        let (mut ejection, mut now) = (Ejection::default(), Instant::now());
        for times in (1..=10).chain([10]) {
            assert_eq!(ejection.begin(now, first), first * times);
            assert_eq!(ejection.ends(first), Some(now + first * times));
            now += first * times;
            ejection.end(now);
            assert_eq!(ejection.ends(first), None);
            now += first / 2;
        }
        now += first * 8;
        assert_eq!(ejection.begin(now, first), first * 3);
        ejection.end(now);
        now += first * 100;
        assert_eq!(ejection.begin(now, first), first);
    }
}
