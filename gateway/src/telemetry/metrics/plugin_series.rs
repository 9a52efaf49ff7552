//! Counters and histograms that plugins name themselves: bounded in number, and counted by each worker apart.
//!
//! A worker finds a series in a table of its own, by name and labels as they are borrowed. Only the first use of a
//! series on a worker asks the plugin's registry, which all workers share; the table's lock is contended by nobody
//! but a scrape, for a batch of lines at a time.

mod key;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use parking_lot::Mutex;

use super::shards::Sharded;
use key::{Key, Kind, MOST, Wanted, check};

pub(super) use key::Names;
pub use key::Unfit;

/// How often a worker asks for series that are refused because there are too many, before it drops what it does not
/// know unasked: an endless label must not make workers wait for each other.
const REFUSALS: usize = 1_000;
/// Lines that a scrape reads while the worker waits.
const BATCH: usize = 32;

/// Upper bounds of a histogram's buckets.
pub(super) const BOUNDS: [f64; 15] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0,
];

/// What was counted.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Count(u64),
    Observed(Box<Observed>),
}

/// Values in buckets of powers of ten and their halves.
#[derive(Debug, Default, Clone)]
pub(super) struct Observed {
    pub(super) sum: f64,
    pub(super) count: u64,
    pub(super) buckets: [u64; BOUNDS.len() + 1],
}

/// The series of one plugin.
#[derive(Debug)]
pub(super) struct Series {
    names: Arc<Names>,
    /// What there is over all workers.
    registry: Mutex<HashSet<Key>>,
    shards: Sharded<Mutex<Shard>>,
}

/// The series that one worker uses.
#[derive(Debug, Default)]
struct Shard {
    series: IndexMap<Key, Value, foldhash::quality::RandomState>,
    refusals: usize,
    dropped: u64,
}

impl Series {
    pub(super) fn new(names: Arc<Names>) -> Self {
        Self {
            names,
            registry: Mutex::default(),
            shards: Sharded::new(Mutex::default),
        }
    }

    pub(super) fn count(
        &self,
        name: &str,
        labels: &mut [(String, String)],
        by: u64,
    ) -> Result<(), Unfit> {
        self.change(name, labels, Kind::Counter, |value| {
            if let Value::Count(count) = value {
                *count = count.saturating_add(by);
            }
        })
    }

    pub(super) fn observe(
        &self,
        name: &str,
        labels: &mut [(String, String)],
        value: f64,
    ) -> Result<(), Unfit> {
        if !value.is_finite() {
            self.shards.mine().lock().dropped += 1;
            return Err(Unfit::Number);
        }
        self.change(name, labels, Kind::Histogram, |all| {
            if let Value::Observed(observed) = all {
                observed.sum = finite(observed.sum + value);
                observed.count += 1;
                observed.buckets[BOUNDS.partition_point(|bound| *bound < value)] += 1;
            }
        })
    }

    /// Every series with what all workers counted, and how much was dropped.
    pub(super) fn sums(&self) -> (BTreeMap<Key, Value>, u64) {
        let mut sums = BTreeMap::new();
        let mut dropped = 0;
        for shard in self.shards.all() {
            dropped += shard.lock().dropped;
            let mut read = 0;
            loop {
                let lines = shard.lock().batch(read);
                if lines.is_empty() {
                    break;
                }
                read += lines.len();
                for (key, value) in lines {
                    sums.entry(key)
                        .and_modify(|sum: &mut Value| sum.add(&value))
                        .or_insert(value);
                }
            }
        }
        (sums, dropped)
    }

