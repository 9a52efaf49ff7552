//! What plugins did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::plugin_series::{Names, Series, Unfit};
use super::shards::{ByKind, Counter, Gauge, Histogram};
use crate::message::phase::Phase;

/// What one plugin did, over all its versions.
#[derive(Debug)]
pub struct PluginMetrics {
    pub(super) phases: [Histogram; Phase::ALL.len()],
    /// By route and kind. Locked, since failures are no part of the way of a request that succeeds.
    pub(super) failures: Mutex<BTreeMap<(String, &'static str), u64>>,
    /// What it was not allowed, by kind. A plugin may be denied something in each of its calls.
    pub(super) denied: ByKind,
    /// Calls that had to wait for their share of a worker, and those that wait now.
    pub(super) throttled: Counter,
    pub(super) waiting: Gauge,
    pub(super) instances: Gauge,
    /// Bytes of linear memory.
    pub(super) memory: Gauge,
    pub(super) suppressed_lines: Counter,
    pub(super) series: Series,
}

impl PluginMetrics {
    /// `own_names`: those that all plugins give their metrics.
    pub(super) fn new(own_names: Arc<Names>) -> Self {
        Self {
            phases: std::array::from_fn(|_| Histogram::new(Duration::from_micros(1))),
            failures: Mutex::default(),
            denied: ByKind::new(),
            throttled: Counter::new(),
            waiting: Gauge::new(),
            instances: Gauge::new(),
            memory: Gauge::new(),
            suppressed_lines: Counter::new(),
            series: Series::new(own_names),
        }
    }

    /// A phase took so long.
    pub fn phase(&self, phase: Phase, duration: Duration) {
        self.phases[phase.index()].observe(duration);
    }

    /// A call failed.
    pub fn failure(&self, route: &str, kind: &'static str) {
        let mut failures = self.failures.lock();
        *failures.entry((route.to_owned(), kind)).or_default() += 1;
    }

    /// An edit or a call was not allowed.
    pub fn denied(&self, kind: &'static str) {
        self.denied.add(kind);
    }

    /// Lines that it logged were more than it may write.
    pub fn log_suppressed(&self, lines: u64) {
        self.suppressed_lines.add(lines);
    }

    /// A call has to wait for its share of a worker.
    pub fn throttled(&self) {
        self.throttled.add(1);
    }

    /// Calls that had to wait so far.
    pub fn throttled_calls(&self) -> u64 {
        self.throttled.sum()
    }

    /// Calls wait for their turn (or, negative, no longer).
    pub fn waiting_add(&self, by: i64) {
        self.waiting.add(by);
    }

    /// Calls that wait for their turn now.
    pub fn waiting_calls(&self) -> u64 {
        self.waiting.sum()
    }

    /// Instances were made (or, negative, ended).
    pub fn instances_add(&self, by: i64) {
        self.instances.add(by);
    }

    /// Instances took so many bytes of memory (or, negative, gave them back).
    pub fn memory_add(&self, bytes: i64) {
        self.memory.add(bytes);
    }

    /// Adds to a counter of the plugin's own. The labels are put in order.
    ///
    /// # Errors
    /// If the metric cannot be published as it is.
    pub fn count(&self, name: &str, labels: &mut [(String, String)], by: u64) -> Result<(), Unfit> {
        self.series.count(name, labels, by)
    }

    /// Adds to a histogram of the plugin's own. The labels are put in order.
    ///
    /// # Errors
    /// If the metric cannot be published as it is.
    pub fn observe(
        &self,
        name: &str,
        labels: &mut [(String, String)],
        value: f64,
    ) -> Result<(), Unfit> {
        self.series.observe(name, labels, value)
    }
}
