//! Who cares for the endpoints of the upstreams in force: a task for each that is checked, and one that starts and ends
//! them, and brings back what was ejected.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until};

use super::outlier::bring_back;
use super::probe::check;
use crate::config::Health;
use crate::upstream::endpoint::{Endpoint, Obstacle};
use crate::upstream::group::Upstream;

/// How often it is looked which endpoints there are, as long as one is checked or ejected: they may come and go by
/// themselves.
const LOOK: Duration = Duration::from_secs(1);

/// Within which time the first check of an endpoint begins, where `interval` is longer.
const FIRST: Duration = Duration::from_secs(1);

/// Who cares for the endpoints of the upstreams in force, until it is dropped.
#[derive(Debug)]
pub struct Checks {
    upstreams: watch::Sender<Vec<Arc<Upstream>>>,
}

impl Checks {
    /// Begins with these, on the runtime that it is called on.
    pub fn start(upstreams: &[Arc<Upstream>]) -> Self {
        let (sender, receiver) = watch::channel(upstreams.to_vec());
        tokio::spawn(care(receiver));
        Self { upstreams: sender }
    }

    /// These are in force now.
    pub fn follow(&self, upstreams: &[Arc<Upstream>]) {
        self.upstreams.send_replace(upstreams.to_vec());
    }
}

/// The checks of one endpoint.
struct Checked {
    health: Health,
    /// The upstream in force.
    upstream: Arc<ArcSwap<Upstream>>,
    task: JoinHandle<()>,
}

impl Drop for Checked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Checked {
    fn begin(upstream: &Arc<Upstream>, endpoint: &Arc<Endpoint>, health: &Health) -> Self {
        let upstream = Arc::new(ArcSwap::new(upstream.clone()));
        let checking = check_again_and_again(upstream.clone(), endpoint.clone(), health.clone());
        Self {
            health: health.clone(),
            upstream,
            task: tokio::spawn(checking),
        }
    }
}

async fn care(mut upstreams: watch::Receiver<Vec<Arc<Upstream>>>) {
    // By the endpoint's place in memory, which it has as long as its task goes on.
    let mut checked: HashMap<usize, Checked> = HashMap::new();
    loop {
        let present = upstreams.borrow_and_update().clone();
        let before = std::mem::take(&mut checked);
        checked = follow(&present, before);
        let now = Instant::now();
        let returns = present
            .iter()
            .filter_map(|upstream| bring_back(upstream, now));
        let returns = returns.min();
        let look = (returns.is_some() || !checked.is_empty()).then(|| now + LOOK);
        let next = returns.into_iter().chain(look).min();
        let notice = present.first().map(|it| it.state.judge.notice.clone());
        drop(present);
        tokio::select! {
            changed = upstreams.changed() => if changed.is_err() { return },
            () = async {
                match notice {
                    Some(notice) => notice.notified().await,
                    None => pending().await,
                }
            } => {}
            () = async {
                match next {
                    Some(next) => sleep_until(next.into()).await,
                    None => pending().await,
                }
            } => {}
        }
    }
}

/// Starts what is to be checked and is not, and ends what is not to be. What was checked by other rules starts again,
/// with what is known of its health.
fn follow(
    present: &[Arc<Upstream>],
    mut before: HashMap<usize, Checked>,
) -> HashMap<usize, Checked> {
    let mut checked = HashMap::new();
    for upstream in present {
        for endpoint in upstream.state.siblings() {
            let Some(health) = &upstream.config.health else {
                if endpoint.standing.clear(Obstacle::Unhealthy) {
                    let (upstream, endpoint) = (&upstream.name, &endpoint.target);
                    tracing::info!(%upstream, %endpoint, "the endpoint is not checked any more, and taken for healthy");
                }
                continue;
            };
            let at = Arc::as_ptr(&endpoint).addr();
            let present = before.remove(&at);
            let goes_on = |it: &Checked| it.health == *health && !it.task.is_finished();
            let present = match present.filter(goes_on) {
                Some(present) => {
                    present.upstream.store(upstream.clone());
                    present
                }
                None => Checked::begin(upstream, &endpoint, health),
            };
            checked.insert(at, present);
        }
    }
    checked
}

/// Checks one endpoint until it is ended: a check at a time, each at its time or at the end of the one before.
async fn check_again_and_again(
    upstream: Arc<ArcSwap<Upstream>>,
    endpoint: Arc<Endpoint>,
    health: Health,
) {
    // Those of a fleet, and of many endpoints, are not all at once.
    sleep(health.interval.min(FIRST).mul_f64(fastrand::f64())).await;
    loop {
        let began = tokio::time::Instant::now();
        let upstream = upstream.load_full();
        match check(&upstream, &endpoint, &health).await {
            Some(result) => endpoint.checked(&health, result),
            None => tracing::debug!(
                upstream = %upstream.name, endpoint = %endpoint.target,
                "the endpoint is not checked: this process lacks what that needs, descriptors for one"
            ),
        }
        drop(upstream);
        let about = health.interval.mul_f64(0.9 + 0.2 * fastrand::f64());
        sleep_until(began + about).await;
    }
}

impl Endpoint {
    /// Its health was checked.
    fn checked(&self, health: &Health, result: Result<(), String>) {
        self.counts.checked(result.is_ok());
        let (upstream, endpoint) = (&self.of.name, &self.target);
        let mut tally = self.tally.lock();
        match result {
            Ok(()) => {
                if tally.passed(health.healthy_after) && self.standing.clear(Obstacle::Unhealthy) {
                    tracing::info!(%upstream, %endpoint, "the endpoint is healthy again");
                }
            }
            Err(how) => {
                let Some(row) = tally.failed(health.unhealthy_after) else {
                    return;
                };
                let checks = if row == 1 { "check" } else { "checks in a row" };
                let why = format!("{row} {checks} failed: {how}");
                if self.standing.block(Obstacle::Unhealthy, &*why) {
                    tracing::warn!(%upstream, %endpoint, why, "the endpoint is unhealthy");
                    // It may have been the last, and others be ejected.
                    self.of.judge.notice.notify_one();
                }
            }
        }
    }
}
