//! How a snapshot reaches the workers: the control thread publishes it, and each worker takes it up with its next
//! exchange.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;

use super::{Snapshot, WorkerSnapshot};
use crate::exchange::View;
use crate::upstream::Client;

/// The configuration in force, as workers see it.
#[derive(Debug)]
pub struct Published {
    version: AtomicU64,
    snapshot: ArcSwap<Snapshot>,
}

impl Published {
    /// Starts with this snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> Arc<Self> {
        Arc::new(Self {
            version: AtomicU64::new(snapshot.version),
            snapshot: ArcSwap::new(snapshot),
        })
    }

    /// Puts a snapshot in force, in one step: every exchange that begins after this returns sees it.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let version = snapshot.version;
        self.snapshot.store(snapshot);
        self.version.store(version, Ordering::Release);
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }
}

/// The snapshot in force on one worker.
#[derive(Debug)]
pub struct InForce {
    worker: usize,
    client: Arc<Client>,
    published: Arc<Published>,
    seen: Cell<u64>,
    snapshot: RefCell<Rc<WorkerSnapshot>>,
    /// Views that exchanges may still have, that of the snapshot in force last.
    views: RefCell<Vec<Weak<View>>>,
}

impl InForce {
    /// What is published now, for a worker that reaches upstreams by `client`.
    pub fn new(published: Arc<Published>, worker: usize, client: Arc<Client>) -> Self {
        let snapshot = published.snapshot();
        let seen = Cell::new(snapshot.version);
        let snapshot = WorkerSnapshot::new(snapshot, worker, client.clone());
        Self {
            worker,
            client,
            published,
            seen,
            views: RefCell::new(vec![Arc::downgrade(&snapshot.view)]),
            snapshot: RefCell::new(Rc::new(snapshot)),
        }
    }

    /// The snapshot for an exchange that begins now.
    pub fn snapshot(&self) -> Rc<WorkerSnapshot> {
        if self.published.version.load(Ordering::Acquire) != self.seen.get() {
            self.refresh();
        }
        self.snapshot.borrow().clone()
    }

    /// Takes up what is published, and lets go of what was in force before.
    pub fn refresh(&self) {
        let snapshot = self.published.snapshot();
        self.seen.set(snapshot.version);
        let snapshot = WorkerSnapshot::new(snapshot, self.worker, self.client.clone());
        self.views.borrow_mut().push(Arc::downgrade(&snapshot.view));
        self.snapshot.replace(Rc::new(snapshot));
    }

    /// Hands over the lines of the access log that this worker has, for every snapshot with an exchange.
    pub fn flush_log(&self) {
        self.views.borrow_mut().retain(|view| {
            let view = view.upgrade();
            view.inspect(|view| view.log.flush()).is_some()
        });
    }
}
