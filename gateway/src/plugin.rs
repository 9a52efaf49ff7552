//! The plugin host: loads components, keeps instances of them, and calls their phases within a budget.
//!
//! [`load`] turns a file and its configurations into a [`Linked`], on the control thread. Each worker keeps a
//! [`Pool`] of its instances and calls phases through it. The exchange moves into the instance's store for a call
//! and comes back from it whatever happened there; a [`Failure`] says what did.

mod engine;
mod exports;
mod failure;
mod flow;
mod grants;
mod held;
mod host;
mod instance;
mod limits;
mod loader;
mod meter;
mod patience;
mod pool;
mod ticker;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

pub use engine::{Engine, EngineError};
pub use failure::{Failure, FailureKind};
pub use flow::{Answer, Flow};
pub use held::Held;
pub use host::Services;
pub(crate) use loader::hex;
pub use loader::{LoadError, Metadata, load, reload, warm};
pub use pool::Pool;

use crate::config;
use crate::message::phase::Phases;
use exports::Exports;
use host::{Resolved, Shared};
use patience::Patience;

/// One loaded version of one plugin, with every configuration of it that the routes use.
pub struct Linked {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// As configured.
    pub config: Arc<config::Plugin>,
    /// The hash of the file it was loaded from.
    pub sha256: [u8; 32],
    /// Who the plugin says it is.
    pub metadata: Metadata,
    filters: Vec<Filter>,
    engine: Arc<Engine>,
    /// Keeps the machine code known to the engine, so that loading the same bytes again is free.
    _compiled: Arc<engine::Compiled>,
    resolved: Resolved,
    exports: Arc<Exports>,
    patience: Patience,
    shared: Arc<Shared>,
    /// Living instances, over all workers.
    living: AtomicUsize,
    /// Where idle ones can be found when there are as many as there may be.
    pools: parking_lot::Mutex<Vec<std::sync::Weak<Pool>>>,
}

/// One configuration of a plugin.
#[derive(Debug)]
struct Filter {
    config: serde_json::Value,
    json: String,
    phases: Phases,
}

impl Linked {
    /// What a configuration asks for. An index that there is not asks for nothing.
    pub fn phases(&self, filter: usize) -> Phases {
        self.filters
            .get(filter)
            .map_or(Phases::default(), |filter| filter.phases)
    }

    /// The index of a configuration among those it was loaded with.
    pub fn filter_for(&self, config: &serde_json::Value) -> Option<usize> {
        self.filters
            .iter()
            .position(|filter| filter.config == *config)
    }

    /// How many distinct configurations it was loaded with.
    pub fn filters(&self) -> usize {
        self.filters.len()
    }

    /// The version the plugin gives itself.
    pub fn version(&self) -> &str {
        &self.metadata.version
    }

    /// Living instances, over all workers.
    pub fn instances(&self) -> usize {
        self.living.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn filter_json(&self, filter: usize) -> &str {
        self.filters.get(filter).map_or("{}", |filter| &filter.json)
    }

    /// One failure is one count and one line of the log; where there are too many lines, they are for whoever
    /// looks for a fault.
    fn report(&self, route: &str, phase: &'static str, failure: &Failure) {
        let kind = failure.kind.name();
        self.shared.metrics.failure(route, kind);
        if let Some(suppressed) = self.shared.gate.pass() {
            tracing::error!(
                plugin = &*self.name,
                version = self.version(),
                route,
                phase,
                kind,
                suppressed,
                "plugin failed: {}",
                failure.message
            );
        } else {
            tracing::debug!(
                plugin = &*self.name,
                route,
                phase,
                kind,
                "plugin failed: {}",
                failure.message
            );
        }
    }
}

impl fmt::Debug for Linked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linked")
            .field("name", &self.name)
            .field("version", &self.metadata.version)
            .field("filters", &self.filters.len())
            .finish_non_exhaustive()
    }
}
