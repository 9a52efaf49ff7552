//! An exchange on its way through the gateway, and what the worker has to itself that carries it.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::exchange::{Decisions, Exchange, Link, Place};
use crate::message::phase::Phase;
use crate::plugin::{HeldInstances, Pool};
use crate::snapshot::{InForce, WorkerSnapshot};
use crate::upstream::Client;

/// Behind every link of a chain.
pub(super) const LAST: Place = Place(usize::MAX);

/// An exchange with what the plugins of its chain need. It has one owner from the head of the request to the last byte
/// of the response. Its drop is the end: the exchange is recorded, and then its `complete` phases are called soon.
pub(super) struct Passage {
    pub(super) exchange: Exchange,
    /// How many links of the chain had their turn with the request: the response phases of the others are left out.
    pub(super) reached: usize,
    /// Which links are left out, as their `when` was decided.
    pub(super) decisions: Decisions,
    pub(super) held: HeldInstances,
    pub(super) snapshot: Rc<WorkerSnapshot>,
    pub(super) local: Rc<Local>,
}

impl Passage {
    /// An exchange that begins: no plugin has seen it.
    pub(super) fn new(exchange: Exchange, snapshot: Rc<WorkerSnapshot>, local: Rc<Local>) -> Self {
        Self {
            exchange,
            reached: 0,
            decisions: Decisions::default(),
            held: HeldInstances::default(),
            snapshot,
            local,
        }
    }

    /// The turn of the links up to this place has come: what their `when` asks is decided.
    #[inline]
    pub(super) fn decide(&mut self, upto: Place) {
        if !self.exchange.route.conditions.is_empty() {
            self.exchange.decide(&mut self.decisions, upto);
        }
    }

    /// Whether a link of the chain takes no part in this exchange, since its `when` did not hold.
    pub(super) fn leaves_out(&self, link: &Link) -> bool {
        self.decisions.leaves_out(link.place)
    }

    /// Whether a link of the chain had its turn with the request, and takes part.
    pub(super) fn has_reached(&self, link: &Link) -> bool {
        link.place.0 < self.reached && !self.leaves_out(link)
    }

    /// The link at this place had its turn.
    pub(super) fn reach(&mut self, place: Place) {
        self.reached = place.0 + 1;
    }

    /// Only the links before this place are reached.
    pub(super) fn retreat(&mut self, place: Place) {
        self.reached = self.reached.min(place.0);
    }

    /// The worker's instances of the plugin of a link.
    pub(super) fn pool(&self, link: Link) -> Arc<Pool> {
        self.snapshot.pool(link.plugin).clone()
    }

    /// Everything, for the `complete` phases.
    fn take(&mut self) -> Self {
        Self {
            exchange: self.exchange.lend(),
            reached: self.reached,
            decisions: self.decisions,
            held: std::mem::take(&mut self.held),
            snapshot: self.snapshot.clone(),
            local: self.local.clone(),
        }
    }
}

impl Deref for Passage {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        &self.exchange
    }
}

impl DerefMut for Passage {
    fn deref_mut(&mut self) -> &mut Exchange {
        &mut self.exchange
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let Some(parts) = self.exchange.get_mut() else {
            return;
        };
        if parts.phase == Phase::Complete || parts.route.on_complete.is_empty() {
            return;
        }
        // Links behind the one that answered take part in the end of an exchange, and their turn comes now.
        if !parts.route.conditions.is_empty() {
            parts.decide(&mut self.decisions, LAST);
            if !self.decisions.keeps_any(&parts.route.on_complete) {
                return;
            }
        }
        parts.conclude_before_complete();
        parts.phase = Phase::Complete;
        let local = self.local.clone();
        local.completions.add(self.take());
    }
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exchange.fmt(f)
    }
}

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

/// Where exchanges go whose `complete` phases are to be called.
#[derive(Debug)]
pub struct Completions(RefCell<Option<mpsc::Sender<Passage>>>);

impl Completions {
    pub(super) fn new(sender: mpsc::Sender<Passage>) -> Self {
        Self(RefCell::new(Some(sender)))
    }

    /// Has the `complete` phases of an exchange called soon, where they can be.
    fn add(&self, passage: Passage) {
        if let Some(sender) = &*self.0.borrow() {
            let _left_out = sender.try_send(passage);
        }
    }

    /// Takes no more: exchanges that end from now on have none of these phases.
    pub fn close(&self) {
        self.0.replace(None);
    }
}
