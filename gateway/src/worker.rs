//! The data threads: each its own current-thread runtime, sockets, plugin instances and upstream connections.
//!
//! A worker takes orders from the control thread over a channel; on the request path it shares nothing with
//! other workers but the version number of the configuration in force.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::proxy::{self, Local, complete};
use crate::server::connection::Connection;
use crate::server::drain::{Drain, Stage};
use crate::server::handler::Hearing;
use crate::server::{Settings, listener};
use crate::snapshot::{InForce, Published};
use crate::telemetry::metrics;
use crate::thread::own;
use crate::upstream::Client;

/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// How long a line of the access log may wait in a worker's buffer.
const FLUSH: Duration = Duration::from_millis(100);

/// Steps of tasks after which the event loop looks at its sockets though more tasks wait. Tasks have their turn in the
/// order in which they were woken, so rarer looks delay none. A worker with fewer tasks ready, under load too, comes to
/// the end of them, and only then the runtime calls [`next_turn`].
const STEPS: u32 = 128;

/// An order to a worker.
#[derive(Debug)]
pub enum Order {
    /// Accept on this socket until `closed` is cancelled.
    Listen {
        /// The shared part.
        listener: Settings,
        /// This worker's socket.
        socket: listener::Listening,
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
                .event_interval(STEPS)
                .on_thread_unpark(next_turn)
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

/// The event loop has looked at its sockets: what came before is known to the runtime.
fn next_turn() {
    own(|own| own.turn.set(own.turn.get().wrapping_add(1)));
}

/// Takes orders until the drain is over.
async fn serve(
    id: usize,
    published: Arc<Published>,
    mut orders: mpsc::Receiver<Order>,
    draining: CancellationToken,
    grace: CancellationToken,
) {
    let client = Arc::new(Client::default());
    let (completions, completing) = complete::start();
    let local = Rc::new(Local {
        in_force: InForce::new(published, id, client.clone()),
        client,
        completions,
        grace: grace.clone(),
    });
    let mut sweep = tokio::time::interval(SWEEP);
    let mut flush = tokio::time::interval(FLUSH);
    let mut drains: Vec<Rc<Drain>> = Vec::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Refresh) => local.in_force.refresh(),
                Some(Order::Listen { listener, socket, closed }) => {
                    let begun = draining.child_token();
                    let drain = Drain::new(either(closed, begun), grace.clone());
                    drains.push(drain.clone());
                    listen(local.clone(), listener, socket, drain);
                }
                None => break,
            },
            _ = sweep.tick() => {
                local.client.sweep();
                drains.retain(|drain| drain.stage() == Stage::Serving || drain.open() > 0);
            }
            _ = flush.tick() => local.in_force.flush_log(),
            () = draining.cancelled() => break,
        }
    }
    for drain in &drains {
        drain.empty().await;
    }
    local.completions.close();
    let _stopped = completing.await;
    local.in_force.flush_log();
}

fn listen(local: Rc<Local>, listener: Settings, socket: listener::Listening, drain: Rc<Drain>) {
    tokio::task::spawn_local(async move {
        let name = listener.load().config.name.clone();
        let hears = local.clone();
        let handler = Hearing {
            answer: move |connection, head, body| {
                proxy::handle(local.clone(), connection, head, body)
            },
            refused: move |connection: &Connection, status| {
                proxy::refused(&hears, connection, status);
            },
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
