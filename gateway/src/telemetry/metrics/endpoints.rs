//! What each endpoint of an upstream did, and how it stands.

use std::fmt::Debug;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;

use super::shards::{ByKind, Histogram, Sharded};
use crate::message::error::ErrorKind;

/// Classes of status codes: an upstream may answer with any three digits.
pub(super) const CLASSES: usize = 10;

/// What an endpoint is now, which it knows itself.
pub trait Observed: Debug + Send + Sync {
    /// Requests that are under way.
    fn in_flight(&self) -> u64;
    /// What may keep requests from it, and whether it does.
    fn obstacles(&self) -> Vec<(&'static str, bool)>;
}

/// What one endpoint did.
#[derive(Debug)]
pub struct EndpointMetrics {
    /// Where it listens.
    pub(super) name: String,
    answers: Sharded<[AtomicU64; CLASSES]>,
    pub(super) failures: ByKind,
    pub(super) latency: Histogram,
    pub(super) ejections: AtomicU64,
    pub(super) passed_checks: AtomicU64,
    pub(super) failed_checks: AtomicU64,
    /// How many lists of endpoints have it.
    lists: AtomicUsize,
    observed: OnceLock<Weak<dyn Observed>>,
}

impl EndpointMetrics {
    fn new(name: String) -> Self {
        Self {
            name,
            answers: Sharded::new(Default::default),
            failures: ByKind::new(),
            latency: Histogram::new(Duration::from_micros(100)),
            ejections: AtomicU64::new(0),
            passed_checks: AtomicU64::new(0),
            failed_checks: AtomicU64::new(0),
            lists: AtomicUsize::new(0),
            observed: OnceLock::new(),
        }
    }

    /// A request was answered.
    #[inline]
    pub fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(class) = self.answers.mine().get(class) {
            class.fetch_add(1, Relaxed);
        }
    }

    /// The head of an answer took so long.
    #[inline]
    pub fn took(&self, latency: Duration) {
        self.latency.observe(latency);
    }

    /// A request had no whole answer.
    pub fn failure(&self, kind: ErrorKind) {
        self.failures.add(kind.name());
    }

    /// It is to get no requests for a while.
    pub fn ejected(&self) {
        self.ejections.fetch_add(1, Relaxed);
    }

    /// Its health was checked.
    pub fn checked(&self, passed: bool) {
        let count = match passed {
            true => &self.passed_checks,
            false => &self.failed_checks,
        };
        count.fetch_add(1, Relaxed);
    }

    /// A list of endpoints has it: from the first on it is published.
    pub fn listed(&self, observed: impl FnOnce() -> Weak<dyn Observed>) {
        self.observed.get_or_init(observed);
        self.lists.fetch_add(1, Relaxed);
    }

    /// That list is gone: after the last it is published no more.
    pub fn unlisted(&self) {
        self.lists.fetch_sub(1, Relaxed);
    }

    /// What it is now, as long as it is published.
    pub(super) fn observed(&self) -> Option<Arc<dyn Observed>> {
        let is_listed = self.lists.load(Relaxed) > 0;
        self.observed.get().filter(|_| is_listed)?.upgrade()
    }

    /// Answers by the first digit of their status.
    pub(super) fn answers(&self) -> [u64; CLASSES] {
        let mut sums = [0; CLASSES];
        for shard in self.answers.all() {
            for (sum, count) in sums.iter_mut().zip(shard) {
                *sum += count.load(Relaxed);
            }
        }
        sums
    }
}

/// The endpoints of an upstream, and the counts of those that are gone: what an upstream did is the sum of all.
#[derive(Debug)]
pub(super) struct Endpoints(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    present: Vec<Arc<EndpointMetrics>>,
    answers: u64,
    failures: ByKind,
}

