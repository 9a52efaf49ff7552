//! The control thread: starting, reloading, draining. Nothing here runs on a worker.

mod admin;
mod check;
mod discovery;
mod gateway;
mod listeners;
mod outcome;
mod process;
mod publish;
mod queue;
mod reload;
mod restart;
mod retire;
mod status;
mod swaps;
mod unheld;
mod upstreams;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Fault, Watched};
use crate::message::text::hex;
use crate::plugin::{Engine, Place};
use crate::snapshot::{Builder, Published, Replace, Snapshot};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace;
use crate::upstream::Checks;
use crate::watch::Watcher;
use crate::worker;

pub use check::{Report, check};

use discovery::Following;
use gateway::{Gateway, Reloading, cache_warning, empty_state, warn};
use listeners::Listeners;
use process::{Ends, Signals};
use queue::Queue;
use swaps::Swaps;

/// How long to let `/readyz` say no before a drain begins to refuse new connections. Load balancers look now and
/// then; what they still send meanwhile is served.
const NOTICE: Duration = Duration::from_millis(100);

/// Reloads of one kind that may wait for a compiler at once; what asks for more waits.
const RELOADS: usize = 64;

/// How far the clock of a file system may be behind.
const BEHIND: Duration = Duration::from_millis(20);

/// Serves a configuration until SIGTERM or SIGINT. With `watch`, files that change are reloaded by themselves.
///
/// # Errors
/// A faulty configuration, an address that cannot be bound, a plugin that cannot be loaded.
pub fn run(path: &Path, watch: bool) -> anyhow::Result<()> {
    // The control thread, and one more for what blocks.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(start(path, watch));
    // What still blocks, such as a file that never ends, is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn start(path: &Path, watch: bool) -> anyhow::Result<()> {
    // Before anything that takes long: a signal without a handler ends the process. A SIGHUP waits until it is ready.
    let mut signals = Signals::new()?;
    process::raise_descriptors();
    trace::init()?;
    trace::log_panics();
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, config = %path.display(), "starting");
    let loading = tokio::task::spawn_blocking({
        let path = path.to_owned();
        move || config::load(&path).map_err(|errors| check::all_of(errors, &path))
    });
    let Some(loaded) = signals.ends.unless(loading).await else {
        return Ok(());
    };
    let config = Arc::new(loaded??);
    warn(&config);
    serve(path, config, watch, signals).await
}

/// What a start does not get of the machine, each with its place in the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Unavailable(Vec<Fault>);

fn lines(faults: &[Fault]) -> String {
    let lines: Vec<_> = faults.iter().map(Fault::to_string).collect();
    lines.join("\n")
}

async fn serve(
    path: &Path,
    config: Arc<Config>,
    watched: bool,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let count = config.server.workers;
    let metrics = Metrics::new(count);
    let cache = config.server.compile_cache.as_deref();
    let engine = Engine::new(Place::Apart, cache, count, &metrics)?;
    cache_warning(&engine, &config).inspect(|warning| tracing::warn!("{warning}"));
    let state = empty_state(&config);
    metrics.watch_state(state.clone());
    let mut listeners = Listeners::new(metrics.clone());
    let (bound, admin) = bind(&listeners, &config)?;
    let mut builder = Builder::new(engine.clone(), metrics.clone(), state.clone(), count);
    builder.listen_at(bound.addresses());
    let building = build_first(builder, config.clone());
    let Some(built) = signals.ends.unless(building).await else {
        engine.end();
        return Ok(());
    };
    let (first, builder) = built?;
    metrics.set_version(first.version);
    let Some(following) = signals.ends.unless(Following::start(&first)).await else {
        engine.end();
        return Ok(());
    };
    let checks = Checks::start(&first.upstreams);
    let published = Published::new(first);
    let (draining, grace) = (CancellationToken::new(), CancellationToken::new());
    let start = |id| worker::start(id, published.clone(), draining.clone(), grace.clone());
    let workers = (0..count)
        .map(start)
        .collect::<Result<Vec<_>, _>>()
        .context("cannot start the workers")?;
    // In the log it has said so already.
    let _warnings = listeners.open(bound, &workers).await;
    let (files, wanted) = watch::channel((Watched::default(), SystemTime::now()));
    let gateway = Arc::new(Gateway {
        path: path.to_owned(),
        engine,
        published,
        workers,
        checks,
        following: parking_lot::Mutex::new(following),
        metrics,
        state,
        reloading: Mutex::new(Reloading { builder, listeners }),
        queue: Queue::default(),
        changed: Notify::new(),
        swaps: Swaps::default(),
        // Clients are served; who asked meanwhile over a unix socket is answered as soon as it is.
        ready: AtomicBool::new(true),
        files: watched.then_some(files),
        refused: parking_lot::Mutex::default(),
        gone: parking_lot::Mutex::default(),
    });
    let stop = CancellationToken::new();
    let admin = admin.map(|socket| socket.serve(gateway.clone(), stop.clone()));
    let admin = admin.transpose()?;
    if watched {
        start_watch(gateway.clone(), wanted)?;
    }
    tracing::info!(workers = count, config_version = 1, "ready");
    gateway.run(&mut signals).await;
    gateway.drain(&mut signals.ends, draining, grace).await;
    stop.cancel();
    if let Some(admin) = admin {
        admin.await.context("the admin listener failed")?;
    }
    Ok(())
}

