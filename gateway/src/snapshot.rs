//! What one configuration becomes: immutable, shared by every worker, swapped in one step.

use std::sync::Arc;

use crate::config::{self, Config};
use crate::plugin::{Linked, Pool};
use crate::route::Router;
use crate::telemetry::metrics::RouteMetrics;
use crate::upstream::Upstream;

/// One configuration in force.
#[derive(Debug)]
pub struct Snapshot {
    /// Rises by one with every publication; an exchange belongs to exactly one.
    pub version: u64,
    /// The configuration it was built from.
    pub config: Arc<Config>,
    /// Host, path and predicates to a route.
    pub router: Router,
    /// In the order of the configuration.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Loaded plugins, in the order of the configuration.
    pub plugins: Vec<Arc<Linked>>,
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
    /// Whether some plugin has a stream or complete phase.
    pub request_stream: Vec<usize>,
    /// Places in `chain` that see the response's chunks, in reverse order.
    pub response_stream: Vec<usize>,
    /// Places in `chain` with a complete phase.
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
    pub phases: crate::plugin::Phases,
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
