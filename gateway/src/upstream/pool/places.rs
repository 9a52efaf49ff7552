//! The places that an upstream's pool has for open connections, and who waits for one: first come, first served, over
//! all workers.
//!
//! A connection that comes to rest while somebody waits goes to the first who waits for its endpoint, on whatever
//! worker; the place of one that closes goes to the first of all. Nobody waits beside a free place or an idle
//! connection: who stands in the line looks for both, and who gives one up looks at the line afterwards. A connection of
//! HTTP/2 that is never idle makes way as [`Shifts`] say.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::shifts::Shifts;
use super::way::Way;
use crate::net::{Detached, Stream};
use crate::telemetry::metrics::{Refused, UpstreamMetrics};

/// How many that came later may be served before the first, since connections to their endpoint came to rest and none
/// to its own: each that is closed for another endpoint is one to be opened anew.
const PASSED: u8 = 16;

/// The places of one upstream, over all workers and reloads.
#[derive(Debug)]
pub(in crate::upstream) struct Places {
    /// Connections; more than there may be where a reload lowered the limit.
    open: AtomicUsize,
    most: AtomicUsize,
    /// How many wait, to be read without the lock.
    pending: AtomicUsize,
    line: Mutex<Line>,
    keepers: Mutex<Vec<Weak<dyn Keeper>>>,
    metrics: Arc<UpstreamMetrics>,
}

/// Who waits, in the order of their numbers.
#[derive(Debug, Default)]
struct Line {
    waiters: VecDeque<Waiter>,
    next: u64,
    /// The connections that requests share.
    shifts: Shifts,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    way: Way,
    /// How many that came later were served.
    passed: u8,
    /// Whether it is one of those that `max_pending` bounds: not while an idle connection is about to serve it.
    counts: bool,
    offer: oneshot::Sender<Offer>,
}

/// A connection that waits for a request.
pub(in crate::upstream) struct Idle {
    pub(in crate::upstream) io: Stream,
    pub(in crate::upstream) open: Open,
    pub(in crate::upstream) way: Way,
    /// Its endpoint, whose slot is taken until the connection is passed on.
    pub(in crate::upstream) endpoint: Arc<dyn fmt::Debug + Send + Sync>,
}

/// Who keeps idle connections, of all upstreams.
pub(in crate::upstream) trait Keeper: fmt::Debug + Send + Sync {
    /// How many it keeps to the endpoint of this slot.
    fn idle(&self, endpoint: usize) -> usize;

    /// Gives up an idle connection of these places: to the endpoint of this slot, or to any.
    fn give_up(&self, places: &Arc<Places>, endpoint: Option<usize>) -> Option<Idle>;

    /// Lets a shared connection of these places go that carries nothing. Whether there was one.
    fn let_go(&self, places: &Arc<Places>) -> bool;
}

/// What somebody gets who waited.
#[derive(Debug)]
pub(in crate::upstream) enum Offer {
    /// The right to open a connection.
    Place(Open),
    /// A connection to the endpoint.
    Here(Stream, Open),
    /// One that no event loop has.
    Moved(Detached, Open),
}

