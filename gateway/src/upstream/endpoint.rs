//! An upstream in force, and its endpoints.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use http::HeaderValue;

use super::fleet::Gateways;
use super::places::Places;
use super::slots::Slot;
use crate::config;
use crate::message::depth::TooDeep;
use crate::telemetry::metrics::{Gauge, UpstreamMetrics};

/// How long no connection is kept to an endpoint that sent what was not asked for, in milliseconds.
const DISTRUST: u64 = 60_000;

/// An upstream in force.
#[derive(Debug)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// As configured.
    pub config: config::Upstream,
    /// At least one.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Its counters.
    pub metrics: Arc<UpstreamMetrics>,
    /// Those of the endpoints that are gateways.
    pub(super) gateways: Gateways,
    pub(super) state: Arc<State>,
}

/// What all upstreams of one name have in common, over reloads.
#[derive(Debug)]
pub(super) struct State {
    /// Of its pool, over all workers.
    pub(super) places: Arc<Places>,
    /// Its place among every client's turns.
    pub(super) turn: Slot,
}

/// One address of an upstream; the same for the same name and address over reloads.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// The `Host` that stands for it.
    pub authority: HeaderValue,
    /// Requests that are under way, over all workers.
    pub in_flight: Gauge,
    /// Its place in every client's pool.
    slot: Slot,
    made: Instant,
    /// Until when no connection to it is kept, in milliseconds since it was made.
    distrusted_until: AtomicU64,
}

impl Upstream {
    /// What tells the endpoint how deep a request stands that is sent to it for one of this depth; none where it is no
    /// gateway of the fleet.
    ///
    /// # Errors
    /// If that is too deep.
    #[inline]
    pub fn mark(&self, picked: &Picked, depth: u8) -> Result<Option<HeaderValue>, TooDeep> {
        self.gateways.mark(picked.address, depth)
    }
}

impl Endpoint {
    pub(super) fn new(address: SocketAddr, authority: HeaderValue, slot: Slot) -> Self {
        Self {
            address,
            authority,
            in_flight: Gauge::new(),
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

    pub(super) fn slot(&self) -> usize {
        self.slot.index()
    }
}

/// An endpoint that was picked for a request. The request is in flight there until this is dropped: with the last byte
/// of the answer.
#[derive(Debug)]
pub struct Picked(Arc<Endpoint>);

impl Picked {
    pub(super) fn new(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.in_flight.add(1);
        Self(endpoint.clone())
    }

    /// The endpoint, for what outlives the request.
    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Deref for Picked {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.0
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        self.0.in_flight.add(-1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::tests::upstream;

    #[test]
    fn an_endpoint_that_sent_surplus_is_not_trusted_for_a_minute_and_said_so_once() {
        let upstream = upstream(&["[::1]:1"]);
        let (endpoint, now) = (&upstream.endpoints[0], Instant::now());
        assert!(endpoint.is_trusted(now));
        assert!(endpoint.distrust(now), "the first time is worth a line");
        assert!(!endpoint.distrust(now), "the second is not");
        let later = |seconds| now + Duration::from_secs(seconds);
        assert!(!endpoint.is_trusted(later(59)));
        assert!(endpoint.is_trusted(later(61)));
        assert!(endpoint.distrust(later(61)));
    }
}
