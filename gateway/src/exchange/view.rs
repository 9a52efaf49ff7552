//! What an exchange sees of the snapshot it belongs to.

use std::sync::Arc;

use crate::config::{Config, UpstreamId};
use crate::telemetry::access_log;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{self, Upstream};

/// The part of a snapshot that an exchange sees, on one worker. Exchanges count references on this, not on the
/// snapshot, so that workers do not share a cache line.
#[derive(Debug)]
pub struct View {
    /// The configuration.
    pub config: Arc<Config>,
    /// In the order of the configuration.
    pub upstreams: Arc<[Arc<Upstream>]>,
    /// The worker's connections to them.
    pub client: Arc<upstream::Client>,
    /// Where exchanges are logged.
    pub log: access_log::Buffer,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
}

impl View {
    /// The upstream of that name.
    pub fn upstream_named(&self, name: &str) -> Option<UpstreamId> {
        self.config.upstreams.get_index_of(name).map(UpstreamId)
    }

    /// An upstream of the configuration.
    pub fn upstream(&self, id: UpstreamId) -> &Arc<Upstream> {
        &self.upstreams[id.0]
    }
}
