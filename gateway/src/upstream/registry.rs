//! What outlives a reload, by the names of upstreams and the addresses of their endpoints.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use dashmap::DashMap;
use http::HeaderValue;
use parking_lot::Mutex;

use super::endpoint::{Endpoint, State, Upstream};
use super::fleet::Fleet;
use super::places::Places;
use super::slots::Slots;
use crate::config;
use crate::telemetry::metrics::Metrics;

/// Every upstream that a snapshot has, or had until the last [`prune`](Self::prune). Snapshots borrow from it: an
/// upstream of the same name keeps its count of connections and its turns, an endpoint of the same address its
/// connections and its requests in flight.
#[derive(Debug, Default)]
pub struct Registry {
    upstreams: DashMap<Arc<str>, Known>,
    slots: Arc<Slots>,
    turns: Arc<Slots>,
}

/// An upstream, and those of its endpoints that are in use.
#[derive(Debug)]
struct Known {
    state: Arc<State>,
    endpoints: Mutex<HashMap<SocketAddr, Weak<Endpoint>>>,
}

impl Registry {
    /// The upstream of a configuration with these gateways. Its limit of connections is in force at once.
    pub fn upstream(
        &self,
        config: &config::Upstream,
        fleet: &Fleet,
        metrics: &Metrics,
    ) -> Arc<Upstream> {
        let (most, metrics) = (config.pool.max_connections, metrics.upstream(&config.name));
        let known = self
            .upstreams
            .entry(config.name.clone())
            .or_insert_with(|| Known {
                state: Arc::new(State {
                    places: Places::new(most, metrics.clone()),
                    turn: self.turns.take(),
                }),
                endpoints: Mutex::default(),
            });
        known.state.places.limit(most);
        let mut endpoints = known.endpoints.lock();
        endpoints.retain(|_, endpoint| endpoint.strong_count() > 0);
        let endpoint = |address: &SocketAddr| {
            if let Some(present) = endpoints.get(address).and_then(Weak::upgrade) {
                return present;
            }
            let authority =
                HeaderValue::try_from(address.to_string()).expect("an address is visible ASCII");
            let made = Arc::new(Endpoint::new(*address, authority, self.slots.take()));
            endpoints.insert(*address, Arc::downgrade(&made));
            made
        };
        Arc::new(Upstream {
            name: config.name.clone(),
            endpoints: config.endpoints.iter().map(endpoint).collect(),
            gateways: fleet.among(config),
            state: known.state.clone(),
            metrics,
            config: config.clone(),
        })
    }

    /// Forgets the names that no snapshot has any more, and no connection.
    pub fn prune(&self) {
        self.upstreams
            .retain(|_, known| Arc::strong_count(&known.state) > 1);
    }

    /// How many names it knows.
    pub fn len(&self) -> usize {
        self.upstreams.len()
    }

    /// Whether it knows no name.
    pub fn is_empty(&self) -> bool {
        self.upstreams.is_empty()
    }
}
