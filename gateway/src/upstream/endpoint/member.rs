//! One endpoint of an upstream, as its configuration has it.

use std::sync::Arc;

use super::{Endpoint, Picked};

/// An endpoint, which outlives a reload, and what this configuration says of it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Where requests go.
    pub endpoint: Arc<Endpoint>,
    /// Its share of the requests, against those of the others.
    pub weight: u16,
    /// Whether it is for when no other can be asked.
    pub backup: bool,
    /// Whether it is a gateway of the fleet.
    pub(in crate::upstream) gateway: bool,
}

impl Member {
    /// A request goes to it.
    pub(in crate::upstream) fn pick(&self) -> Picked {
        Picked::new(&self.endpoint, self.gateway)
    }
}
