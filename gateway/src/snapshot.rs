//! What one configuration becomes: immutable, shared by every worker, swapped in one step.

mod build;

use std::sync::Arc;

use crate::config::{self, Config};
use crate::message::phase::Phases;
use crate::plugin::{Linked, Pool};
use crate::route::Router;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::{Metrics, RouteMetrics};
use crate::upstream::Upstream;

pub use build::{Builder, Reason, Refused, Replace};

/// One configuration in force.
#[derive(Debug)]
pub struct Snapshot {
    /// Rises by one with every publication; an exchange belongs to exactly one.
    pub version: u64,
    /// The configuration it was built from.
    pub config: Arc<Config>,
    /// Host, path and predicates to a route.
    pub router: Router,
    /// Stands for the route where there is none, so that a refusal is an exchange like any other.
    pub no_route: Arc<Route>,
    /// In the order of the configuration.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Loaded plugins, in the order of the configuration.
    pub plugins: Vec<Arc<Linked>>,
    /// For each worker, the instances of each plugin.
    pools: Vec<Vec<Arc<Pool>>>,
    /// Where exchanges are logged.
    pub access_log: Arc<AccessLog>,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
}

/// A route with everything it refers to resolved.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// As configured.
    pub config: config::Route,
    /// The plugins in order.
    pub chain: Vec<Link>,
    /// Places in `chain` with a request phase, in order.
    pub on_request: Vec<usize>,
    /// Places in `chain` with a response phase, in reverse order.
    pub on_response: Vec<usize>,
    /// Places in `chain` that see the request's chunks, in order.
    pub request_stream: Vec<usize>,
    /// Places in `chain` that see the response's chunks, in reverse order.
    pub response_stream: Vec<usize>,
    /// Places in `chain` with a complete phase, in order.
    pub on_complete: Vec<usize>,
    /// Its counters.
    pub metrics: Arc<RouteMetrics>,
}

/// One plugin of a chain.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Index into [`Snapshot::plugins`] and [`View::pools`].
    pub plugin: usize,
    /// Which of the plugin's configurations.
    pub filter: usize,
    /// What that configuration asks for.
    pub phases: Phases,
}

/// A worker's own hold on a snapshot. Exchanges count references on this, not on the snapshot, so that
/// workers do not share a cache line; the pools of plugin instances are the worker's alone.
#[derive(Debug)]
pub struct View {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// Instances of each plugin, in the order of [`Snapshot::plugins`].
    pub pools: Vec<Arc<Pool>>,
}

impl View {
    /// The view of one worker.
    pub fn new(snapshot: Arc<Snapshot>, worker: usize) -> Self {
        let pools = snapshot.pools[worker].clone();
        Self { snapshot, pools }
    }
}

impl Route {
    fn new(config: config::Route, chain: Vec<Link>, metrics: Arc<RouteMetrics>) -> Self {
        let places = |wanted: fn(Phases) -> bool| -> Vec<usize> {
            (0..chain.len())
                .filter(|place| wanted(chain[*place].phases))
                .collect()
        };
        let reversed = |wanted: fn(Phases) -> bool| -> Vec<usize> {
            places(wanted).into_iter().rev().collect()
        };
        Self {
            name: config.name.clone(),
            on_request: places(Phases::request),
            on_response: reversed(Phases::response),
            request_stream: places(Phases::request_stream),
            response_stream: reversed(Phases::response_stream),
            on_complete: places(Phases::complete),
            chain,
            config,
            metrics,
        }
    }
}