    fn change(
        &self,
        name: &str,
        labels: &mut [(String, String)],
        kind: Kind,
        act: impl FnOnce(&mut Value),
    ) -> Result<(), Unfit> {
        // The same labels in another order are the same series.
        if !labels.is_sorted_by(|one, next| one.0 <= next.0) {
            labels.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        }
        let wanted = Wanted { name, labels };
        let mut shard = self.shards.mine().lock();
        if let Some(value) = shard.series.get_mut(&wanted) {
            if value.kind() == kind {
                act(value);
                return Ok(());
            }
            shard.dropped += 1;
            return Err(Unfit::Kind);
        }
        match self.admit(&mut shard, wanted, kind) {
            Ok(Some(key)) => {
                act(shard.series.entry(key).or_insert(Value::new(kind)));
                Ok(())
            }
            Ok(None) => {
                shard.dropped += 1;
                Ok(())
            }
            Err(unfit) => {
                shard.dropped += 1;
                Err(unfit)
            }
        }
    }

    /// The key of a series that is new to a worker. `None`: there are too many, which was said before.
    fn admit(
        &self,
        shard: &mut Shard,
        wanted: Wanted<'_>,
        kind: Kind,
    ) -> Result<Option<Key>, Unfit> {
        if shard.refusals >= REFUSALS {
            return Ok(None);
        }
        check(wanted)?;
        let key = Key {
            name: wanted.name.to_owned(),
            labels: wanted.labels.to_vec(),
        };
        let mut registry = self.registry.lock();
        if !registry.contains(&key) {
            if registry.len() >= MOST {
                shard.refusals += 1;
                return match shard.refusals {
                    1 => Err(Unfit::TooMany),
                    _ => Ok(None),
                };
            }
            self.names
                .take(wanted.name, kind)
                .inspect_err(|_| shard.refusals += 1)?;
            registry.insert(key.clone());
        }
        Ok(Some(key))
    }
}

impl Shard {
    fn batch(&self, from: usize) -> Vec<(Key, Value)> {
        let lines = self.series.iter().skip(from).take(BATCH);
        lines
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

impl Value {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Count(0),
            Kind::Histogram => Self::Observed(Box::default()),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Count(_) => Kind::Counter,
            Self::Observed(_) => Kind::Histogram,
        }
    }

    fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(sum), Self::Count(count)) => *sum = sum.saturating_add(*count),
            (Self::Observed(sum), Self::Observed(other)) => {
                sum.sum = finite(sum.sum + other.sum);
                sum.count += other.count;
                for (sum, count) in sum.buckets.iter_mut().zip(other.buckets) {
                    *sum += count;
                }
            }
            // A name has one kind.
            _ => {}
        }
    }
}

