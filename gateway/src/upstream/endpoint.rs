//! One endpoint, and what all of one upstream share.

mod drains;
mod failures;
mod fleet;
mod listed;
mod member;
mod members;
mod slots;
mod standing;
mod tally;

use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Instant;

use http::HeaderValue;
use parking_lot::Mutex;

use super::balance::hash;
use super::breaker::{Budget, Pass, UnderWay};
use super::pool::Places;
use crate::message::target::Target;
use crate::telemetry::metrics::{EndpointMetrics, Gauge, Observed, UpstreamMetrics};
use failures::Failures;
use slots::Slot;
use tally::Tally;

pub(super) use drains::Drains;
pub(super) use failures::{Judge, Row};
pub use fleet::Fleet;
pub(super) use listed::list;
pub use members::{Member, Members};
pub(super) use slots::Slots;
pub use standing::{Obstacle, Reason, Standing};

/// How long no connection is kept to an endpoint that sent what was not asked for, in milliseconds.
const DISTRUST: u64 = 60_000;

/// Until when no connection is kept to an endpoint that its upstream has no more.
const GONE: u64 = u64::MAX;

/// What all upstreams of one name have in common, over reloads.
#[derive(Debug)]
pub(super) struct State {
    /// Their name.
    pub(super) name: Arc<str>,
    /// Of its pool, over all workers.
    pub(super) places: Arc<Places>,
    /// Its place among every client's turns.
    pub(super) turn: Slot,
    /// Its counters.
    pub(super) metrics: Arc<UpstreamMetrics>,
    /// What of its requests may go out again.
    pub(super) budget: Budget,
    /// Its requests under way, for breakers to come too.
    pub(super) under_way: Arc<UnderWay>,
    /// By what its endpoints are ejected.
    pub(super) judge: Judge,
    /// Which addresses an operator drains.
    pub(super) drains: Drains,
    /// The endpoints in force, each once.
    pub(super) siblings: Mutex<Vec<Weak<Endpoint>>>,
}

impl State {
    /// The endpoints in force, each once.
    pub(super) fn siblings(&self) -> Vec<Arc<Endpoint>> {
        let siblings = self.siblings.lock();
        siblings.iter().filter_map(Weak::upgrade).collect()
    }
}

/// One place of an upstream; the same for the same name and place over reloads.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub target: Target,
    /// The name in the DNS that led there, if one did.
    pub name: Option<Arc<str>>,
    /// The `Host` that stands for it.
    pub authority: HeaderValue,
    /// Requests that are under way, over all workers.
    pub in_flight: Gauge,
    /// Whether it takes requests.
    pub standing: Standing,
    /// What stands for it in hashes and cookies: the same in every gateway, and after every restart.
    pub(super) token: u64,
    /// What it has in common with the other endpoints of its upstream.
    pub(super) of: Arc<State>,
    /// Its counters.
    pub(super) counts: Arc<EndpointMetrics>,
    /// What it failed at.
    pub(super) failures: Failures,
    /// What the checks of its health came to.
    pub(super) tally: Mutex<Tally>,
    /// Its place in every client's pool.
    slot: Slot,
    made: Instant,
    /// Until when no connection to it is kept, in milliseconds since it was made; [`GONE`] for ever.
    distrusted_until: AtomicU64,
}

impl Endpoint {
    pub(super) fn new(
        target: Target,
        name: Option<Arc<str>>,
        authority: HeaderValue,
        slot: Slot,
        of: Arc<State>,
    ) -> Self {
        Self {
            token: hash::of(target.to_string().as_bytes()),
            counts: of.metrics.endpoint(target.to_string()),
            target,
            name,
            authority,
            in_flight: Gauge::new(),
            standing: Standing::default(),
            of,
            failures: Failures::default(),
            tally: Mutex::default(),
            slot,
            made: Instant::now(),
            distrusted_until: AtomicU64::new(0),
        }
    }

    /// Whether its connections are kept for the next request.
    pub(super) fn is_trusted(&self, now: Instant) -> bool {
        let until = self.distrusted_until.load(Relaxed);
        until == 0 || until <= self.age(now)
    }

    /// It sent what was not asked for: what it says on a kept connection may be another request's answer. Whether it
    /// was trusted until now.
    pub(super) fn distrust(&self, now: Instant) -> bool {
        let now = self.age(now);
        self.distrusted_until.fetch_max(now + DISTRUST, Relaxed) <= now
    }

    /// It gets no more requests: no connection to it is kept.
    pub(super) fn leave(&self) {
        self.distrusted_until.store(GONE, Relaxed);
    }

    /// It gets requests again, if it had left.
    pub(super) fn come_back(&self) {
        // Else it has not left, which is as well.
        let _stayed = self
            .distrusted_until
            .compare_exchange(GONE, 0, Relaxed, Relaxed);
    }

    fn age(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.made).as_millis() as u64
    }

    pub(super) fn slot(&self) -> usize {
        self.slot.index()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.of.metrics.gone(&self.counts);
    }
}

impl Observed for Endpoint {
    fn in_flight(&self) -> u64 {
        self.in_flight.sum()
    }

    fn obstacles(&self) -> Vec<(&'static str, bool)> {
        let obstacles = Obstacle::ALL.into_iter();
        let obstacles = obstacles.map(|it| (it.name(), self.standing.has(it)));
        obstacles.collect()
    }
}

/// An endpoint that was picked for a request. The request is in flight there until this is dropped: with the last byte
/// of the answer.
#[derive(Debug)]
pub struct Picked {
    endpoint: Arc<Endpoint>,
    /// Whether it is a gateway of the fleet.
    pub(super) gateway: bool,
    /// What the breaker of its upstream let it out by.
    pass: Option<Arc<Pass>>,
    /// Whether it counts as one that went out without a breaker.
    is_free: bool,
}

impl Picked {
    pub(super) fn new(endpoint: &Arc<Endpoint>, gateway: bool) -> Self {
        endpoint.in_flight.add(1);
        let endpoint = endpoint.clone();
        Self {
            endpoint,
            gateway,
            pass: None,
            is_free: false,
        }
    }

    /// The same, let out by a breaker, or since there is none.
    pub fn with(mut self, pass: Option<Arc<Pass>>) -> Self {
        self.is_free = pass.is_none();
        if self.is_free {
            self.of.under_way.free(1);
        }
        self.pass = pass;
        self
    }

    /// What the breaker of its upstream let it out by.
    pub(super) fn pass(&self) -> Option<&Arc<Pass>> {
        self.pass.as_ref()
    }

    /// The endpoint, for what outlives the request.
    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Deref for Picked {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        self.endpoint.in_flight.add(-1);
        if self.is_free {
            self.endpoint.of.under_way.free(-1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::tests::{first, upstream};

    #[test]
    fn an_endpoint_that_sent_surplus_is_not_trusted_for_a_minute_and_said_so_once() {
        let upstream = upstream(&["[::1]:1"]);
        let (endpoint, now) = (first(&upstream), Instant::now());
        assert!(endpoint.is_trusted(now));
        assert!(endpoint.distrust(now), "the first time is worth a line");
        assert!(!endpoint.distrust(now), "the second is not");
        let later = |seconds| now + Duration::from_secs(seconds);
        assert!(!endpoint.is_trusted(later(59)));
        assert!(endpoint.is_trusted(later(61)));
        assert!(endpoint.distrust(later(61)));
    }
}