impl Places {
    /// So many places.
    pub(in crate::upstream) fn new(most: usize, metrics: Arc<UpstreamMetrics>) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(most),
            pending: AtomicUsize::new(0),
            line: Mutex::default(),
            keepers: Mutex::default(),
            metrics,
        })
    }

    /// So many from now on. What is open beyond them is closed as it comes to rest.
    pub(in crate::upstream) fn limit(self: &Arc<Self>, most: usize) {
        self.most.store(most, SeqCst);
        self.serve();
    }

    /// A place, if one is free and nobody waits for it.
    pub(in crate::upstream) fn take(self: &Arc<Self>) -> Option<Open> {
        if self.is_awaited() {
            return None;
        }
        self.take_free()
    }

    /// Waits for a place, or for a connection, behind at most so many others. Whom an idle connection serves is not one
    /// of them.
    ///
    /// # Errors
    /// If too many wait already, or none came in time.
    pub(in crate::upstream) async fn wait(
        self: &Arc<Self>,
        way: Way,
        most: usize,
        until: Instant,
    ) -> Result<Offer, Refused> {
        let mut waiting = self.enter(way, most);
        self.serve();
        let mut makes_way = self.reclaim(way.endpoint);
        while !waiting.counts {
            if let Ok(offer) = waiting.offer.try_recv() {
                return Ok(offer);
            }
            match makes_way {
                // Another one was before it in the line.
                Reclaimed::Passed => makes_way = self.reclaim(way.endpoint),
                Reclaimed::Closes => break,
                Reclaimed::None => return Err(Refused::QueueFull),
            }
        }
        match timeout_at(until.into(), &mut waiting.offer).await {
            Ok(Ok(offer)) => Ok(offer),
            Ok(Err(_)) | Err(_) => Err(Refused::QueueTimeout),
        }
    }

    /// Has this client asked for idle connections.
    pub(in crate::upstream) fn know<K: Keeper + 'static>(&self, keeper: &Arc<K>) {
        let mut keepers = self.keepers.lock();
        let keeper: Weak<dyn Keeper> = Arc::<K>::downgrade(keeper);
        if !keepers.iter().any(|known| known.ptr_eq(&keeper)) {
            keepers.retain(|known| known.strong_count() > 0);
            keepers.push(keeper);
        }
    }

    /// How many connections are open.
    pub(in crate::upstream) fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    /// How many idle connections to the endpoint of this slot the clients keep.
    pub(in crate::upstream) fn idle(&self, endpoint: usize) -> usize {
        let keepers = self.keepers.lock().clone();
        let keepers = keepers.iter().filter_map(Weak::upgrade);
        keepers.map(|keeper| keeper.idle(endpoint)).sum()
    }

    /// Whether somebody waits.
    fn is_awaited(&self) -> bool {
        self.pending.load(SeqCst) > 0
    }

    /// Whether more are open than may be.
    fn is_over(&self) -> bool {
        self.open.load(SeqCst) > self.most.load(SeqCst)
    }

    /// Whether a shared connection takes one more request, rather than make way for those whose worker has none.
    pub(in crate::upstream) fn goes_on(&self, shift: u64) -> bool {
        if !self.is_awaited() {
            return true;
        }
        let mut line = self.line.lock();
        let Line {
            waiters, shifts, ..
        } = &mut *line;
        let in_need = waiters.iter().filter(|it| !shifts.has(it.way)).count();
        shifts.goes_on(shift, in_need, Instant::now())
    }

    /// Whether a shared connection that carries nothing closes, since somebody else waits for its place.
    pub(in crate::upstream) fn lets_go(&self, shift: u64, way: Way) -> bool {
        if !self.is_awaited() {
            return false;
        }
        let line = self.line.lock();
        let others = line.waiters.iter().filter(|it| it.way != way).count();
        line.shifts.lets_go(shift, others, Instant::now())
    }

    /// A shared connection takes no more requests: it closes as the last of them ends.
    pub(in crate::upstream) fn leaves(&self, shift: u64) {
        self.line.lock().shifts.leave(shift, Instant::now());
    }

    fn take_free(self: &Arc<Self>) -> Option<Open> {
        let most = self.most.load(SeqCst);
        let free = |open| (open < most).then_some(open + 1);
        self.open.fetch_update(SeqCst, SeqCst, free).ok()?;
        self.metrics.opened();
        let of = self.clone();
        Some(Open { of, shift: None })
    }

    fn enter(self: &Arc<Self>, way: Way, most: usize) -> Waiting {
        let mut line = self.line.lock();
        let is_short = line.waiters.len() < most;
        let counts = is_short || line.waiters.iter().filter(|it| it.counts).count() < most;
        let (number, (give, offer)) = (line.next, oneshot::channel());
        line.next += 1;
        line.waiters.push_back(Waiter {
            number,
            way,
            passed: 0,
            counts,
            offer: give,
        });
        self.pending.store(line.waiters.len(), SeqCst);
        drop(line);
        if counts {
            self.metrics.waits(1);
        }
        let of = self.clone();
        Waiting {
            of,
            number,
            counts,
            offer,
        }
    }

    /// Takes the first out of the line; with an endpoint, the first who waits for that, unless the first of all was
    /// passed over too often or nobody does.
    fn next(&self, endpoint: Option<usize>) -> Option<Waiter> {
        let mut line = self.line.lock();
        let first = line.waiters.front()?;
        let mut at = 0;
        if first.passed < PASSED
            && let Some(endpoint) = endpoint
        {
            let mut waiters = line.waiters.iter();
            at = waiters
                .position(|waiter| waiter.way.endpoint == endpoint)
                .unwrap_or(0);
        }
        if at > 0 {
            line.waiters[0].passed += 1;
        }
        let next = line.waiters.remove(at);
        self.pending.store(line.waiters.len(), SeqCst);
        next
    }

    fn leave(&self, number: u64) {
        let mut line = self.line.lock();
        let found = line.waiters.binary_search_by_key(&number, |it| it.number);
        let left = found.ok().and_then(|at| line.waiters.remove(at));
        self.pending.store(line.waiters.len(), SeqCst);
        drop(line);
        drop(left);
    }

    /// Gives free places to those who wait.
    fn serve(self: &Arc<Self>) {
        while self.is_awaited()
            && let Some(open) = self.take_free()
        {
            match self.next(None) {
                Some(first) => first.give(Offer::Place(open)),
                None => return,
            }
        }
    }

    /// Has an idle connection serve one who waits, if there is one: best to this endpoint. Where more are open than may
    /// be, those that are too many close first.
    fn reclaim(self: &Arc<Self>, endpoint: usize) -> Reclaimed {
        let keepers = self.keepers();
        let idle = |to: Option<usize>| keepers.iter().find_map(|it| it.give_up(self, to));
        while let Some(idle) = idle(Some(endpoint)).or_else(|| idle(None)) {
            let is_over = self.is_over();
            idle.pass_on();
            if !is_over {
                return Reclaimed::Passed;
            }
        }
        match keepers.iter().any(|it| it.let_go(self)) {
            true => Reclaimed::Closes,
            false => Reclaimed::None,
        }
    }

    fn keepers(&self) -> Vec<Arc<dyn Keeper>> {
        let keepers = self.keepers.lock();
        keepers.iter().filter_map(Weak::upgrade).collect()
    }
}

