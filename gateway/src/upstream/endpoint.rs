//! One endpoint, and what all of one upstream share.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use http::HeaderValue;

use super::breaker::Pass;
use super::budget::Budget;
use super::hash;
use super::outcome::{Outcome, is_its_own};
use super::places::Places;
use super::slots::Slot;
use super::standing::Standing;
use crate::message::target::Target;
use crate::telemetry::metrics::{Gauge, UpstreamMetrics};

/// How long no connection is kept to an endpoint that sent what was not asked for, in milliseconds.
const DISTRUST: u64 = 60_000;

/// What all upstreams of one name have in common, over reloads.
#[derive(Debug)]
pub(super) struct State {
    /// Of its pool, over all workers.
    pub(super) places: Arc<Places>,
    /// Its place among every client's turns.
    pub(super) turn: Slot,
    /// Its counters.
    pub(super) metrics: Arc<UpstreamMetrics>,
    /// What of its requests may go out again.
    pub(super) budget: Budget,
}

/// One place of an upstream; the same for the same name and place over reloads.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub target: Target,
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
    /// Its place in every client's pool.
    slot: Slot,
    made: Instant,
    /// Until when no connection to it is kept, in milliseconds since it was made.
    distrusted_until: AtomicU64,
}

impl Endpoint {
    pub(super) fn new(target: Target, authority: HeaderValue, slot: Slot, of: Arc<State>) -> Self {
        Self {
            token: hash::of(target.to_string().as_bytes()),
            target,
            authority,
            in_flight: Gauge::new(),
            standing: Standing::default(),
            of,
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
        self.distrusted_until.swap(now + DISTRUST, Relaxed) <= now
    }

    fn age(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.made).as_millis() as u64
    }

    /// An attempt at it ended so, or was answered.
    #[inline]
    pub(super) fn ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Answered(_) => self.of.metrics.request(),
            Outcome::Failed(kind) if is_its_own(kind) => self.of.metrics.failure(kind),
            Outcome::Failed(_) => {}
        }
    }

    pub(super) fn slot(&self) -> usize {
        self.slot.index()
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
}

impl Picked {
    pub(super) fn new(endpoint: &Arc<Endpoint>, gateway: bool) -> Self {
        endpoint.in_flight.add(1);
        let endpoint = endpoint.clone();
        Self {
            endpoint,
            gateway,
            pass: None,
        }
    }

    /// The same, let out by a breaker.
    pub fn with(mut self, pass: Option<Arc<Pass>>) -> Self {
        self.pass = pass;
        self
    }

    /// What the breaker of its upstream let it out by.
    pub(super) fn pass(&self) -> Option<&Arc<Pass>> {
        self.pass.as_ref()
    }

    /// The attempt ended so.
    pub(super) fn ended(&self, outcome: Outcome) {
        self.endpoint.ended(outcome);
        if let Some(pass) = &self.pass {
            pass.ended(outcome);
        }
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
