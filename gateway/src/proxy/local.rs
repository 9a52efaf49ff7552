//! What one worker has to itself, by name.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::complete::Completions;
use crate::snapshot::InForce;
use crate::upstream::Client;

/// A worker's own state. Nothing of it is shared with another worker, and all of it ends with the worker.
#[derive(Debug)]
pub struct Local {
    /// The snapshot in force.
    pub in_force: InForce,
    /// Idle connections to upstreams, turns of round robin, and buffers.
    pub client: Arc<Client>,
    /// Exchanges whose `complete` phases are to be called.
    pub completions: Completions,
    /// Cancelled at the end of the grace of a drain.
    pub grace: CancellationToken,
}
