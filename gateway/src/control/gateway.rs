//! A gateway that runs: what its reloads and its answers to operators have in common.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use tokio::sync::{Mutex, Notify, watch};

use super::discovery::Following;
use super::listeners::Listeners;
use super::outcome::Outcome;
use super::queue::Queue;
use super::swaps::Swaps;
use crate::config::{Config, Fault, Watched};
use crate::plugin::Engine;
use crate::snapshot::{Builder, Published};
use crate::state;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Checks;
use crate::worker::Handle;

/// A running gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) path: PathBuf,
    pub(super) engine: Arc<Engine>,
    pub(super) published: Arc<Published>,
    pub(super) workers: Vec<Handle>,
    /// Who cares for the endpoints of the upstreams in force.
    pub(super) checks: Checks,
    /// Who asks the DNS for the names of endpoints in force.
    pub(super) following: parking_lot::Mutex<Following>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) state: Arc<state::Memory>,
    /// One reload at a time; while its plugins are compiled, others go on.
    pub(super) reloading: Mutex<Reloading>,
    /// Those that have not begun.
    pub(super) queue: Queue<Outcome>,
    /// Something was published.
    pub(super) changed: Notify,
    pub(super) swaps: Swaps,
    pub(super) ready: AtomicBool,
    /// Asks for the files of the configuration to be watched; none where nothing is watched. Asking does not
    /// wait: the watcher itself may ask.
    pub(super) files: Option<watch::Sender<(Watched, SystemTime)>>,
    /// The configuration that was refused, until one is taken.
    pub(super) refused: parking_lot::Mutex<Option<Refused>>,
    /// Plugins whose files are gone, which was said.
    pub(super) gone: parking_lot::Mutex<BTreeSet<Arc<str>>>,
}

/// A configuration that was refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// What it depends on.
    pub(super) watched: Watched,
    /// When.
    pub(super) at: SystemTime,
    /// Why: every fault. None while its plugins are compiled.
    pub(super) why: Vec<Fault>,
}

#[derive(Debug)]
pub(super) struct Reloading {
    pub(super) builder: Builder,
    pub(super) listeners: Listeners,
}

/// What the state may hold.
pub(super) fn bounds(config: &Config) -> state::Amount {
    state::Amount {
        entries: config.state.max_entries,
        bytes: config.state.max_bytes,
    }
}

/// The state that a configuration asks for, empty.
pub(super) fn empty_state(config: &Config) -> Arc<state::Memory> {
    state::Memory::new(bounds(config), config.plugins.keys())
}

/// Says what an operator should look at.
pub(super) fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Why there is no compile cache where one is wanted.
pub(super) fn cache_warning(engine: &Engine, config: &Config) -> Option<Fault> {
    const KEY: &str = "server.compile_cache";
    let place = config.origins.spot(KEY);
    let remedy = match config.origins.has(KEY) {
        true => "",
        // The directory stands in no file.
        false => "; it is the one unless given: write another, or `false`",
    };
    let warning = engine.warning();
    warning.map(|warning| place.fault(format!("{warning}{remedy}")))
}
