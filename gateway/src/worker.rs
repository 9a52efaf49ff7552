//! The data threads: each its own current-thread runtime, sockets, plugin instances and upstream connections.
//!
//! A worker takes orders from the control thread over a channel; on the request path it shares nothing with
//! other workers but the version number of the configuration in force.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::LocalOptions;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::proxy;
use crate::proxy::exchange::Exchange;
use crate::server::drain::{Drain, Stage};
use crate::server::{Settings, listener};
use crate::snapshot::{Snapshot, View};
use crate::telemetry::metrics;
use crate::upstream;

/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// How long a line of the access log may wait in a worker's buffer.
const FLUSH: Duration = Duration::from_millis(100);

/// Exchanges whose `complete` phases wait to be called, per worker; beyond it they are recorded without.
const COMPLETIONS: usize = 10_000;

/// Exchanges whose `complete` phases are called at once, per worker: each may need instances of its own, and nobody
/// waits for it.
const COMPLETING: usize = 64;

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

/// An order to a worker.
#[derive(Debug)]
pub enum Order {
    /// Accept on this socket until `closed` is cancelled.
    Listen {
        /// The shared part.
        listener: Settings,
        /// This worker's socket.
        socket: std::net::TcpListener,
        /// Cancelled when the listener goes with a reload.
        closed: CancellationToken,
    },
    /// Let go of the snapshot that was replaced, now rather than with the next request.
    Refresh,
}

/// What the control thread holds of a worker.
#[derive(Debug)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
    ended: CancellationToken,
}

impl Handle {
    /// Gives an order; lost if the worker has ended.
    pub async fn order(&self, order: Order) {
        let _ended = self.orders.send(order).await;
    }

    /// Waits for the end of the thread.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

/// One data thread.
#[derive(Debug)]
pub struct Worker {
    id: usize,
    published: Arc<Published>,
    seen: Cell<u64>,
    view: RefCell<Arc<View>>,
}

thread_local! {
    static COMPLETE: RefCell<Option<mpsc::Sender<Box<Exchange>>>> = const { RefCell::new(None) };
    static GRACE: RefCell<Option<CancellationToken>> = const { RefCell::new(None) };
}

impl Worker {
    /// The configuration for an exchange that begins now.
    pub fn view(&self) -> Arc<View> {
        if self.published.version.load(Ordering::Acquire) != self.seen.get() {
            self.refresh();
        }
        self.view.borrow().clone()
    }

    fn refresh(&self) {
        let snapshot = self.published.snapshot();
        self.seen.set(snapshot.version);
        *self.view.borrow_mut() = Arc::new(View::new(snapshot, self.id));
    }
}

/// Starts a worker. `draining` begins its end, `grace` is the end of the end.
///
/// # Errors
/// When the thread or its runtime cannot be made.
pub fn start(
    id: usize,
    published: Arc<Published>,
    draining: CancellationToken,
    grace: CancellationToken,
) -> std::io::Result<Handle> {
    let (orders, receiver) = mpsc::channel(64);
    let (report, built) = std::sync::mpsc::channel();
    let ended = CancellationToken::new();
    // Also when the thread panics.
    let end = ended.clone().drop_guard();
    std::thread::Builder::new()
        .name(format!("worker-{id}"))
        .spawn(move || {
            let _end = end;
            metrics::set_shard(id);
            // A local runtime does not leave its thread.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .event_interval(31)
                .build_local(LocalOptions::default());
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _nobody_waits = report.send(error);
                    return;
                }
            };
            drop(report);
            runtime.block_on(serve(id, published, receiver, draining, grace));
        })?;
    // An error, or none once the runtime is there.
    match built.recv() {
        Ok(error) => Err(error),
        Err(_) => Ok(Handle { orders, ended }),
    }
}

/// Takes orders until the drain is over.
async fn serve(
    id: usize,
    published: Arc<Published>,
    mut orders: mpsc::Receiver<Order>,
    draining: CancellationToken,
    grace: CancellationToken,
) {
    let snapshot = published.snapshot();
    let seen = Cell::new(snapshot.version);
    let view = RefCell::new(Arc::new(View::new(snapshot, id)));
    let worker = Rc::new(Worker {
        id,
        published,
        seen,
        view,
    });
    GRACE.set(Some(grace.clone()));
    let completions = complete_in_background();
    let mut sweep = tokio::time::interval(SWEEP);
    let mut flush = tokio::time::interval(FLUSH);
    let mut drains: Vec<Rc<Drain>> = Vec::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Refresh) => worker.refresh(),
                Some(Order::Listen { listener, socket, closed }) => {
                    let begun = draining.child_token();
                    let drain = Drain::new(either(closed, begun), grace.clone());
                    drains.push(drain.clone());
                    listen(worker.clone(), listener, socket, drain);
                }
                None => break,
            },
            _ = sweep.tick() => {
                upstream::sweep();
                drains.retain(|drain| drain.stage() == Stage::Serving || drain.open() > 0);
            }
            _ = flush.tick() => worker.view.borrow().snapshot.access_log.flush(),
            () = draining.cancelled() => break,
        }
    }
    for drain in &drains {
        drain.empty().await;
    }
    COMPLETE.set(None);
    let _stopped = completions.await;
    worker.view.borrow().snapshot.access_log.flush();
}

fn listen(worker: Rc<Worker>, listener: Settings, socket: std::net::TcpListener, drain: Rc<Drain>) {
    tokio::task::spawn_local(async move {
        let name = listener.load().config.name.clone();
        let handler = move |connection, request| {
            // Called inside the block: a future that is moved into another takes its room twice.
            let worker = worker.clone();
            async { Ok::<_, Infallible>(proxy::handle(worker, connection, request).await) }
        };
        if let Err(error) = listener::accept_loop(socket, listener, drain, handler).await {
            tracing::error!(listener = %name, %error, "the listener ended");
        }
    });
}

/// A token that is cancelled with either of two.
fn either(first: CancellationToken, second: CancellationToken) -> CancellationToken {
    let both = second.clone();
    tokio::task::spawn_local(async move {
        tokio::select! {
            () = first.cancelled() => second.cancel(),
            () = second.cancelled() => {}
        }
    });
    both
}

fn complete_in_background() -> tokio::task::JoinHandle<()> {
    let (sender, mut receiver) = mpsc::channel::<Box<Exchange>>(COMPLETIONS);
    COMPLETE.set(Some(sender));
    tokio::task::spawn_local(async move {
        let places = Arc::new(Semaphore::new(COMPLETING));
        while let Some(exchange) = receiver.recv().await {
            // Never closed.
            let Ok(place) = places.clone().acquire_owned().await else {
                break;
            };
            tokio::task::spawn_local(async move {
                proxy::complete::run(exchange).await;
                drop(place);
            });
        }
    })
}

/// Calls the `complete` phases of an exchange soon. Where no worker runs any more they are left out.
pub fn complete_later(exchange: Box<Exchange>) {
    let sender = COMPLETE.with_borrow(Clone::clone);
    if let Some(sender) = sender {
        // A full queue gives the exchange back, and its drop records it: its phase is `Complete` already.
        let _recorded = sender.try_send(exchange);
    }
}

/// Starts a task of this worker that outlives the exchange which asks for it.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    tokio::task::spawn_local(task);
}

/// Waits for the end of the grace of a drain.
pub async fn grace_over() {
    let grace = GRACE.with_borrow(Clone::clone);
    match grace {
        Some(grace) => grace.cancelled().await,
        None => std::future::pending().await,
    }
}
