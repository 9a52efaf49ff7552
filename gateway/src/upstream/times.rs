//! When things happen to a request, and how long each may take.

use std::time::{Duration, Instant};

use crate::config::{RouteTimeouts, Upstream};
use crate::message::error::ErrorKind;

/// When things happen.
#[derive(Debug, Clone, Copy)]
pub struct Times<'a> {
    /// Now.
    pub now: Instant,
    /// When the exchange as a whole must be over.
    pub deadline: Option<Instant>,
    /// When this attempt must have the head of its answer.
    pub patience: Option<Instant>,
    /// What the route says in the place of the upstream's `timeouts`.
    pub own: Option<&'a RouteTimeouts>,
}

impl Times<'_> {
    /// Whether a failure of this kind is what a limit of the route makes of an attempt, whatever the endpoint did.
    pub(super) fn cut_off(&self, kind: ErrorKind) -> bool {
        let is_over = || self.patience.is_some_and(|over| over <= Instant::now());
        kind == ErrorKind::Deadline || kind == ErrorKind::UpstreamTimeout && is_over()
    }

    /// How long a request waits for a connection.
    pub(super) fn connect(&self, upstream: &Upstream) -> Duration {
        let own = self.own.and_then(|own| own.connect);
        own.unwrap_or(upstream.connect_timeout)
    }

    /// How long it waits for the head of the response.
    pub fn first_byte(&self, upstream: &Upstream) -> Duration {
        let own = self.own.and_then(|own| own.first_byte);
        own.unwrap_or(upstream.first_byte_timeout)
    }

    /// How long it waits for the next piece of the body of the response.
    pub(super) fn idle(&self, upstream: &Upstream) -> Duration {
        let own = self.own.and_then(|own| own.idle);
        own.unwrap_or(upstream.idle_timeout)
    }

    /// How long a tunnel may be without a byte either way: as long as a response, unless it has a time of its own.
    #[cold]
    pub(super) fn tunnel(&self, upstream: &Upstream) -> Duration {
        let own = self.own.and_then(|own| own.tunnel);
        own.or(upstream.tunnel_timeout)
            .unwrap_or_else(|| self.idle(upstream))
    }
}
