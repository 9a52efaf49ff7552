//! Numbers that each worker keeps for itself.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::thread::own;

/// One more than the workers: the control thread counts too, in the first shard.
static SHARDS: AtomicUsize = AtomicUsize::new(1);

/// Says how many shards what is made from now on has.
pub(super) fn expect_workers(workers: usize) {
    SHARDS.fetch_max(workers + 1, Ordering::Relaxed);
}

/// This thread is this worker.
pub fn set_shard(worker: usize) {
    own(|own| own.shard.set(worker + 1));
}

/// A place for each worker, on cache lines of its own.
#[derive(Debug)]
pub(super) struct Sharded<T>(Box<[Line<T>]>);

#[derive(Debug)]
#[repr(align(128))]
struct Line<T>(T);

impl<T> Sharded<T> {
    pub(super) fn new(mut make: impl FnMut() -> T) -> Self {
        Self(
            (0..SHARDS.load(Ordering::Relaxed))
                .map(|_| Line(make()))
                .collect(),
        )
    }

    /// This thread's.
    pub(super) fn mine(&self) -> &T {
        let shard = own(|own| own.shard.get());
        &self.0[if shard < self.0.len() { shard } else { 0 }].0
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|line| &line.0)
    }
}

/// A number that only rises.
#[derive(Debug)]
pub(super) struct Counter(Sharded<AtomicU64>);

impl Counter {
    pub(super) fn new() -> Self {
        Self(Sharded::new(AtomicU64::default))
    }

    pub(super) fn add(&self, by: u64) {
        if by > 0 {
            self.0.mine().fetch_add(by, Ordering::Relaxed);
        }
    }

    pub(super) fn sum(&self) -> u64 {
        self.0
            .all()
            .map(|shard| shard.load(Ordering::Relaxed))
            .sum()
    }
}

/// A number that rises and falls. What one worker adds another may take away: only the sum says something.
#[derive(Debug)]
pub struct Gauge(Sharded<Part>);

/// How often a worker makes do with what it saw of the others' parts of a gauge.
const LOOKS: u64 = 32;

/// A worker's part of a gauge, and what it saw of the others' last.
#[derive(Debug)]
struct Part {
    own: AtomicI64,
    others: AtomicI64,
    /// In which turn of the worker's event loop it looked at them.
    seen: AtomicU64,
    /// How often it made do with that since.
    looks: AtomicU64,
}

impl Part {
    fn new() -> Self {
        Self {
            own: AtomicI64::new(0),
            others: AtomicI64::new(0),
            seen: AtomicU64::new(0),
            looks: AtomicU64::new(0),
        }
    }
}

impl Default for Gauge {
    fn default() -> Self {
        Self::new()
    }
}

impl Gauge {
    /// Nothing yet.
    pub fn new() -> Self {
        Self(Sharded::new(Part::new))
    }

    /// Adds, or takes away.
    pub fn add(&self, by: i64) {
        self.0.mine().own.fetch_add(by, Ordering::Relaxed);
    }

    /// About the sum: with what this worker added until now, and what the others had when its event loop turned last, or
    /// at most `LOOKS` calls ago. Unlike [`Self::sum`] it seldom looks at what other workers write.
    pub fn about(&self) -> u64 {
        let (turn, mine) = (own(|own| own.turn.get()), self.0.mine());
        let (added, looks) = (
            mine.own.load(Ordering::Relaxed),
            mine.looks.load(Ordering::Relaxed),
        );
        // A thread without an event loop stays in the turn 0.
        let knows = turn != 0 && looks < LOOKS && mine.seen.load(Ordering::Relaxed) == turn;
        let others = if knows {
            mine.looks.store(looks + 1, Ordering::Relaxed);
            mine.others.load(Ordering::Relaxed)
        } else {
            let others = self.total() - added;
            mine.others.store(others, Ordering::Relaxed);
            mine.seen.store(turn, Ordering::Relaxed);
            mine.looks.store(0, Ordering::Relaxed);
            others
        };
        u64::try_from(added + others).unwrap_or(0)
    }

    /// The sum over all workers. Never below 0: shards are read one after the other.
    pub fn sum(&self) -> u64 {
        u64::try_from(self.total()).unwrap_or(0)
    }

