//! Reloading: a new snapshot is built beside the old one and published in one step, or nothing changes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::gateway::{Gateway, Refused, Reloading, bounds, warn};
use super::restart;
use crate::config::{self, Config, Watched};
use crate::snapshot::{Reason, Replace, Snapshot};
use crate::worker::Order;

/// What a reload did.
#[derive(Debug)]
pub(super) struct Done {
    /// The version now in force.
    pub(super) version: u64,
    /// Milliseconds from the request to the publication.
    pub(super) milliseconds: u64,
    /// Plugins that are another version, or have other settings, than before.
    pub(super) plugins: Vec<String>,
    /// Warnings for the operator, and the keys that wait for a restart.
    pub(super) warnings: Vec<String>,
}

/// Why nothing changed: every reason.
pub(super) type Reasons = Vec<Reason>;

impl Gateway {
    /// Reads the configuration again, and every plugin that changed.
    pub(super) async fn reload_all(&self) -> Result<Done, Reasons> {
        self.reload(false).await
    }

    /// As [`Self::reload_all`]. What the `watch` found before is not said again; an operator who asks hears all of it.
    async fn reload(&self, watch: bool) -> Result<Done, Reasons> {
        let mut reloading = self.reloading.lock().await;
        let started = Instant::now();
        let since = SystemTime::now();
        let path = self.path.clone();
        let loaded = tokio::task::spawn_blocking(move || config::load_watched(&path)).await;
        let (result, watched) = match loaded {
            Ok((Ok(mut config), watched)) => {
                warn(&config);
                let kept = restart::keep(&mut config, &self.published.snapshot().config);
                kept.iter().for_each(|kept| tracing::warn!("{kept}"));
                let warnings = config.warnings.iter().map(ToString::to_string);
                let warnings = warnings.chain(kept).collect();
                let config = Arc::new(config);
                let result = self.replace(&mut reloading, config, None, started).await;
                (result.map(|done| Done { warnings, ..done }), Some(watched))
            }
            Ok((Err(errors), watched)) => {
                let reasons = errors.0.iter().map(|fault| Reason::from(fault.to_string()));
                (Err(reasons.collect()), Some(watched))
            }
            Err(panic) => {
                let reason = format!("the loader failed: {panic}");
                (Err(vec![reason.into()]), None)
            }
        };
        let is_known = self.remember(&result, watched) && watch;
        self.watch_files(since);
        self.metrics
            .reload(if result.is_ok() { "done" } else { "refused" });
        match &result {
            Ok(done) => {
                tracing::info!(version = done.version, ms = done.milliseconds, plugins = ?done.plugins, "configuration reloaded");
            }
            Err(reasons) => {
                for reason in reasons {
                    if let Some(plugin) = &reason.plugin {
                        self.metrics.swap(plugin, "refused");
                        self.swaps.note(plugin, Err(reason.message.clone()));
                    }
                }
                if is_known {
                    tracing::debug!("the configuration is refused as before");
                } else {
                    tracing::error!(
                        "the new configuration is refused; the old one stays: {}",
                        joined(reasons)
                    );
                }
            }
        }
        result
    }

    /// Keeps what a refused configuration depends on. Whether the one before was refused for the same reasons.
    fn remember(&self, result: &Result<Done, Reasons>, watched: Option<Watched>) -> bool {
        let why = result.as_ref().err().map(|reasons| joined(reasons));
        let mut refused = self.refused.lock();
        let before = refused.take();
        let is_known = why.is_some() && why.as_ref() == before.as_ref().map(|before| &before.why);
        *refused = watched
            .zip(why)
            .map(|(watched, why)| Refused { watched, why });
        is_known
    }

    /// Reads one plugin's file again under the configuration in force. `None`: there is no such plugin.
    pub(super) async fn reload_one(&self, name: &str) -> Option<Result<Done, Reasons>> {
        let mut reloading = self.reloading.lock().await;
        let started = Instant::now();
        let config = self.published.snapshot().config.clone();
        if !config.plugins.contains_key(name) {
            return None;
        }
        let result = self
            .replace(&mut reloading, config, Some(name.to_owned()), started)
            .await;
        if let Err(reasons) = &result {
            self.metrics.swap(name, "refused");
            self.swaps.note(name, Err(joined(reasons)));
        }
        match &result {
            Ok(done) => tracing::info!(
                plugin = name,
                version = done.version,
                ms = done.milliseconds,
                "plugin reloaded"
            ),
            Err(reasons) => {
                tracing::error!(
                    plugin = name,
                    "the new version is refused; the old one stays: {}",
                    joined(reasons)
                );
            }
        }
        Some(result)
    }

