//! What outlives a reload, by the names of upstreams and the addresses of their endpoints.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use dashmap::DashMap;
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::breaker::Breaker;
use super::budget::Budget;
use super::endpoint::{Endpoint, State};
use super::failures::Judge;
use super::fleet::Fleet;
use super::group::Upstream;
use super::members::{Member, Members};
use super::places::Places;
use super::slots::Slots;
use super::tls::Tls;
use crate::config;
use crate::message::target::Target;
use crate::telemetry::metrics::Metrics;

/// Every upstream that a snapshot has, or had until the last [`prune`](Self::prune). Snapshots borrow from it: an
/// upstream of the same name keeps its count of connections and its turns, an endpoint at the same place its
/// connections and its requests in flight.
#[derive(Debug, Default)]
pub struct Registry {
    upstreams: DashMap<Arc<str>, Known>,
    slots: Arc<Slots>,
    turns: Arc<Slots>,
    /// Tells who cares for endpoints that one needs care.
    notice: Arc<Notify>,
}

/// An upstream, and those of its endpoints that are in use.
#[derive(Debug)]
struct Known {
    state: Arc<State>,
    endpoints: Mutex<HashMap<Target, Weak<Endpoint>>>,
    breaker: Mutex<Option<Arc<Breaker>>>,
    /// With the sessions that connections resume.
    tls: Mutex<Option<Arc<Tls>>>,
}

impl Known {
    /// The breaker of a configuration: the one that is there, if it is configured alike.
    fn breaker(&self, config: &config::Upstream) -> Option<Arc<Breaker>> {
        let mut known = self.breaker.lock();
        let wanted = config.breaker;
        if known.as_ref().map(|known| known.config) != wanted {
            let (name, metrics) = (&config.name, &self.state.metrics);
            let new = |config| Arc::new(Breaker::new(name.clone(), config, metrics.clone()));
            *known = wanted.map(new);
        }
        known.clone()
    }

    /// TLS as a configuration has it: what is there already, if nothing of it changed.
    fn tls(&self, config: &config::Upstream) -> Option<Arc<Tls>> {
        let mut present = self.tls.lock();
        *present = config.tls.as_ref().map(|given| {
            let kept = present.take().filter(|tls| tls.is_of(given));
            kept.unwrap_or_else(|| Tls::new(given))
        });
        present.clone()
    }
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
                    name: config.name.clone(),
                    places: Places::new(most, metrics.clone()),
                    turn: self.turns.take(),
                    metrics: metrics.clone(),
                    budget: Budget::new(),
                    judge: Judge::new(self.notice.clone()),
                    siblings: Mutex::default(),
                }),
                endpoints: Mutex::default(),
                tls: Mutex::default(),
                breaker: Mutex::default(),
            });
        known.state.places.limit(most);
        known.state.judge.follow(config.outlier);
        let mut endpoints = known.endpoints.lock();
        endpoints.retain(|_, endpoint| endpoint.strong_count() > 0);
        let mut endpoint = |target: &Target| {
            if let Some(present) = endpoints.get(target).and_then(Weak::upgrade) {
                return present;
            }
            let (slot, state) = (self.slots.take(), known.state.clone());
            let made = Arc::new(Endpoint::new(
                target.clone(),
                authority(target),
                slot,
                state,
            ));
            endpoints.insert(target.clone(), Arc::downgrade(&made));
            made
        };
        let members = config.endpoints.iter().map(|it| Member {
            endpoint: endpoint(&it.target),
            weight: it.weight,
            backup: it.backup,
            gateway: fleet.has(config, &it.target),
        });
        Arc::new(Upstream {
            name: config.name.clone(),
            members: Members::new(members.collect()),
            marks: fleet.marks.clone(),
            breaker: known.breaker(config),
            state: known.state.clone(),
            tls: known.tls(config),
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

/// The `Host` that stands for an endpoint: its address, or `localhost` where it has none.
fn authority(target: &Target) -> HeaderValue {
    let address = target.tcp().map(|address| address.to_string());
    let address = address.and_then(|address| HeaderValue::try_from(address).ok());
    address.unwrap_or(HeaderValue::from_static("localhost"))
}