    fn total(&self) -> i64 {
        let shards = self.0.all();
        shards.map(|shard| shard.own.load(Ordering::Relaxed)).sum()
    }
}

/// Kinds of failure that are told apart; there are about twenty.
const KINDS: usize = 32;
/// Stands for the kinds beyond them.
const OTHER: &str = "other";

/// A count for every kind of failure. A shard takes room once it counts.
#[derive(Debug)]
pub(super) struct ByKind(Sharded<OnceLock<Box<[Kind; KINDS]>>>);

#[derive(Debug, Default)]
struct Kind {
    name: OnceLock<&'static str>,
    count: AtomicU64,
}

impl ByKind {
    pub(super) fn new() -> Self {
        Self(Sharded::new(OnceLock::new))
    }

    pub(super) fn add(&self, kind: &'static str) {
        self.add_all(kind, 1);
    }

    pub(super) fn add_all(&self, kind: &'static str, by: u64) {
        let kinds = self.0.mine().get_or_init(Box::default);
        let is_it = |place: &&Kind| *place.name.get_or_init(|| kind) == kind;
        let (last, others) = kinds.split_last().expect("there are kinds");
        let place = others.iter().find(is_it).unwrap_or_else(|| {
            last.name.get_or_init(|| OTHER);
            last
        });
        place.count.fetch_add(by, Ordering::Relaxed);
    }

    /// Every kind that was seen, with its count.
    pub(super) fn sums(&self) -> BTreeMap<&'static str, u64> {
        let mut sums = BTreeMap::new();
        for kind in self
            .0
            .all()
            .filter_map(OnceLock::get)
            .flat_map(|kinds| kinds.iter())
        {
            if let Some(name) = kind.name.get() {
                *sums.entry(*name).or_default() += kind.count.load(Ordering::Relaxed);
            }
        }
        sums
    }
}

/// A count for every status code; 0 for none. A class of codes takes room once one of it was seen: with thousands
/// of routes most never are.
#[derive(Debug)]
pub(super) struct Statuses(Sharded<[OnceLock<Box<[AtomicU64; 100]>>; CLASSES]>);

/// Codes are below 600 (RFC 9110, section 15), but an upstream may answer with any three digits.
const CLASSES: usize = 10;

impl Statuses {
    pub(super) fn new() -> Self {
        Self(Sharded::new(Default::default))
    }

