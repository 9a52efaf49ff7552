//! The control thread: starting, reloading, draining. Nothing here runs on a worker.

mod gateway;
mod listeners;
mod reload;
mod restart;
mod status;
mod swaps;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::config::{self, Config, Watched};
use crate::plugin::Engine;
use crate::snapshot::{BuildError, Builder, Published, Reason, Replace};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace;
use crate::watch::Watcher;
use crate::worker;

use gateway::{Gateway, Reloading, empty_state, warn};
use listeners::Listeners;
use swaps::Swaps;

/// How long to let `/readyz` say no before a drain begins to refuse new connections. Load balancers look now and
/// then; what they still send meanwhile is served.
const NOTICE: Duration = Duration::from_millis(100);

/// Serves a configuration until SIGTERM or SIGINT. With `watch`, files that change are reloaded by themselves.
///
/// # Errors
/// A faulty configuration, an address that cannot be bound, a plugin that cannot be loaded.
pub fn run(path: &Path, watch: bool) -> anyhow::Result<()> {
    trace::init()?;
    trace::log_panics();
    let config = Arc::new(config::load(path)?);
    warn(&config);
    // The control thread, and one more for what blocks: compiling runs on tokio's blocking threads.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let draining = CancellationToken::new();
    let grace = CancellationToken::new();
    runtime.block_on(serve(path, config, watch, draining, grace))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

/// Loads and configures every plugin of a configuration, and changes nothing.
///
/// # Errors
/// Every fault of every plugin.
pub fn check(config: Config) -> anyhow::Result<Vec<String>> {
    let metrics = Metrics::new(1);
    let engine = Engine::new(config.server.compile_cache.as_deref(), 1, &metrics)?;
    let state = empty_state(&config);
    let mut builder = Builder::new(engine, metrics, state, 1);
    let snapshot = builder.build(Arc::new(config), None, Replace::Changed)?;
    Ok(snapshot.warnings())
}

/// Lists every fault of a configuration that is refused, those that its plugins report included.
pub fn refused(faulty: &config::Faulty) -> BuildError {
    let mut reasons: Vec<Reason> = faulty
        .errors
        .0
        .iter()
        .map(|fault| fault.to_string().into())
        .collect();
    let metrics = Metrics::new(1);
    let config = &faulty.config;
    match Engine::new(config.server.compile_cache.as_deref(), 1, &metrics) {
        Ok(engine) => {
            let state = empty_state(config);
            let tried = Builder::new(engine, metrics, state, 1).try_plugins(faulty);
            reasons.extend(tried.err().into_iter().flat_map(|refused| refused.0));
        }
        Err(error) => reasons.push(format!("no plugin can be tried: {error:#}").into()),
    }
    BuildError(reasons)
}

async fn serve(
    path: &Path,
    config: Arc<Config>,
    watched: bool,
    draining: CancellationToken,
    grace: CancellationToken,
) -> anyhow::Result<()> {
    let count = config.server.workers;
    let metrics = Metrics::new(count);
    let engine = Engine::new(config.server.compile_cache.as_deref(), count, &metrics)?;
    let state = empty_state(&config);
    metrics.watch_state(state.clone());
    let mut listeners = Listeners::new(metrics.clone());
    let bound = listeners.prepare(&config, count)?;
    let mut builder = Builder::new(engine, metrics.clone(), state.clone(), count);
    builder.listen_at(bound.addresses());
    let (first, builder) = tokio::task::spawn_blocking({
        let config = config.clone();
        move || {
            builder
                .build(config, None, Replace::Changed)
                .map(|snapshot| (snapshot, builder))
        }
    })
    .await??;
    metrics.set_version(first.version);
    let published = Published::new(first);
    let start = |id| worker::start(id, published.clone(), draining.clone(), grace.clone());
    let workers = (0..count)
        .map(start)
        .collect::<Result<Vec<_>, _>>()
        .context("cannot start the workers")?;
    listeners.open(bound, &workers).await;
    let (files, wanted) = watch::channel((Watched::default(), SystemTime::now()));
    let gateway = Arc::new(Gateway {
        path: path.to_owned(),
        published,
        workers,
        metrics,
        state,
        reloading: Mutex::new(Reloading { builder, listeners }),
        swaps: Swaps::default(),
        ready: AtomicBool::new(false),
        files: watched.then_some(files),
        refused: parking_lot::Mutex::default(),
        gone: parking_lot::Mutex::default(),
    });
    let stop = CancellationToken::new();
    let admin = start_admin(&config, gateway.clone(), stop.clone()).await?;
    if watched {
        start_watch(gateway.clone(), wanted)?;
    }
    // Before the gateway says that it is ready: a signal without a handler ends the process.
    let signals = Signals::new()?;
    gateway.ready.store(true, Ordering::Release);
    tracing::info!(workers = count, version = 1, "ready");
    gateway.run(signals).await;
    gateway.drain(draining, grace).await;
    stop.cancel();
    if let Some(admin) = admin {
        admin.await.context("the admin listener failed")?;
    }
    Ok(())
}

async fn start_admin(
    config: &Config,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(admin) = &config.admin else {
        return Ok(None);
    };
    let listener = tokio::net::TcpListener::bind(admin.address)
        .await
        .with_context(|| format!("admin.address: cannot listen on {}", admin.address))?;
    tracing::info!(address = %listener.local_addr()?, "admin listening");
    let serving = admin::serve(listener, gateway, stop);
    Ok(Some(tokio::spawn(serving)))
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
        loop {
            tokio::select! {
                asked = wanted.changed() => {
                    if asked.is_err() {
                        break;
                    }
                    let (all, since) = wanted.borrow_and_update().clone();
                    watch_all(&mut watcher, &all);
                    // The clock of a file system may be a tick behind.
                    let late = watcher.changed_since(since - Duration::from_millis(20));
                    if let (false, Some(gateway)) = (late.is_empty(), gateway.upgrade()) {
                        gateway.files_changed(&late).await;
                    }
                }
                changed = changes.recv() => {
                    let (Some(changed), Some(gateway)) = (changed, gateway.upgrade()) else { break };
                    gateway.files_changed(&changed).await;
                }
            }
        }
    });
    Ok(())
}

/// The signals this process listens for.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

fn watch_all(watcher: &mut Watcher, all: &Watched) {
    let files = [&all.files[..], &all.plugins].concat();
    if let Err(error) = watcher.watch(&files, &all.includes) {
        tracing::error!(%error, "cannot watch the files of the configuration");
    }
}

impl Gateway {
    /// SIGHUP reloads; returns at SIGTERM or SIGINT.
    async fn run(&self, mut signals: Signals) {
        loop {
            tokio::select! {
                _ = signals.hangup.recv() => {
                    // Said in the log and the metrics; a signal has no answer.
                    let _said = self.reload_all().await;
                }
                _ = signals.terminate.recv() => return,
                _ = signals.interrupt.recv() => return,
            }
        }
    }

    /// Lets what is open finish, for at most `server.grace`.
    async fn drain(&self, draining: CancellationToken, grace: CancellationToken) {
        self.ready.store(false, Ordering::Release);
        let time = self.published.snapshot().config.server.grace;
        tracing::info!(grace = ?time, "draining");
        tokio::time::sleep(NOTICE).await;
        draining.cancel();
        let ended = async {
            for worker in &self.workers {
                worker.ended().await;
            }
        };
        if tokio::time::timeout(time, ended).await.is_err() {
            tracing::warn!("the grace is over; closing what is still open");
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
