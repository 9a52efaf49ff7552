//! Counters and durations, one shard per worker, summed when an operator asks.
//!
//! A worker adds to its own shard, so that counting costs no shared cache line; the names of what is counted are
//! looked up when a snapshot is built, never per request.

mod arms;
mod endpoints;
mod families;
mod mirrors;
mod plugin_series;
mod plugins;
mod shards;
mod upstreams;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use parking_lot::Mutex;

use crate::message::error::ErrorKind;
use crate::message::names::Met;
use crate::message::phase::Phase;
use crate::state::Memory;

use plugin_series::Names;
use shards::{ByKind, Counter, Histogram};

pub use arms::ArmMetrics;
pub use endpoints::{EndpointMetrics, Observed};
pub use mirrors::{MirrorMetrics, UnderWay};
pub use plugin_series::Unfit;
pub use plugins::PluginMetrics;
pub use shards::{Gauge, set_shard};
pub use upstreams::{Refused, UpstreamMetrics};

/// What may come of a reload. Each is there from the beginning: the step from nothing to one is none to who counts steps.
const RELOADS: [&str; 2] = ["done", "refused"];

type ByName<T> = Mutex<BTreeMap<String, Arc<T>>>;

/// Everything that is counted. What has a name keeps its counts over reloads.
#[derive(Debug)]
pub struct Metrics {
    routes: ByName<RouteMetrics>,
    arms: arms::ByRoute,
    mirrors: mirrors::ByRoute,
    plugins: ByName<PluginMetrics>,
    upstreams: ByName<UpstreamMetrics>,
    listeners: ByName<ListenerMetrics>,
    /// Names that plugins gave their own metrics.
    own_names: Arc<Names>,
    errors: ByKind,
    /// Of the access log, wherever it goes.
    lost_access_log_lines: Arc<AtomicU64>,
    /// Counts for itself what it holds.
    state: OnceLock<Arc<Memory>>,
    late_ticks: AtomicU64,
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
    /// 0 is "aborted": no head was sent.
    statuses: shards::Statuses,
    duration: Histogram,
    bytes_in: Counter,
    bytes_out: Counter,
    fallbacks: Counter,
}

/// What one listener has.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    open: Gauge,
    tls_failures: AtomicU64,
    /// Fields with unusual names.
    pub unusual: Arc<Met>,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new(workers: usize) -> Arc<Self> {
        shards::expect_workers(workers);
        Arc::new(Self {
            routes: Mutex::default(),
            arms: Mutex::default(),
            mirrors: Mutex::default(),
            plugins: Mutex::default(),
            upstreams: Mutex::default(),
            listeners: Mutex::default(),
            own_names: Arc::default(),
            errors: ByKind::new(),
            lost_access_log_lines: Arc::default(),
            state: OnceLock::new(),
            late_ticks: AtomicU64::new(0),
            swaps: Mutex::default(),
            reloads: Mutex::new(RELOADS.map(|outcome| (outcome, 0)).into()),
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
            fallbacks: Counter::new(),
        })
    }

    /// The counts of an arm of a route that is split.
    pub fn arm(&self, route: &str, arm: &str) -> Arc<ArmMetrics> {
        let mut arms = self.arms.lock();
        let counts = arms.entry((route.to_owned(), arm.to_owned()));
        counts
            .or_insert_with(|| Arc::new(ArmMetrics::new()))
            .clone()
    }

    /// The counts of a mirror of a route, by the upstream that copies go to.
    pub fn mirror(&self, route: &str, upstream: &str) -> Arc<MirrorMetrics> {
        let mut mirrors = self.mirrors.lock();
        let counts = mirrors.entry((route.to_owned(), upstream.to_owned()));
        counts.or_default().clone()
    }

    /// The counts of a plugin.
    pub fn plugin(&self, name: &str) -> Arc<PluginMetrics> {
        let new = || PluginMetrics::new(self.own_names.clone());
        named(&self.plugins, name, new)
    }

    /// The counts of an upstream.
    pub fn upstream(&self, name: &str) -> Arc<UpstreamMetrics> {
        named(&self.upstreams, name, UpstreamMetrics::new)
    }

    /// The counts of a listener.
    pub fn listener(&self, name: &str) -> Arc<ListenerMetrics> {
        named(&self.listeners, name, || ListenerMetrics {
            open: Gauge::new(),
            tls_failures: AtomicU64::default(),
            unusual: Arc::new(Met::new(name)),
        })
    }

    /// An exchange failed.
    pub fn error(&self, kind: ErrorKind) {
        self.errors.add(kind.name());
    }

    /// Counts the lines of the access log that could not be written.
    pub fn lost_access_log_lines(&self) -> Arc<AtomicU64> {
        self.lost_access_log_lines.clone()
    }

    /// Publishes what plugins hold in this state; there is one in a process.
    pub fn watch_state(&self, state: Arc<Memory>) {
        self.state.get_or_init(|| state);
    }

    /// The clock of plugins' processor time ticked late.
    pub fn late_tick(&self) {
        self.late_ticks.fetch_add(1, Ordering::Relaxed);
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

impl RouteMetrics {
    /// The fallback answered.
    pub fn fallback(&self) {
        self.fallbacks.add(1);
    }
}

impl ListenerMetrics {
    /// A connection was accepted.
    pub fn opened(&self) {
        self.open.add(1);
    }

    /// A connection was closed.
    pub fn closed(&self) {
        self.open.add(-1);
    }

    /// No TLS came about with a client.
    pub fn tls_failed(&self) {
        self.tls_failures.fetch_add(1, Ordering::Relaxed);
    }
}