    pub(super) fn add(&self, status: u16) {
        let (class, code) = (usize::from(status / 100), usize::from(status % 100));
        if let Some(codes) = self.0.mine().get(class) {
            codes.get_or_init(|| Box::new([const { AtomicU64::new(0) }; 100]))[code]
                .fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every status that was seen, with its count.
    pub(super) fn sums(&self) -> impl Iterator<Item = (usize, u64)> {
        let sum = |status: usize| {
            let codes = self.0.all().filter_map(|shard| shard[status / 100].get());
            codes
                .map(|codes| codes[status % 100].load(Ordering::Relaxed))
                .sum()
        };
        (0..CLASSES * 100)
            .map(move |status| (status, sum(status)))
            .filter(|(_, count)| *count > 0)
    }
}

/// Buckets that double: from the smallest bound to 2^23 times it.
const BUCKETS: usize = 24;

/// Durations in buckets.
#[derive(Debug)]
pub(super) struct Histogram {
    /// The first bucket's upper bound, nanoseconds.
    smallest: u64,
    shards: Sharded<Durations>,
}

#[derive(Debug, Default)]
struct Durations {
    nanoseconds: AtomicU64,
    /// The last one is for all that is larger.
    buckets: [AtomicU64; BUCKETS + 1],
}

impl Histogram {
    pub(super) fn new(smallest: Duration) -> Self {
        Self {
            smallest: nanoseconds(smallest).max(1),
            shards: Sharded::new(Durations::default),
        }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let taken = nanoseconds(duration);
        let shard = self.shards.mine();
        shard.nanoseconds.fetch_add(taken, Ordering::Relaxed);
        // The bucket is the number of doublings that the smallest bound needs to reach the duration.
        let times = taken.saturating_sub(1) / self.smallest;
        let bucket = (u64::BITS - times.leading_zeros()) as usize;
        shard.buckets[bucket.min(BUCKETS)].fetch_add(1, Ordering::Relaxed);
    }

    /// Seconds in all, observations, and each bucket's bound in seconds with its own count.
    pub(super) fn sums(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let of = |bucket: usize| {
            self.shards
                .all()
                .map(|shard| shard.buckets[bucket].load(Ordering::Relaxed))
                .sum()
        };
        let bound = |bucket: usize| {
            if bucket == BUCKETS {
                f64::INFINITY
            } else {
                self.smallest as f64 * 2_f64.powi(bucket as i32) / 1e9
            }
        };
        let buckets: Vec<(f64, u64)> = (0..=BUCKETS)
            .map(|bucket| (bound(bucket), of(bucket)))
            .collect();
        let total: u64 = self
            .shards
            .all()
            .map(|shard| shard.nanoseconds.load(Ordering::Relaxed))
            .sum();
        (
            total as f64 / 1e9,
            buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        )
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_whose_bound_is_the_next_one_up() {
        let histogram = Histogram::new(Duration::from_micros(1));
        for (nanoseconds, bound) in [
            (1, 1e-6),
            (1_000, 1e-6),
            (1_001, 2e-6),
            (2_000, 2e-6),
            (2_001, 4e-6),
            (9_000, 16e-6),
        ] {
            let before = histogram.sums().2;
            histogram.observe(Duration::from_nanos(nanoseconds));
            let grown = histogram
                .sums()
                .2
                .iter()
                .zip(before)
                .find(|(now, then)| now.1 > then.1)
                .unwrap()
                .0
                .0;
            assert!(
                (grown - bound).abs() < 1e-12,
                "{nanoseconds} ns fell under {grown}"
            );
        }
    }

    #[test]
    fn shards_add_up() {
        expect_workers(2);
        let counter = Counter::new();
        std::thread::scope(|scope| {
            for worker in 0..2 {
                let counter = &counter;
                scope.spawn(move || {
                    set_shard(worker);
                    counter.add(21);
                });
            }
        });
        assert_eq!(counter.sum(), 42);
    }

    #[test]
    fn a_gauge_that_one_worker_raises_and_another_lowers_is_their_sum() {
        expect_workers(2);
        let gauge = Gauge::new();
        std::thread::scope(|scope| {
            for (worker, by) in [(0, 5), (1, -3)] {
                let gauge = &gauge;
                scope.spawn(move || {
                    set_shard(worker);
                    gauge.add(by);
                });
            }
        });
        assert_eq!(gauge.sum(), 2);
    }

    #[test]
    fn about_how_much_a_gauge_has_is_its_own_part_now_and_the_others_as_of_this_turn() {
        expect_workers(2);
        let gauge = Gauge::new();
        let other = |by| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    set_shard(1);
                    gauge.add(by);
                });
            });
        };
        let turn = || own(|own| own.turn.set(own.turn.get() + 1));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                set_shard(0);
                other(3);
                assert_eq!(gauge.about(), 3, "without an event loop it is the sum");
                turn();
                assert_eq!(gauge.about(), 3);
                other(4);
                gauge.add(10);
                assert_eq!(gauge.about(), 13, "the others' part as it was");
                turn();
                assert_eq!(gauge.about(), 17);
                other(1);
                assert!((0..LOOKS).all(|_| gauge.about() == 17));
                assert_eq!(gauge.about(), 18, "however long a turn lasts");
            });
        });
    }

    #[test]
    fn every_kind_has_its_count_and_the_ones_beyond_the_bound_share_one() {
        let kinds = ByKind::new();
        let names: Vec<&'static str> = (0..KINDS + 5)
            .map(|index| &*format!("kind_{index}").leak())
            .collect();
        for name in &names {
            kinds.add(name);
            kinds.add(name);
        }
        let sums = kinds.sums();
        assert_eq!(sums.len(), KINDS);
        assert_eq!(sums["kind_0"], 2);
        assert_eq!(sums[OTHER], 12);
    }

    #[test]
    fn a_status_that_no_standard_knows_is_counted_too() {
        let statuses = Statuses::new();
        for status in [0, 200, 600, 999] {
            statuses.add(status);
        }
        assert_eq!(
            statuses.sums().collect::<Vec<_>>(),
            [(0, 1), (200, 1), (600, 1), (999, 1)]
        );
    }
}
