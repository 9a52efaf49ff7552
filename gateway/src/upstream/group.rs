//! An upstream in force: a name, and the endpoints that requests to it go to.

use std::sync::Arc;

use http::HeaderValue;

use super::endpoint::{Picked, State};
use super::members::Members;
use super::tls::Tls;
use crate::config;
use crate::message::depth::{Marks, TooDeep};
use crate::telemetry::metrics::UpstreamMetrics;

/// An upstream in force.
#[derive(Debug)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// As configured.
    pub config: config::Upstream,
    /// Its counters.
    pub metrics: Arc<UpstreamMetrics>,
    /// How endpoints that are gateways are told the depth of a request.
    pub(super) marks: Arc<Marks>,
    pub(super) members: Members,
    pub(super) state: Arc<State>,
    pub(super) tls: Option<Arc<Tls>>,
}

impl Upstream {
    /// What tells the endpoint how deep a request stands that is sent to it for one of this depth; none where it is no
    /// gateway of the fleet.
    ///
    /// # Errors
    /// If that is too deep.
    #[inline]
    pub fn mark(&self, picked: &Picked, depth: u8) -> Result<Option<HeaderValue>, TooDeep> {
        match picked.gateway {
            true => self.marks.after(depth).map(Some),
            false => Ok(None),
        }
    }

    /// Looks at its endpoints as they are now.
    #[inline]
    pub fn members<R>(&self, look: impl FnOnce(&Members) -> R) -> R {
        look(&self.members)
    }
}
