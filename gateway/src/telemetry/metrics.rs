//! Counters and durations, one shard per worker, summed when an operator asks.
//!
//! A worker adds to its own shard, so that counting costs no shared cache line; the names of what is counted are
//! looked up when a snapshot is built, never per request.

mod arms;
mod endpoints;
mod families;
mod mirrors;
mod plugin_series;
mod shards;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use parking_lot::Mutex;

use crate::message::error::ErrorKind;
use crate::message::names::Met;
use crate::message::phase::Phase;
use crate::state::Memory;

use plugin_series::{Names, Series};
use shards::{ByKind, Counter, Histogram};

pub use arms::ArmMetrics;
pub use endpoints::{EndpointMetrics, Observed};
pub use mirrors::{MirrorMetrics, UnderWay};
pub use plugin_series::Unfit;
pub use shards::{Gauge, set_shard};

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

/// What one plugin did, over all its versions.
#[derive(Debug)]
pub struct PluginMetrics {
    phases: [Histogram; Phase::ALL.len()],
    /// By route and kind. Locked, since failures are no part of the way of a request that succeeds.
    failures: Mutex<BTreeMap<(String, &'static str), u64>>,
    /// What it was not allowed, by kind. A plugin may be denied something in each of its calls.
    denied: ByKind,
    /// Calls that had to wait for their share of a worker, and those that wait now.
    throttled: Counter,
    waiting: Gauge,
    instances: Gauge,
    /// Bytes of linear memory.
    memory: Gauge,
    suppressed_lines: Counter,
    series: Series,
}

/// What one upstream did.
#[derive(Debug)]
pub struct UpstreamMetrics {
    /// Requests and failures are theirs.
    endpoints: endpoints::Endpoints,
    surplus: Counter,
    open: Gauge,
    pending: Gauge,
    refused: ByKind,
    retries: Counter,
    /// Requests that were not sent again, since too many were.
    spent_budgets: Counter,
    /// How often its breaker opened, and whether it is open.
    breaker_openings: Counter,
    breaker_is_open: AtomicBool,
    /// How looking for the addresses of names ended, by name.
    resolutions: Mutex<BTreeMap<(String, &'static str), u64>>,
}

/// Why a request gets no connection of a full pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// As many wait as may.
    QueueFull,
    /// None came free in time.
    QueueTimeout,
}

/// What one listener has.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    open: Gauge,
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
        named(&self.plugins, name, || PluginMetrics {
            phases: std::array::from_fn(|_| Histogram::new(Duration::from_micros(1))),
            failures: Mutex::default(),
            denied: ByKind::new(),
            throttled: Counter::new(),
            waiting: Gauge::new(),
            instances: Gauge::new(),
            memory: Gauge::new(),
            suppressed_lines: Counter::new(),
            series: Series::new(self.own_names.clone()),
        })
    }

    /// The counts of an upstream.
    pub fn upstream(&self, name: &str) -> Arc<UpstreamMetrics> {
        named(&self.upstreams, name, || UpstreamMetrics {
            endpoints: endpoints::Endpoints::new(),
            surplus: Counter::new(),
            open: Gauge::new(),
            pending: Gauge::new(),
            refused: ByKind::new(),
            retries: Counter::new(),
            spent_budgets: Counter::new(),
            breaker_openings: Counter::new(),
            breaker_is_open: AtomicBool::new(false),
            resolutions: Mutex::default(),
        })
    }

    /// The counts of a listener.
    pub fn listener(&self, name: &str) -> Arc<ListenerMetrics> {
        named(&self.listeners, name, || ListenerMetrics {
            open: Gauge::new(),
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

impl UpstreamMetrics {
    /// The counts of an endpoint.
    pub fn endpoint(&self, name: String) -> Arc<EndpointMetrics> {
        self.endpoints.add(name)
    }

    /// An endpoint is gone. What it counted stays in the sums of the upstream.
    pub fn gone(&self, endpoint: &Arc<EndpointMetrics>) {
        self.endpoints.remove(endpoint);
    }

    /// A connection was opened.
    pub fn opened(&self) {
        self.open.add(1);
    }

    /// A connection was closed.
    pub fn closed(&self) {
        self.open.add(-1);
    }

    /// A kept connection had bytes that were not asked for.
    pub fn surplus(&self) {
        self.surplus.add(1);
    }

    /// Requests wait for a connection (or, negative, wait no longer).
    pub fn waits(&self, by: i64) {
        self.pending.add(by);
    }

    /// How many requests wait for a connection.
    pub fn waiting(&self) -> u64 {
        self.pending.sum()
    }

    /// A request got no connection of a full pool.
    pub fn refused(&self, why: Refused) {
        self.refused.add(match why {
            Refused::QueueFull => "queue_full",
            Refused::QueueTimeout => "queue_timeout",
        });
    }

    /// The breaker let a request not out.
    pub fn held_back(&self, reason: &'static str) {
        self.refused.add(reason);
    }

    /// A request goes out again, or, with the budget of those spent, does not.
    pub fn retry(&self, goes: bool) {
        match goes {
            true => self.retries.add(1),
            false => self.spent_budgets.add(1),
        }
    }

    /// Its breaker opened, or closed.
    pub fn breaker(&self, open: bool) {
        self.breaker_openings.add(u64::from(open));
        self.breaker_is_open.store(open, Ordering::Relaxed);
    }

    /// The DNS was asked for the addresses of a name.
    pub fn resolution(&self, name: &str, outcome: &'static str) {
        let mut resolutions = self.resolutions.lock();
        *resolutions.entry((name.to_owned(), outcome)).or_default() += 1;
    }

    /// A request had no whole answer, and no endpoint.
    pub fn failure(&self, kind: ErrorKind) {
        self.endpoints.failure(kind);
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
}
