//! The end of a listener on one worker: no new connections, the open ones finish, the rest end with the grace.
//!
//! An idle HTTP/1.1 connection is not closed at once: a request that is under way while it closes would be lost.
//! It lingers, and a request that still arrives is answered with `Connection: close`.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long an idle connection stays open, and how long after its last response, once a drain has begun.
pub const LINGER: Duration = Duration::from_secs(1);

/// How far a drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// None has begun.
    Serving,
    /// Nothing new; what is open finishes.
    Draining,
    /// The grace is over.
    Ended,
}

/// The drain of one listener on one worker. Connections read its stage without a lock.
#[derive(Debug)]
pub struct Drain {
    begun: CancellationToken,
    ended: CancellationToken,
    stage: Cell<Stage>,
    next: Cell<u64>,
    /// Whether the listener has not closed its socket yet.
    accepting: Cell<bool>,
    /// The open connections, and whom to wake for each.
    open: RefCell<HashMap<u64, Option<Waker>>>,
    empty: Notify,
    /// Who is let go of, the oldest first, where too many linger.
    pub(super) lingering: RefCell<VecDeque<Rc<Notify>>>,
}

impl Drain {
    /// `begun` starts the drain: stop accepting, finish what is open. `ended` is the end of the grace: whatever
    /// is still open is closed. Both may be cancelled from any thread. Must be called on a local runtime, for a
    /// listener that accepts until it calls [`Self::stopped`].
    pub fn new(begun: CancellationToken, ended: CancellationToken) -> Rc<Self> {
        let drain = Rc::new(Self {
            begun,
            ended,
            stage: Cell::new(Stage::Serving),
            next: Cell::new(0),
            accepting: Cell::new(true),
            open: RefCell::default(),
            empty: Notify::new(),
            lingering: RefCell::default(),
        });
        let (begun, ended, weak) = (
            drain.begun.clone(),
            drain.ended.clone(),
            Rc::downgrade(&drain),
        );
        tokio::task::spawn_local(async move {
            tokio::select! {
                () = begun.cancelled() => {}
                () = ended.cancelled() => {}
            }
            if let Some(drain) = weak.upgrade() {
                drain.reach(Stage::Draining);
            }
            ended.cancelled().await;
            if let Some(drain) = weak.upgrade() {
                drain.reach(Stage::Ended);
            }
        });
        drain
    }

    /// How far it is, as this worker knows it.
    pub fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Waits for the drain to begin.
    pub async fn begun(&self) {
        tokio::select! {
            () = self.begun.cancelled() => {}
            () = self.ended.cancelled() => {}
        }
    }

    /// Waits for the end of the grace; for tunnels, which end with it.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open.borrow().len()
    }

    /// Waits until no connection is open; once the drain has begun, also until none waits in the kernel's queue.
    pub async fn empty(&self) {
        while self.open() > 0 || (self.begun.is_cancelled() && self.accepting.get()) {
            self.empty.notified().await;
        }
    }

    /// The listener took its last connection.
    pub fn stopped(&self) {
        self.accepting.set(false);
        if self.open() == 0 {
            self.empty.notify_waiters();
        }
    }

    /// Counts a connection until the returned value is dropped.
    pub fn enter(self: &Rc<Self>) -> Open {
        let id = self.next.get();
        self.next.set(id + 1);
        self.open.borrow_mut().insert(id, None);
        Open {
            drain: self.clone(),
            id,
        }
    }

    fn reach(&self, stage: Stage) {
        self.stage.set(stage);
        for waker in self.open.borrow().values().flatten() {
            waker.wake_by_ref();
        }
    }
}

/// One open connection in the count of a worker.
#[derive(Debug)]
pub struct Open {
    drain: Rc<Drain>,
    id: u64,
}

impl Open {
    /// The drain it belongs to.
    pub fn drain(&self) -> &Rc<Drain> {
        &self.drain
    }

    /// Has `waker` woken whenever the stage changes.
    pub fn wake(&self, waker: &Waker) {
        self.drain
            .open
            .borrow_mut()
            .insert(self.id, Some(waker.clone()));
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.drain.open.borrow_mut();
        open.remove(&self.id);
        if open.is_empty() {
            self.drain.empty.notify_waiters();
        }
    }
}