impl Endpoints {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Counts {
            present: Vec::new(),
            answers: 0,
            failures: ByKind::new(),
        }))
    }

    /// Those that are published.
    pub(super) fn present(&self) -> Vec<(Arc<EndpointMetrics>, Arc<dyn Observed>)> {
        let counts = self.0.lock();
        let present = counts.present.iter();
        let mut present: Vec<_> = present
            .filter_map(|endpoint| Some((endpoint.clone(), endpoint.observed()?)))
            .collect();
        present.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        present
    }

    /// Requests that were answered.
    pub(super) fn answers(&self) -> u64 {
        let counts = self.0.lock();
        let present = counts.present.iter();
        let present = present.flat_map(|endpoint| endpoint.answers());
        counts.answers + present.sum::<u64>()
    }

    /// Requests that were not, by kind.
    pub(super) fn failures(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.lock();
        let mut sums = counts.failures.sums();
        for (kind, count) in counts.present.iter().flat_map(|it| it.failures.sums()) {
            *sums.entry(kind).or_default() += count;
        }
        sums.into_iter().collect()
    }

    /// A request went to none of them.
    pub(super) fn failure(&self, kind: ErrorKind) {
        self.0.lock().failures.add(kind.name());
    }

    /// The counts of one more.
    pub(super) fn add(&self, name: String) -> Arc<EndpointMetrics> {
        let made = Arc::new(EndpointMetrics::new(name));
        self.0.lock().present.push(made.clone());
        made
    }

    /// One is gone. What it counted stays in the sums.
    pub(super) fn remove(&self, endpoint: &Arc<EndpointMetrics>) {
        let mut counts = self.0.lock();
        counts.present.retain(|other| !Arc::ptr_eq(other, endpoint));
        counts.answers += endpoint.answers().iter().sum::<u64>();
        for (kind, count) in endpoint.failures.sums() {
            counts.failures.add_all(kind, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    #[derive(Debug)]
    struct Idle;

    impl Observed for Idle {
        fn in_flight(&self) -> u64 {
            3
        }

        fn obstacles(&self) -> Vec<(&'static str, bool)> {
            vec![("ejected", true), ("drained", false)]
        }
    }

    #[test]
    fn the_series_of_an_endpoint_go_with_it_and_the_sums_of_its_upstream_stay() {
        let metrics = Metrics::new(1);
        let upstream = metrics.upstream("shop");
        let (one, idle) = (upstream.endpoint("[::1]:1".to_owned()), Arc::new(Idle));
        one.answered(StatusCode::OK);
        one.answered(StatusCode::NOT_FOUND);
        one.failure(ErrorKind::Connect);
        one.took(Duration::from_millis(1));
        let series = [
            r#"gateway_endpoint_requests_total{upstream="shop",endpoint="[::1]:1",status="2xx"} 1"#,
            r#"gateway_endpoint_failures_total{upstream="shop",endpoint="[::1]:1",kind="connect"} 1"#,
            r#"gateway_endpoint_latency_seconds_count{upstream="shop",endpoint="[::1]:1"} 1"#,
            r#"gateway_endpoint_in_flight{upstream="shop",endpoint="[::1]:1"} 3"#,
            r#"gateway_endpoint_obstacle{upstream="shop",endpoint="[::1]:1",obstacle="ejected"} 1"#,
            r#"gateway_endpoint_obstacle{upstream="shop",endpoint="[::1]:1",obstacle="drained"} 0"#,
            r#"gateway_endpoint_ejections_total{upstream="shop",endpoint="[::1]:1"} 0"#,
        ];
        let sums = [
            r#"gateway_upstream_requests_total{upstream="shop"} 2"#,
            r#"gateway_upstream_failures_total{upstream="shop",kind="connect"} 1"#,
        ];
        let assert = |lines: &[&str], are: bool| {
            let text = metrics.text();
            for line in lines {
                assert_eq!(text.contains(line), are, "{line} in:\n{text}");
            }
        };
        assert(&series, false);
        let observed: Arc<dyn Observed> = idle;
        one.listed(|| Arc::downgrade(&observed));
        assert(&series, true);
        assert(&sums, true);
        one.unlisted();
        assert(&series, false);
        upstream.gone(&one);
        assert(&sums, true);
    }
}
