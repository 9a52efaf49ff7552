//! What is known of one connection, and the count of its exchanges.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use http::{HeaderValue, Version};
use tokio::sync::oneshot;

use super::drain::{Drain, Open};
use super::guard::Guarded;
use super::guard::clocks::Clocks;
use super::runtime::{Admission, ListenerRuntime};
use super::streams::Streams;
use super::tls::Session;
use crate::clock;
use crate::message::body::Progress;
use crate::message::interim::Interim;
use crate::message::names;
use crate::message::peer::Peer;

/// What is known of a connection. While it is held, by a tunnel for one, the connection counts as open.
#[derive(Debug)]
pub struct Connection {
    /// The listener that accepted it.
    pub listener: Arc<ListenerRuntime>,
    /// The other end.
    pub peer: Peer,
    /// The peer's address as a field value, if it has one.
    pub address: Option<HeaderValue>,
    /// What TLS agreed on, if it is spoken.
    pub tls: Option<Session>,
    /// Whether it speaks HTTP/2.
    pub h2: bool,
    /// What it does with unusual names of fields.
    pub names: Arc<names::Rule>,
    pub(crate) clocks: Arc<Clocks>,
    pub(crate) opened: u64,
    /// When the last exchange ended.
    pub(crate) active: Cell<Option<Instant>>,
    /// Requests handed to the handler so far.
    pub(crate) requests: Cell<u64>,
    /// Exchanges that have not ended.
    pub(crate) in_flight: Cell<usize>,
    /// HTTP/1: whether the request in hand is of HTTP/1.0.
    pub(crate) is_1_0: Cell<bool>,
    /// HTTP/1: whether hyper is off the connection.
    pub(crate) resting: Cell<bool>,
    /// HTTP/1: who takes the stream when hyper leaves after a 101.
    pub(crate) tunnel: RefCell<Option<oneshot::Sender<Guarded>>>,
    /// The exchanges of HTTP/2.
    pub(crate) streams: Streams,
    pub(crate) open: Open,
    pub(super) _admission: Admission,
}

impl Connection {
    /// The drain of its worker.
    pub fn drain(&self) -> &Rc<Drain> {
        self.open.drain()
    }

    /// Whether the HTTP/1 request in hand came with both Content-Length and Transfer-Encoding. It must be
    /// refused with 400 (RFC 9112, 6.1); hyper shows only the latter and ends the connection after the answer.
    pub fn ambiguous_framing(&self) -> bool {
        let flagged = self.clocks.ambiguous.load(Relaxed);
        flagged != 0 && flagged == self.requests.get()
    }

    /// HTTP/1: whether a request on the connection asked for an upgrade, this one or another.
    pub fn asked_upgrade(&self) -> bool {
        self.clocks.asked_upgrade.load(Relaxed)
    }

    /// HTTP/1: whether hyper found a request that the guard did not see. It must not be served.
    pub(super) fn is_unseen(&self) -> bool {
        self.clocks.heads.load(Relaxed) < self.requests.get()
    }

    /// HTTP/1: whether every request whose head came was begun and came whole.
    pub(super) fn has_all_that_came(&self) -> bool {
        self.clocks.heads.load(Relaxed) == self.requests.get()
            && !self.clocks.body_to_come.load(Relaxed)
    }

    /// The client's side of the tunnel that a 101 to the HTTP/1 request in hand opens, once the answer is written. An
    /// error where the connection ends instead.
    pub(crate) fn tunnel(&self) -> oneshot::Receiver<Guarded> {
        let (give, take) = oneshot::channel();
        self.tunnel.replace(Some(give));
        take
    }

    /// A request has this body: over HTTP/1, what comes of it is read as it is taken.
    pub fn takes_body(&self, progress: &Arc<Progress>) {
        if !self.h2 {
            *self.clocks.body.lock() = Arc::downgrade(progress);
        }
    }

    /// HTTP/1: takes informational responses to the request in hand.
    pub fn interim(&self) -> Option<&Interim> {
        (!self.h2).then_some(&self.clocks.interim)
    }

    /// HTTP/1: whether every request that came was begun, came whole and was answered, and every answer is written.
    /// hyper may still hold the end of a body that a reader has not taken.
    pub(crate) fn is_at_rest(&self) -> bool {
        let clocks = &self.clocks;
        self.in_flight.get() == 0
            && self.has_all_that_came()
            && clocks.head_since.load(Relaxed) == 0
            && clocks.write_since.load(Relaxed) == 0
            && clocks.upgrade.load(Relaxed) == 0
            && clocks.refuse.load(Relaxed) == 0
            && !clocks.eof.load(Relaxed)
    }

    /// A request of that version came.
    pub(super) fn set_version(&self, version: Version) {
        self.is_1_0.set(version <= Version::HTTP_10);
    }

    /// Counts an exchange, until what is returned is dropped.
    pub(super) fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        self.requests.set(self.requests.get() + 1);
        let slot = if self.h2 {
            self.streams.begin()
        } else {
            self.clocks.serving.store(true, Relaxed);
            0
        };
        InFlight {
            connection: self.clone(),
            slot,
        }
    }
}

/// An exchange that has not ended.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) connection: Rc<Connection>,
    /// In [`Connection::streams`].
    slot: usize,
}

impl InFlight {
    /// HTTP/2: the response moved at that time, or is [`WAITING`](super::streams::WAITING).
    pub(super) fn mark(&self, moved: u64) {
        self.connection.streams.mark(self.slot, moved);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.connection.active.set(Some(clock::recent()));
        self.connection
            .in_flight
            .set(self.connection.in_flight.get() - 1);
        if self.connection.h2 {
            self.connection.streams.end(self.slot);
        } else {
            self.connection.clocks.serving.store(false, Relaxed);
        }
    }
}