/// A sum of finite numbers that stays one: beyond the largest it is the largest.
fn finite(sum: f64) -> f64 {
    sum.clamp(f64::MIN, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::shards::{expect_workers, set_shard};
    use super::key::LENGTH;
    use super::*;

    fn labels(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        labels.iter().map(owned).collect()
    }

    fn count(series: &Series, name: &str, of: &[(&str, &str)]) -> Result<(), Unfit> {
        series.count(name, &mut labels(of), 1)
    }

    #[test]
    fn the_workers_counts_of_one_series_add_up_whatever_the_order_of_its_labels() {
        expect_workers(2);
        let series = Series::new(Arc::default());
        std::thread::scope(|scope| {
            for (worker, order) in [[("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")]]
                .into_iter()
                .enumerate()
            {
                let series = &series;
                scope.spawn(move || {
                    set_shard(worker);
                    for _ in 0..100 {
                        count(series, "calls", &order).unwrap();
                        series.observe("took", &mut labels(&order), 0.2).unwrap();
                    }
                });
            }
        });
        let (sums, dropped) = series.sums();
        assert_eq!((sums.len(), dropped), (2, 0));
        let values: Vec<_> = sums.values().collect();
        assert!(matches!(values[0], Value::Count(200)), "{values:?}");
        let Value::Observed(observed) = values[1] else {
            panic!("{values:?}")
        };
        assert_eq!((observed.count, observed.buckets[7]), (200, 200));
    }

    #[test]
    fn an_endless_label_neither_grows_the_memory_nor_stops_what_was_counted_before() {
        let series = Series::new(Arc::default());
        count(&series, "calls", &[]).unwrap();
        let mut said = 0;
        for value in 0..10_000 {
            said += usize::from(count(&series, "calls", &[("id", &value.to_string())]).is_err());
        }
        count(&series, "calls", &[]).unwrap();
        let (sums, dropped) = series.sums();
        assert_eq!(sums.len(), MOST);
        assert_eq!(dropped, 10_001 - MOST as u64);
        assert_eq!(said, 1, "it is said once");
        assert!(matches!(sums.values().next(), Some(Value::Count(2))));
    }

    #[test]
    fn what_would_spoil_the_text_is_refused() {
        let series = Series::new(Arc::default());
        let long = "x".repeat(LENGTH + 1);
        let many: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
            .map(|name| (name, ""))
            .into();
        for (name, labels, unfit) in [
            ("", &[][..], Unfit::Name),
            ("9", &[], Unfit::Name),
            ("a b", &[], Unfit::Name),
            ("a\n", &[], Unfit::Name),
            ("a_total", &[], Unfit::Suffix),
            ("a_bucket", &[], Unfit::Suffix),
            ("a_sum", &[], Unfit::Suffix),
            ("a_count", &[], Unfit::Suffix),
            ("a_created", &[], Unfit::Suffix),
            ("a", &[("b c", "")], Unfit::Label),
            ("a", &[("", "")], Unfit::Label),
            ("a", &[("__name__", "")], Unfit::Label),
            ("a", &[("le", "1")], Unfit::Reserved),
            ("a", &[("plugin", "other")], Unfit::Reserved),
            ("a", &[("b", "1"), ("c", ""), ("b", "2")], Unfit::Twice),
            ("a", &[("b", &long)], Unfit::Value),
            ("a", &many, Unfit::Labels),
        ] {
            assert_eq!(
                count(&series, name, labels),
                Err(unfit),
                "{name} {labels:?}"
            );
        }
        assert_eq!(series.observe("a", &mut [], f64::NAN), Err(Unfit::Number));
        let (sums, dropped) = series.sums();
        assert_eq!((sums.len(), dropped), (0, 18));
    }

    #[test]
    fn a_name_is_a_counter_or_a_histogram_for_all_plugins() {
        let names = Arc::new(Names::default());
        let (one, other) = (Series::new(names.clone()), Series::new(names));
        count(&one, "calls", &[]).unwrap();
        assert_eq!(one.observe("calls", &mut [], 1.0), Err(Unfit::Kind));
        assert_eq!(other.observe("calls", &mut [], 1.0), Err(Unfit::Kind));
        count(&other, "calls", &[]).unwrap();
    }

    #[test]
    fn a_sum_that_would_overflow_stays_finite_within_a_worker_and_over_all() {
        expect_workers(2);
        let series = Series::new(Arc::default());
        std::thread::scope(|scope| {
            for worker in 0..2 {
                let series = &series;
                scope.spawn(move || {
                    set_shard(worker);
                    for _ in 0..2 {
                        series.observe("took", &mut [], f64::MAX).unwrap();
                        series.observe("lost", &mut [], f64::MIN).unwrap();
                    }
                    series.observe("lost", &mut [], f64::MAX).unwrap();
                });
            }
        });
        let sums = series.sums().0;
        let sums: Vec<_> = sums.values().collect();
        let [Value::Observed(lost), Value::Observed(took)] = &sums[..] else {
            panic!("{sums:?}")
        };
        assert_eq!((took.sum, took.count), (f64::MAX, 4));
        assert_eq!((lost.sum, lost.count), (0.0, 6));
    }

    #[test]
    fn a_count_that_would_overflow_stays_at_its_end() {
        let series = Series::new(Arc::default());
        for _ in 0..2 {
            series.count("calls", &mut [], u64::MAX).unwrap();
        }
        assert!(matches!(
            series.sums().0.values().next(),
            Some(Value::Count(u64::MAX))
        ));
    }
}
