//! The endpoints of an upstream, as its configuration has them.

use std::sync::Arc;

use http::HeaderValue;

use super::endpoint::{Endpoint, Picked};

/// The endpoints of an upstream: those of a configuration, in its order.
#[derive(Debug)]
pub struct Members(Vec<Member>);

/// One of them: the endpoint, which outlives a reload, and what this configuration says of it.
#[derive(Debug)]
pub struct Member {
    /// Where requests go.
    pub endpoint: Arc<Endpoint>,
    /// Its share of the requests, against those of the others.
    pub weight: u16,
    /// Whether it is for when no other can be asked.
    pub backup: bool,
    /// Whether it is a gateway of the fleet.
    pub(super) gateway: bool,
}

impl Member {
    /// A request goes to it.
    pub(super) fn pick(&self) -> Picked {
        Picked::new(&self.endpoint, self.gateway)
    }
}

impl Members {
    pub(super) fn new(members: Vec<Member>) -> Self {
        Self(members)
    }

    /// Each, in the order of the configuration.
    pub fn all(&self) -> &[Member] {
        &self.0
    }

    /// What stands for each as a `Host`.
    pub fn authorities(&self) -> impl Iterator<Item = &HeaderValue> {
        self.0.iter().map(|member| &member.endpoint.authority)
    }
}
