//! What one worker keeps of its ways to upstreams: keep-alive connections, turns and buffers.
//!
//! A connection is driven by the exchange that holds it, in the same task: no wake-up between a task for the
//! exchange and one for the connection. While it idles no task drives it; taking it out looks once, in the kernel
//! or at what the event loop heard since, whether the other side closed it or sent what was not asked for. An endpoint that did the latter may put answers into
//! the mouth of others: for a minute, no connection to it is kept.

mod admission;
mod places;
mod shifts;
mod way;

use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use parking_lot::Mutex;

use super::balance::{Spread, Turn};
use super::endpoint::{Endpoint, Member};
use super::group::Upstream;
use super::h2;
use super::times::Timer;
use super::tls;
use super::tls::Tls;
use places::{Idle, Keeper};

use crate::clock;
use crate::net::{Stream, Waiting};
use crate::thread::own;

pub(super) use admission::{Admitted, place};
pub use places::Open;
pub(super) use places::Places;
pub(super) use way::Way;

/// How much of an answer is read at once, its head included.
const READ: usize = 16 << 10;
/// The largest buffer that is kept for the next head.
const KEEP: usize = 16 << 10;

/// Idle connections, turns of round robin, and the buffers that heads pass through. Each worker has one of its own, so
/// that no lock in it is ever waited for; it may be moved between threads all the same.
#[derive(Debug)]
pub struct Client {
    /// By the slot of the endpoint; the connection used last is at the end.
    idle: Mutex<Vec<AtRest>>,
    /// Connections of HTTP/2, by the slot of the endpoint: each carries many requests at once.
    lines: Mutex<Vec<Arc<h2::Line>>>,
    /// By the slot of the upstream's turn.
    turns: Mutex<Vec<Turn>>,
    /// Where answers are read first. What came is copied out at its own size, so that a waiting connection holds no
    /// buffer.
    pub(super) scratch: Mutex<Box<[u8]>>,
    /// The buffer of the last head that went out whole: most exchanges need no other.
    spare: Mutex<Vec<u8>>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            idle: Mutex::default(),
            lines: Mutex::default(),
            turns: Mutex::default(),
            scratch: Mutex::new(vec![0; READ].into()),
            spare: Mutex::default(),
        }
    }
}

impl Client {
    /// The endpoint of the upstream that has its turn.
    pub(super) fn next_turn(
        &self,
        upstream: &Upstream,
        spread: &Spread,
        open: impl Fn(&Member) -> bool,
    ) -> Option<usize> {
        let index = upstream.state.turn.index();
        let mut turns = self.turns.lock();
        if turns.len() <= index {
            turns.resize_with(index + 1, Turn::default);
        }
        // The shard of the control thread is the first.
        let worker = own(|own| own.shard.get()).saturating_sub(1);
        turns[index].next(spread, worker, open)
    }

    /// The connection to an endpoint that was used last and is usable, of those that the event loop has looked at since
    /// if there are any, which saves a system call. Those that turn out not to be usable are closed.
    pub(super) fn take(
        &self,
        endpoint: &Endpoint,
        tls: Option<&Arc<Tls>>,
        now: Instant,
    ) -> Option<Box<Connection>> {
        let (turn, mark) = (turn(), tls::mark(tls));
        loop {
            let mut idle = self.idle.lock();
            let slot = idle.get_mut(endpoint.slot())?;
            let looked_at = slot.iter().rposition(|idle| idle.rests_since != turn);
            let at = looked_at.or(slot.len().checked_sub(1))?;
            let mut connection = slot.remove(at);
            drop(idle);
            // Of those that a reload makes too many, none serves.
            let may_be = tls::mark(connection.tls.as_ref()) == mark && !connection.open.is_over();
            if may_be && connection.is_usable(now) {
                return Some(connection);
            }
        }
    }

    /// Closes what has idled too long, was closed by the other side, or may not be used again; the worker calls it now
    /// and then.
    pub fn sweep(&self) {
        let now = Instant::now();
        let mut idle = self.idle.lock();
        let expired: AtRest = idle
            .iter_mut()
            .flat_map(|slot| slot.extract_if(.., |connection| !connection.is_usable(now)))
            .collect();
        drop(idle);
        drop(expired);
        while let Some(one) = self.find(|it| it.open.is_over()) {
            drop(one);
        }
        for line in self.lines() {
            line.sweep(now);
        }
    }