/// Builds the first snapshot, and says what is in it.
async fn build_first(
    mut builder: Builder,
    config: Arc<Config>,
) -> anyhow::Result<(Arc<Snapshot>, Builder)> {
    let building = tokio::task::spawn_blocking(move || {
        let built = builder.build(config, None, Replace::Changed);
        built.map(|snapshot| (snapshot, builder))
    });
    let (first, builder) = building.await??;
    for linked in &first.plugins {
        let (path, sha256) = (linked.config.path.display(), hex(&linked.sha256));
        tracing::info!(plugin = %linked.name, %path, %sha256, "plugin loaded");
    }
    Ok((first, builder))
}

/// Binds every address, or says which cannot be; nothing connects to them yet.
fn bind(
    listeners: &Listeners,
    config: &Config,
) -> Result<(listeners::Bound, Option<admin::Socket>), Unavailable> {
    let bound = listeners.prepare(config, config.server.workers);
    let admin = config.admin.as_ref();
    let admin = admin.map(|admin| admin::Socket::bind(&admin.address));
    let (bound, mut faults) = match bound {
        Ok(bound) => (Some(bound), Vec::new()),
        Err(faults) => (None, faults),
    };
    match (bound, admin.transpose()) {
        (Some(bound), Ok(admin)) => return Ok((bound, admin)),
        (_, Err(message)) => faults.push(config.origins.spot("admin.address").fault(message)),
        (None, Ok(_)) => {}
    }
    Err(Unavailable(faults))
}

/// Reloads what the watcher reports.
fn start_watch(
    gateway: Arc<Gateway>,
    mut wanted: watch::Receiver<(Watched, SystemTime)>,
) -> anyhow::Result<()> {
    let (sender, mut changes) = mpsc::channel(16);
    let mut watcher = Watcher::new(sender).context("cannot watch files")?;
    // Before an operator hears that the gateway is ready, and changes a file.
    watch_all(&mut watcher, &gateway.watched());
    // The gateway ends with the process's main function, not with this task.
    let gateway = Arc::downgrade(&gateway);
    tokio::spawn(async move {
        let mut reloads = JoinSet::new();
        loop {
            tokio::select! {
                Some(ended) = reloads.join_next() => told(ended),
                asked = wanted.changed(), if reloads.len() < RELOADS => {
                    if asked.is_err() {
                        break;
                    }
                    let (all, since) = wanted.borrow_and_update().clone();
                    watch_all(&mut watcher, &all);
                    let late = watcher.changed_since(since - BEHIND);
                    if let (false, Some(gateway)) = (late.is_empty(), gateway.upgrade()) {
                        reloads.spawn(async move {
                            // So that what is read then is late no more.
                            tokio::time::sleep(BEHIND).await;
                            gateway.files_changed(&late).await;
                        });
                    }
                }
                changed = changes.recv(), if reloads.len() < RELOADS => {
                    let (Some(changed), Some(gateway)) = (changed, gateway.upgrade()) else { break };
                    reloads.spawn(async move { gateway.files_changed(&changed).await });
                }
            }
        }
    });
    Ok(())
}

fn watch_all(watcher: &mut Watcher, all: &Watched) {
    let files = [&all.files[..], &all.plugins].concat();
    if let Err(error) = watcher.watch(&files, &all.includes) {
        tracing::error!(%error, "cannot watch the files of the configuration");
    }
}

/// A reload says itself what came of it, unless it panicked.
fn told(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a reload did not end");
    }
}

impl Gateway {
    /// SIGHUP reloads; returns at SIGTERM or SIGINT.
    async fn run(self: &Arc<Self>, signals: &mut Signals) {
        let mut reloads = JoinSet::new();
        loop {
            tokio::select! {
                () = signals.ends.next() => break,
                Some(ended) = reloads.join_next() => told(ended),
                _ = signals.hangup.recv(), if reloads.len() < RELOADS => {
                    let gateway = self.clone();
                    // Said in the log and the metrics; a signal has no answer.
                    reloads.spawn(async move { drop(gateway.reload_all().await) });
                }
            }
        }
        // None is left half done.
        reloads.detach_all();
    }

    /// Accepts for `server.drain_delay`, then lets what is open finish, for at most `server.grace`. Each signal ends what
    /// is waited for.
    async fn drain(&self, ends: &mut Ends, draining: CancellationToken, grace: CancellationToken) {
        self.engine.end();
        self.ready.store(false, Ordering::Release);
        let server = self.published.snapshot().config.server.clone();
        let delay = server.drain_delay.max(NOTICE);
        tracing::info!(drain_delay = ?delay, "no longer ready");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = ends.next() => {}
        }
        let time = server.grace;
        tracing::info!(grace = ?time, "draining");
        draining.cancel();
        let ended = async {
            for worker in &self.workers {
                worker.ended().await;
            }
        };
        tokio::select! {
            ended = tokio::time::timeout(time, ended) => if ended.is_err() {
                tracing::warn!("the grace is over; closing what is still open");
            },
            () = ends.next() => {
                tracing::warn!("another signal ended the grace; closing what is still open");
            }
        }
        grace.cancel();
        let closed = async {
            for worker in &self.workers {
                worker.ended().await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(2), closed)
            .await
            .is_err()
        {
            tracing::error!("a worker did not end");
        }
        self.published.snapshot().access_log.close();
        tracing::info!("drained");
    }
}
