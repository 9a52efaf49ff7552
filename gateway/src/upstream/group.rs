//! An upstream in force: a name, and the endpoints that requests to it go to.

mod force;

use std::sync::{Arc, Weak};
use std::time::Instant;

use http::HeaderValue;

use super::breaker::{Breaker, BreakerState, Held, Pass};
use super::discovery::Followed;
use super::endpoint::{Endpoint, Members, Picked, State};
use super::tls::Tls;
use crate::clock;
use crate::config;
use crate::message::depth::{Marks, TooDeep};
use crate::telemetry::metrics::UpstreamMetrics;

/// Where its endpoints come from.
#[derive(Debug)]
pub(super) enum Endpointed {
    /// From the configuration.
    Fixed(Members),
    /// Some of them from the DNS.
    Followed(Box<Followed>),
}

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
    pub(super) members: Endpointed,
    pub(super) breaker: Option<Arc<Breaker>>,
    pub(super) state: Arc<State>,
    pub(super) tls: Option<Arc<Tls>>,
    /// Itself, for what outlives who asks for it.
    pub(super) this: Weak<Upstream>,
}

/// The right to send a request again. What did not go out in the end is not counted.
#[derive(Debug)]
pub struct Again<'a> {
    of: &'a Upstream,
    /// Since when it counts in the budget.
    counted: Option<Instant>,
    is_out: bool,
}

impl Again<'_> {
    /// It goes out.
    pub fn goes_out(&mut self) {
        self.is_out = true;
    }

    /// It was held back after all.
    pub fn stays(mut self) {
        self.is_out = false;
    }
}

impl Drop for Again<'_> {
    fn drop(&mut self) {
        if self.is_out {
            self.of.metrics.retry(true);
        } else if let Some(then) = self.counted {
            self.of.state.budget.stays(then);
        }
    }
}

/// The connections of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// How many are open.
    pub open: usize,
    /// How many requests wait for one, or for a stream of one.
    pub waiting: u64,
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

    /// Its connections now, over all workers.
    pub fn connections(&self) -> Connections {
        let open = self.state.places.open();
        let waiting = self.metrics.waiting();
        Connections { open, waiting }
    }

    /// How many connections to an endpoint wait for a request, over all workers.
    pub fn idle(&self, endpoint: &Endpoint) -> usize {
        self.state.places.idle(endpoint.slot())
    }

    /// Lets a request out, where a breaker decides that; `whole` says that nothing of it is still to come from its client.
    ///
    /// # Errors
    /// If it may not go out now.
    #[inline]
    pub fn admit(&self, whole: bool) -> Result<Option<Arc<Pass>>, Held> {
        match &self.breaker {
            None => Ok(None),
            Some(breaker) => Pass::of(breaker, clock::now(), whole).map(Some),
        }
    }

    /// In which state its breaker is, if it has one.
    pub fn breaker(&self) -> Option<BreakerState> {
        let breaker = self.breaker.as_ref()?;
        Some(breaker.state(clock::now()))
    }

    /// Until when its breaker is open, if it is.
    pub fn breaker_opens_until(&self) -> Option<Instant> {
        self.breaker.as_ref()?.open_until(clock::now())
    }

    /// A request goes out for the first time, which may go out again.
    pub fn goes_out(&self) {
        self.state.budget.first(clock::now());
    }

    /// The right to send a request again, if it may go out again; `ratio` is the part of all requests that may, if that is
    /// bounded.
    pub fn may_go_out_again(&self, ratio: Option<f64>) -> Option<Again<'_>> {
        let now = clock::now();
        if ratio.is_some_and(|ratio| !self.state.budget.again(now, ratio)) {
            self.metrics.retry(false);
            return None;
        }
        Some(Again {
            of: self,
            counted: ratio.map(|_| now),
            is_out: false,
        })
    }

    /// Looks at its endpoints as they are now.
    #[inline]
    pub fn members<R>(&self, look: impl FnOnce(&Members) -> R) -> R {
        match &self.members {
            Endpointed::Fixed(members) => look(members),
            Endpointed::Followed(followed) => look(&followed.members()),
        }
    }

    /// What is to be followed of it: the names of endpoints, if it has some.
    pub fn followed(&self) -> Option<&Followed> {
        match &self.members {
            Endpointed::Fixed(_) => None,
            Endpointed::Followed(followed) => Some(followed),
        }
    }
}
