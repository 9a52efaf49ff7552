//! What outlives a reload, by the names of upstreams and the addresses of their endpoints.

use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::breaker::{Breaker, Budget};
use super::discovery::{Endpoints, Followed, members};
use super::endpoint::{Drains, Fleet, Judge, Slots, State};
use super::group::{Endpointed, Upstream};
use super::pool::Places;
use super::tls::Tls;
use crate::config;
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
    endpoints: Arc<Endpoints>,
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
            let new = |config| {
                let under_way = self.state.under_way.clone();
                Arc::new(Breaker::new(
                    name.clone(),
                    config,
                    metrics.clone(),
                    under_way,
                ))
            };
            if let Some(before) = std::mem::replace(&mut *known, wanted.map(new)) {
                before.retire();
            }
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
            .or_insert_with(|| {
                let state = Arc::new(State {
                    name: config.name.clone(),
                    places: Places::new(most, metrics.clone()),
                    turn: self.turns.take(),
                    metrics: metrics.clone(),
                    budget: Budget::new(),
                    under_way: Arc::default(),
                    judge: Judge::new(self.notice.clone()),
                    drains: Drains::default(),
                    siblings: Mutex::default(),
                });
                Known {
                    endpoints: Endpoints::new(state.clone(), self.slots.clone()),
                    state,
                    tls: Mutex::default(),
                    breaker: Mutex::default(),
                }
            });
        known.state.places.limit(most);
        known.state.judge.follow(config.outlier);
        known.endpoints.prune();
        let endpoints = &known.endpoints;
        let members = match config.names.is_empty() {
            true => Endpointed::Fixed(members(config, fleet, endpoints, &[])),
            false => Endpointed::Followed(Box::new(Followed::new(config, fleet, endpoints))),
        };
        Arc::new_cyclic(|this| Upstream {
            this: this.clone(),
            name: config.name.clone(),
            members,
            marks: fleet.marks.clone(),
            breaker: known.breaker(config),
            state: known.state.clone(),
            tls: known.tls(config),
            metrics,
            config: config.clone(),
        })
    }

    /// Of upstreams that are not configured any more no breaker is open.
    pub fn release(&self, configured: &[Arc<Upstream>]) {
        for known in &self.upstreams {
            if configured
                .iter()
                .all(|upstream| upstream.name != *known.key())
                && let Some(breaker) = known.breaker.lock().take()
            {
                breaker.retire();
            }
        }
    }

    /// Forgets the names that no snapshot has any more, and no connection.
    pub fn prune(&self) {
        // One of its own, and one of its endpoints.
        self.upstreams
            .retain(|_, known| Arc::strong_count(&known.state) > 2);
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
