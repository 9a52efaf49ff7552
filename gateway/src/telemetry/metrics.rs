//! Counters and durations, one shard per worker, summed when somebody asks.
//!
//! A worker adds to its own shard, so that counting costs no shared cache line; the names of what is counted are
//! looked up when a snapshot is built, never per request.

mod families;
mod plugin_series;
mod shards;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use parking_lot::Mutex;

use crate::proxy::exchange::Phase;

use plugin_series::Series;
use shards::{Counter, Histogram};

pub use shards::set_shard;

type ByName<T> = Mutex<BTreeMap<String, Arc<T>>>;

/// Everything that is counted. What has a name keeps its counts over reloads.
#[derive(Debug)]
pub struct Metrics {
    routes: ByName<RouteMetrics>,
    plugins: ByName<PluginMetrics>,
    upstreams: ByName<UpstreamMetrics>,
    /// By kind.
    errors: Mutex<BTreeMap<&'static str, u64>>,
    /// By plugin and outcome.
    swaps: Mutex<BTreeMap<(String, &'static str), u64>>,
    /// By outcome.
    reloads: Mutex<BTreeMap<&'static str, u64>>,
    version: AtomicU64,
    started: SystemTime,
}

/// What one route did.
#[derive(Debug)]
pub struct RouteMetrics {
    /// By status; 0 is "aborted": no head was sent.
    statuses: shards::Statuses,
    duration: Histogram,
    bytes_in: Counter,
    bytes_out: Counter,
}

/// What one plugin did, over all its versions.
#[derive(Debug)]
pub struct PluginMetrics {
    phases: [Histogram; Phase::ALL.len()],
    /// By route and kind.
    failures: Mutex<BTreeMap<(String, &'static str), u64>>,
    instances: AtomicUsize,
    series: Series,
}

/// What one upstream did.
#[derive(Debug)]
pub struct UpstreamMetrics {
    requests: Counter,
    failures: Mutex<BTreeMap<&'static str, u64>>,
    open: AtomicUsize,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new(workers: usize) -> Arc<Self> {
        shards::expect_workers(workers);
        Arc::new(Self {
            routes: Mutex::default(),
            plugins: Mutex::default(),
            upstreams: Mutex::default(),
            errors: Mutex::default(),
            swaps: Mutex::default(),
            reloads: Mutex::default(),
            version: AtomicU64::new(0),
            started: SystemTime::now(),
        })
    }

    /// The counts of a route.
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        named(&self.routes, name, || RouteMetrics {
            statuses: shards::Statuses::new(),
            duration: Histogram::new(Duration::from_micros(100)),
            bytes_in: Counter::new(),
            bytes_out: Counter::new(),
        })
    }

    /// The counts of a plugin.
    pub fn plugin(&self, name: &str) -> Arc<PluginMetrics> {
        named(&self.plugins, name, || PluginMetrics {
            phases: std::array::from_fn(|_| Histogram::new(Duration::from_micros(1))),
            failures: Mutex::default(),
            instances: AtomicUsize::new(0),
            series: Series::default(),
        })
    }

    /// The counts of an upstream.
    pub fn upstream(&self, name: &str) -> Arc<UpstreamMetrics> {
        named(&self.upstreams, name, || UpstreamMetrics {
            requests: Counter::new(),
            failures: Mutex::default(),
            open: AtomicUsize::new(0),
        })
    }

    /// An exchange failed; failures are rare enough for a lock.
    pub fn error(&self, kind: &'static str) {
        *self.errors.lock().entry(kind).or_default() += 1;
    }

    /// A plugin was replaced, or was not.
    pub fn swap(&self, plugin: &str, outcome: &'static str) {
        *self
            .swaps
            .lock()
            .entry((plugin.to_owned(), outcome))
            .or_default() += 1;
    }

    /// The configuration was reloaded, or was not.
    pub fn reload(&self, outcome: &'static str) {
        *self.reloads.lock().entry(outcome).or_default() += 1;
    }

    /// The version of the snapshot in force.
    pub fn set_version(&self, version: u64) {
        self.version.store(version, Ordering::Relaxed);
    }

    /// A plugin's own counter.
    pub fn plugin_count(&self, plugin: &str, name: &str, labels: &[(String, String)], by: u64) {
        self.plugin(plugin).series.count(name, labels, by);
    }

    /// A plugin's own histogram.
    pub fn plugin_observe(
        &self,
        plugin: &str,
        name: &str,
        labels: &[(String, String)],
        value: f64,
    ) {
        self.plugin(plugin).series.observe(name, labels, value);
    }

    /// Everything in the text format of Prometheus.
    pub fn text(self: &Arc<Self>) -> String {
        families::text(self)
    }
}

fn named<T>(all: &ByName<T>, name: &str, new: impl FnOnce() -> T) -> Arc<T> {
    let mut all = all.lock();
    if let Some(present) = all.get(name) {
        return present.clone();
    }
    let made = Arc::new(new());
    all.insert(name.to_owned(), made.clone());
    made
}

impl RouteMetrics {
    /// An exchange is over. No status: no head was sent.
    pub fn record(
        &self,
        status: Option<StatusCode>,
        duration: Duration,
        bytes_in: u64,
        bytes_out: u64,
    ) {
        self.statuses
            .add(status.map_or(0, |status| status.as_u16()));
        self.duration.observe(duration);
        self.bytes_in.add(bytes_in);
        self.bytes_out.add(bytes_out);
    }
}

impl PluginMetrics {
    /// A phase took so long.
    pub fn phase(&self, phase: Phase, duration: Duration) {
        self.phases[phase.index()].observe(duration);
    }

    /// A call failed.
    pub fn failure(&self, route: &str, kind: &'static str) {
        let mut failures = self.failures.lock();
        *failures.entry((route.to_owned(), kind)).or_default() += 1;
    }

    /// Instances were made (or, negative, ended).
    pub fn instances_add(&self, by: isize) {
        if by >= 0 {
            self.instances
                .fetch_add(by.unsigned_abs(), Ordering::Relaxed);
        } else {
            self.instances
                .fetch_sub(by.unsigned_abs(), Ordering::Relaxed);
        }
    }
}

impl UpstreamMetrics {
    /// A connection was opened.
    pub fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was closed.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// A request was answered.
    pub fn request(&self) {
        self.requests.add(1);
    }

    /// A request was not answered.
    pub fn failure(&self, kind: &'static str) {
        *self.failures.lock().entry(kind).or_default() += 1;
    }
}