    /// Takes out a connection that is wanted, of those that were used last, one to each endpoint.
    fn find(&self, wanted: impl Fn(&Connection) -> bool) -> Option<Box<Connection>> {
        let mut idle = self.idle.lock();
        let mut last = idle.iter_mut();
        last.find_map(|slot| slot.pop_if(|connection| wanted(connection)))
    }

    /// Where a connection leads to that this client opens to an endpoint.
    pub(super) fn way(self: &Arc<Self>, upstream: &Upstream, endpoint: &Endpoint) -> Way {
        Way {
            endpoint: endpoint.slot(),
            client: Arc::as_ptr(self).addr(),
            tls: tls::mark(upstream.tls.as_ref()),
        }
    }

    /// The connections of HTTP/2 to an endpoint.
    pub(super) fn line(&self, endpoint: &Endpoint) -> Arc<h2::Line> {
        let (mut lines, slot) = (self.lines.lock(), endpoint.slot());
        if lines.len() <= slot {
            lines.resize_with(slot + 1, Arc::default);
        }
        lines[slot].clone()
    }

    fn lines(&self) -> Vec<Arc<h2::Line>> {
        self.lines.lock().clone()
    }

    /// An empty buffer for a head.
    pub(super) fn spare(&self) -> Vec<u8> {
        std::mem::take(&mut *self.spare.lock())
    }

    /// Keeps the buffer of a head that is out.
    pub(super) fn keep_spare(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= KEEP {
            buffer.clear();
            *self.spare.lock() = buffer;
        }
    }
}

impl Keeper for Client {
    fn idle(&self, endpoint: usize) -> usize {
        self.idle.lock().get(endpoint).map_or(0, Vec::len)
    }

    fn give_up(&self, places: &Arc<Places>, endpoint: Option<usize>) -> Option<Idle> {
        let is_of = |connection: &Connection| {
            let to = connection.endpoint.slot();
            connection.open.is_of(places) && endpoint.is_none_or(|endpoint| endpoint == to)
        };
        self.find(is_of).map(|connection| connection.into_idle())
    }

    fn let_go(&self, places: &Arc<Places>) -> bool {
        // It gives its place back as it closes, on the thread that drives it.
        self.lines().iter().any(|line| line.give_up(places))
    }
}

/// How often the event loop of this thread has looked at its sockets.
fn turn() -> u64 {
    own(|own| own.turn.get())
}

/// One connection to an endpoint.
pub(super) struct Connection {
    pub(super) io: Stream,
    /// Bytes of a message that did not come in one piece; empty between two exchanges.
    pub(super) read: BytesMut,
    pub(super) timer: Timer,
    /// Whose it is, and where it goes back to.
    client: Weak<Client>,
    /// The name of the upstream.
    upstream: Arc<str>,
    /// What it leads to: its slot is taken as long as the connection is there.
    endpoint: Arc<Endpoint>,
    tls: Option<Arc<Tls>>,
    most_idle: usize,
    idle_timeout: Duration,
    /// When it has idled too long.
    idle_until: Option<Instant>,
    /// The turn of the event loop in which it came to rest.
    rests_since: u64,
    /// Whether the exchange in hand is its last, as the upstream was told.
    last: bool,
    open: Open,
}

/// Boxed, since a connection changes hands several times per exchange.
#[allow(clippy::vec_box, reason = "the boxes are what is handed around")]
type AtRest = Vec<Box<Connection>>;

impl Connection {
    /// A connection of HTTP/1 over a stream that is open.
    pub(super) fn over(
        io: Stream,
        client: &Arc<Client>,
        upstream: &Upstream,
        endpoint: &Arc<Endpoint>,
        open: Open,
    ) -> Box<Self> {
        upstream.state.places.know(client);
        Box::new(Self {
            io,
            read: BytesMut::new(),
            timer: Timer::default(),
            client: Arc::downgrade(client),
            upstream: upstream.name.clone(),
            endpoint: endpoint.clone(),
            tls: upstream.tls.clone(),
            most_idle: upstream.config.pool.idle_per_worker,
            idle_timeout: upstream.config.pool.idle_timeout,
            idle_until: None,
            rests_since: 0,
            last: false,
            open,
        })
    }