/// What makes way for one who waits.
enum Reclaimed {
    /// A connection, which the first in the line has.
    Passed,
    /// A shared one, which gives its place back as it closes.
    Closes,
    None,
}

impl Idle {
    /// Gives the connection, or else its place, to one who waits for it.
    #[cold]
    pub(super) fn pass_on(self) {
        let Self {
            io,
            open,
            way,
            endpoint: _taken,
        } = self;
        let places = open.of.clone();
        let next = match places.is_over() {
            true => None,
            false => places.next(Some(way.endpoint)),
        };
        let Some(next) = next else {
            drop(io);
            return;
        };
        let offer = match io {
            io if next.way == way => Offer::Here(io, open),
            Stream::Plain(socket) if next.way.leads_as(way) => match socket.detach() {
                Ok(socket) => Offer::Moved(socket, open),
                Err(_) => Offer::Place(open),
            },
            // Closed before its place is given on.
            io => {
                drop(io);
                Offer::Place(open)
            }
        };
        next.give(offer);
    }
}

impl Waiter {
    /// Who left meanwhile drops the offer, which goes on to the next.
    fn give(self, offer: Offer) {
        drop(self.offer.send(offer));
    }
}

impl Offer {
    /// The connection, if it is one, and the place.
    pub(in crate::upstream) fn split(self) -> (Option<Stream>, Open) {
        match self {
            Self::Place(open) => (None, open),
            Self::Here(io, open) => (Some(io), open),
            Self::Moved(socket, open) => (socket.attach().ok().map(Stream::Plain), open),
        }
    }
}

/// Stands in the line while it lives.
struct Waiting {
    of: Arc<Places>,
    number: u64,
    counts: bool,
    offer: oneshot::Receiver<Offer>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.of.leave(self.number);
        if self.counts {
            self.of.metrics.waits(-1);
        }
    }
}

/// Counts a connection as open while it lives.
pub struct Open {
    of: Arc<Places>,
    /// Where requests share it.
    shift: Option<u64>,
}

impl Open {
    /// Whether it counts here.
    pub(in crate::upstream) fn is_of(&self, places: &Arc<Places>) -> bool {
        Arc::ptr_eq(&self.of, places)
    }

    /// Whether it is wanted as it comes to rest: somebody waits.
    pub(super) fn is_awaited(&self) -> bool {
        self.of.is_awaited()
    }

    /// Whether more are open than may be.
    pub(in crate::upstream) fn is_over(&self) -> bool {
        self.of.is_over()
    }

    /// Requests share it from now on. Where it is to make way, it tries for as long as `patience`.
    pub(in crate::upstream) fn shares(&mut self, way: Way, patience: Duration) -> u64 {
        let mut line = self.of.line.lock();
        let shift = line.shifts.begin(way, patience, Instant::now());
        *self.shift.insert(shift)
    }

    /// Counts bytes that were not asked for.
    pub(in crate::upstream) fn surplus(&self) {
        self.of.metrics.surplus();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(shift) = self.shift {
            self.of.line.lock().shifts.end(shift);
        }
        self.of.open.fetch_sub(1, SeqCst);
        self.of.metrics.closed();
        self.of.serve();
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Open")
    }
}

#[cfg(test)]
mod tests;
