//! An upstream in force, and its endpoints.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::HeaderValue;

use super::fleet::Gateways;
use super::slots::Slot;
use crate::config;
use crate::message::depth::TooDeep;
use crate::telemetry::metrics::{Gauge, UpstreamMetrics};

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
    /// Open connections over all workers.
    pub(super) open: AtomicUsize,
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
        }
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
