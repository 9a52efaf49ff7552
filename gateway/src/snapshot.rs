//! What one configuration becomes: immutable, shared by every worker, swapped in one step.

mod build;
mod published;
mod resolve;

use std::sync::Arc;

use crate::config::Config;
use crate::exchange::{PluginId, Route, View};
use crate::message::depth::Marks;
use crate::plugin::{Linked, Pool};
use crate::route::Router;
use crate::telemetry::access_log::{AccessLog, Buffer};
use crate::telemetry::metrics::Metrics;
use crate::upstream::{Client, Upstream};

pub use build::{BuildError, Builder, Reason, Refused, Replace};
pub use published::{InForce, Published};

/// One configuration in force.
#[derive(Debug)]
pub struct Snapshot {
    /// Rises by one with every publication; an exchange belongs to exactly one.
    pub version: u64,
    /// The configuration it was built from.
    pub config: Arc<Config>,
    /// Host, path and predicates to a route.
    pub router: Router<Route>,
    /// Stands for the route where there is none, so that a refusal is an exchange like any other.
    pub no_route: Arc<Route>,
    /// How gateways of the fleet tell each other the depth of a request.
    pub marks: Arc<Marks>,
    /// In the order of the configuration.
    pub upstreams: Arc<[Arc<Upstream>]>,
    /// Loaded plugins, in the order of the configuration.
    pub plugins: Vec<Arc<Linked>>,
    /// For each worker, the instances of each plugin.
    pools: Vec<Vec<Arc<Pool>>>,
    /// Where exchanges are logged.
    pub access_log: Arc<AccessLog>,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
}

/// A worker's own hold on a snapshot: what exchanges see of it, and the worker's instances of each plugin.
#[derive(Debug)]
pub struct WorkerSnapshot {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// What exchanges see of it.
    pub view: Arc<View>,
    /// Instances of each plugin, in the order of [`Snapshot::plugins`].
    pools: Vec<Arc<Pool>>,
}

impl WorkerSnapshot {
    /// The hold of one worker, which reaches upstreams by `client`.
    pub fn new(snapshot: Arc<Snapshot>, worker: usize, client: Arc<Client>) -> Self {
        let view = View {
            config: snapshot.config.clone(),
            upstreams: snapshot.upstreams.clone(),
            client,
            log: Buffer::new(snapshot.access_log.clone()),
            metrics: snapshot.metrics.clone(),
        };
        Self {
            view: Arc::new(view),
            pools: snapshot.pools[worker].clone(),
            snapshot,
        }
    }

    /// The worker's instances of a plugin.
    pub fn pool(&self, plugin: PluginId) -> &Arc<Pool> {
        &self.pools[plugin.0]
    }
}