    /// The exchange that begins is its last.
    pub(super) fn make_last(&mut self) {
        self.last = true;
    }

    /// Puts the connection back: the message in hand is over on both sides.
    pub(super) fn give_back(mut self: Box<Self>) {
        let now = clock::recent();
        if self.last || !self.endpoint.is_trusted(now) {
            return;
        }
        // An idle connection holds no buffer.
        self.read = BytesMut::new();
        self.idle_until = now.checked_add(self.idle_timeout);
        self.rests_since = turn();
        let Some(client) = self.client.upgrade() else {
            return;
        };
        let (mut idle, slot) = (client.idle.lock(), self.endpoint.slot());
        // Under the lock: who waits from now on finds it among the idle ones. Where a reload lowered the limit, it is closed.
        if self.open.is_awaited() || self.open.is_over() {
            drop(idle);
            return self.into_idle().pass_on();
        }
        if idle.len() <= slot {
            idle.resize_with(slot + 1, Vec::new);
        }
        let slot = &mut idle[slot];
        if slot.len() < self.most_idle {
            slot.push(self);
        }
    }

    /// Takes it out of the pool's hands; it counts while [`Open`] lives.
    pub(super) fn into_tunnel(self) -> (Stream, Open) {
        (self.io, self.open)
    }

    /// Takes it out of this client's hands.
    fn into_idle(self) -> Idle {
        let way = Way {
            endpoint: self.endpoint.slot(),
            client: self.client.as_ptr().addr(),
            tls: tls::mark(self.tls.as_ref()),
        };
        let Self {
            io, open, endpoint, ..
        } = self;
        Idle {
            io,
            open,
            way,
            endpoint,
        }
    }

    /// Why the endpoint does not accept what the gateway showed of itself, if this error says so. Only before the first
    /// exchange is over: then nothing of it was read.
    #[cold]
    pub(super) fn refusal(&self, error: &io::Error) -> Option<String> {
        let tls = self.tls.as_ref().filter(|_| self.idle_until.is_none())?;
        let why = tls.refusal(error)?;
        Some(format!("{}: {why}", self.endpoint.target))
    }

    /// Whether one that was another request's may carry one more: the kernel holds nothing for it.
    pub(super) fn is_quiet(&mut self) -> bool {
        let waiting = self.io.waiting(false);
        if matches!(waiting, Waiting::Bytes(first) if !is_goodbye(first)) {
            self.surplus();
        }
        waiting == Waiting::Nothing && self.endpoint.is_trusted(clock::recent())
    }

    /// The other side sent more than the answer. On a connection that ends anyway it harms no other exchange, and a
    /// client may have had it sent.
    #[cold]
    pub(super) fn surplus(&self) {
        if self.last {
            return;
        }
        self.open.surplus();
        if self.endpoint.distrust(clock::recent()) {
            let (upstream, endpoint) = (&self.upstream, &self.endpoint.target);
            tracing::warn!(
                %upstream,
                %endpoint,
                "the endpoint sent more than the answer; no connection to it is kept for 60 s"
            );
        }
    }

    /// Whether it may carry another exchange. What waits on it belongs to none.
    fn is_usable(&mut self, now: Instant) -> bool {
        if self.idle_until.is_some_and(|until| until < now) || !self.endpoint.is_trusted(now) {
            return false;
        }
        match self.io.waiting(self.rests_since != turn()) {
            Waiting::Nothing => true,
            Waiting::End => false,
            Waiting::Bytes(first) => {
                if !is_goodbye(first) {
                    self.surplus();
                }
                false
            }
        }
    }
}

/// Whether it begins what a server may say that closes an idle connection (RFC 9110, section 15.5.9).
fn is_goodbye(first: [u8; 12]) -> bool {
    matches!(&first, b"HTTP/1.1 408" | b"HTTP/1.0 408")
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("endpoint", &self.endpoint.target)
            .finish_non_exhaustive()
    }
}