    /// What the watcher saw.
    pub(super) async fn files_changed(&self, files: &[PathBuf]) {
        let config = self.published.snapshot().config.clone();
        let is_among = |all: &[PathBuf]| files.iter().any(|file| all.contains(file));
        let of = |watched: &Watched| is_among(&watched.files) || is_among(&watched.includes);
        // A plugin may be what the refused configuration was refused for.
        let worth_a_try = {
            let refused = self.refused.lock();
            let refused = refused.as_ref().map(|refused| &refused.watched);
            refused.is_some_and(|it| of(it) || is_among(&it.plugins))
        };
        // What comes of it is said in the log and the metrics.
        if (of(&config.watched) || worth_a_try) && self.reload(true).await.is_ok() {
            return;
        }
        let since = SystemTime::now();
        let changed = config
            .plugins
            .values()
            .filter(|plugin| files.contains(&plugin.path));
        for plugin in changed {
            if !self.is_gone(plugin) {
                let _said = self.reload_one(&plugin.name).await;
            }
        }
        // A link on the way to a file may lead elsewhere now.
        self.watch_files(since);
    }

    /// Whether a plugin has no file any more, which is said once: the version in force needs none.
    fn is_gone(&self, plugin: &config::Plugin) -> bool {
        let path = plugin.path.display();
        let is_gone = std::fs::metadata(&plugin.path)
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let mut gone = self.gone.lock();
        if !is_gone {
            gone.remove(&plugin.name);
        } else if gone.insert(plugin.name.clone()) {
            tracing::warn!(
                plugin = &*plugin.name,
                "{path} is gone; the version that it had stays, and a restart or reload will need the file"
            );
        }
        is_gone
    }

    /// Tells the watcher what counts now, and since when.
    fn watch_files(&self, since: SystemTime) {
        if let Some(sender) = &self.files {
            // Unless the watcher has ended.
            let _asked = sender.send((self.watched(), since));
        }
    }

    /// What counts now: for the configuration in force, and for one that was refused.
    pub(super) fn watched(&self) -> Watched {
        let mut all = self.published.snapshot().config.watched.clone();
        if let Some(refused) = &*self.refused.lock() {
            all.files.extend_from_slice(&refused.watched.files);
            all.includes.extend_from_slice(&refused.watched.includes);
            all.plugins.extend_from_slice(&refused.watched.plugins);
        }
        all
    }

    async fn replace(
        &self,
        reloading: &mut Reloading,
        config: Arc<Config>,
        only: Option<String>,
        started: Instant,
    ) -> Result<Done, Reasons> {
        let previous = self.published.snapshot();
        let whole = |error: anyhow::Error| vec![Reason::from(format!("{error:#}"))];
        let bound = reloading
            .listeners
            .prepare(&config, self.workers.len())
            .map_err(whole)?;
        reloading.builder.listen_at(bound.addresses());
        let snapshot = build(reloading, config.clone(), previous.clone(), only).await?;
        self.state.resize(bounds(&config), config.plugins.keys());
        reloading.listeners.open(bound, &self.workers).await;
        self.published.publish(snapshot.clone());
        self.metrics.set_version(snapshot.version);
        let plugins = changed(&previous, &snapshot);
        for plugin in &plugins {
            self.metrics.swap(plugin, "done");
            self.swaps.note(plugin, Ok(()));
        }
        drop(previous);
        for worker in &self.workers {
            worker.order(Order::Refresh).await;
        }
        let state = self.state.clone();
        if let Err(panic) = tokio::task::spawn_blocking(move || state.shrink()).await {
            tracing::error!("the state was not made smaller: {panic}");
        }
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Done {
            version: snapshot.version,
            milliseconds,
            plugins,
            warnings: Vec::new(),
        })
    }
}

/// Builds on a thread that may block.
async fn build(
    reloading: &mut Reloading,
    config: Arc<Config>,
    previous: Arc<Snapshot>,
    only: Option<String>,
) -> Result<Arc<Snapshot>, Reasons> {
    let mut builder = reloading.builder.clone();
    let built = tokio::task::spawn_blocking(move || {
        let replace = only.as_deref().map_or(Replace::Changed, Replace::Only);
        builder
            .build(config, Some(&previous), replace)
            .map(|snapshot| (snapshot, builder))
    });
    match built.await {
        Ok(Ok((snapshot, builder))) => {
            reloading.builder = builder;
            Ok(snapshot)
        }
        Ok(Err(refused)) => Err(refused.0),
        Err(panic) => {
            let reason = format!("building the configuration failed: {panic}");
            Err(vec![reason.into()])
        }
    }
}

/// All of them in one line.
fn joined(reasons: &[Reason]) -> String {
    let messages: Vec<_> = reasons.iter().map(|reason| &*reason.message).collect();
    messages.join("; ").replace('\n', "; ")
}

/// The plugins that are not what they were.
fn changed(previous: &Snapshot, snapshot: &Snapshot) -> Vec<String> {
    let same = |linked: &&Arc<crate::plugin::Linked>| {
        previous.plugins.iter().any(|old| Arc::ptr_eq(old, linked))
    };
    snapshot
        .plugins
        .iter()
        .filter(|linked| !same(linked))
        .map(|linked| linked.name.to_string())
        .collect()
}
