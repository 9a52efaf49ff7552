//! Counters and histograms that plugins name themselves: bounded in number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Series of one plugin; more are dropped, and counted as dropped.
const MOST: usize = 1_000;

/// Name and labels, cleaned.
pub(super) type Key = (String, Vec<(String, String)>);

/// The series of one plugin. One lock per plugin: a plugin that counts per request pays about 50 ns for it.
#[derive(Debug, Default)]
pub(super) struct Series {
    counts: Mutex<HashMap<Key, u64>>,
    observations: Mutex<HashMap<Key, Observed>>,
    dropped: AtomicU64,
}

/// Values in buckets of powers of ten and their halves.
#[derive(Debug, Default, Clone)]
pub(super) struct Observed {
    pub(super) sum: f64,
    pub(super) count: u64,
    pub(super) buckets: [u64; BOUNDS.len() + 1],
}

/// Upper bounds.
pub(super) const BOUNDS: [f64; 15] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0,
];

impl Series {
    pub(super) fn count(&self, name: &str, labels: &[(String, String)], by: u64) {
        self.change(&self.counts, name, labels, |count| *count += by);
    }

    pub(super) fn observe(&self, name: &str, labels: &[(String, String)], value: f64) {
        if !value.is_finite() {
            return;
        }
        self.change(&self.observations, name, labels, |observed| {
            observed.sum += value;
            observed.count += 1;
            observed.buckets[BOUNDS.partition_point(|bound| *bound < value)] += 1;
        });
    }

    fn change<T: Default>(
        &self,
        all: &Mutex<HashMap<Key, T>>,
        name: &str,
        labels: &[(String, String)],
        act: impl FnOnce(&mut T),
    ) {
        let labels = labels
            .iter()
            .map(|(label, value)| (clean(label), value.clone()))
            .collect();
        let key = (clean(name), labels);
        let mut all = all.lock();
        if all.len() >= MOST && !all.contains_key(&key) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        act(all.entry(key).or_default());
    }

    pub(super) fn counts(&self) -> Vec<(Key, u64)> {
        self.counts
            .lock()
            .iter()
            .map(|(key, count)| (key.clone(), *count))
            .collect()
    }

    pub(super) fn observations(&self) -> Vec<(Key, Observed)> {
        self.observations
            .lock()
            .iter()
            .map(|(key, observed)| (key.clone(), observed.clone()))
            .collect()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A name that Prometheus takes: lower-case letters, digits and `_`, at most 64.
fn clean(name: &str) -> String {
    let clean = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            byte.to_ascii_lowercase() as char
        } else {
            '_'
        }
    };
    name.bytes().take(64).map(clean).collect()
}
