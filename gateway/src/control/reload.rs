//! Reloading: a new snapshot is built beside the old one and published in one step, or nothing changes.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::futures::Notified;

use super::gateway::{self, Gateway, Reloading, bounds, warn};
use super::outcome::{Done, Outcome};
use super::queue::{Lead, Turn};
use super::{restart, retire};
use crate::config::{self, Compile, Config, Fault, Watched};
use crate::message::text::hex;
use crate::plugin::{Artifact, Components};
use crate::snapshot::{BuildError, Reason, Refused, Replace, Snapshot};
use crate::telemetry::trace;
use crate::thread::priority::in_background;
use crate::worker::Order;

/// What has to be compiled before a reload, and within which limits.
type Uncompiled = (Vec<Artifact>, Compile);

/// What an attempt at a reload came to.
type Attempt = Result<Outcome, Uncompiled>;

impl Gateway {
    /// Reads the configuration again, and every plugin that changed. Who asks before a reload reads the files is told what
    /// comes of it, together with all others who did.
    pub(super) async fn reload_all(&self) -> Outcome {
        self.reload(false).await
    }

    /// As [`Self::reload_all`]. What the `watch` found before is not said again; an operator who asks hears all of it.
    async fn reload(&self, watch: bool) -> Outcome {
        let started = Instant::now();
        let mut lead = match self.queue.turn(None, !watch).await {
            Turn::Told(outcome) => return outcome,
            Turn::Lead(lead) => lead,
        };
        let mut components = Components::default();
        let (result, is_known) = loop {
            let changed = self.changed.notified();
            match self.try_all(&components, started, &mut lead).await {
                Ok((result, is_known)) => break (result, is_known && !lead.is_asked()),
                Err(uncompiled) => self.compile(&mut components, uncompiled, changed).await,
            }
        };
        self.metrics
            .reload(if result.is_ok() { "done" } else { "refused" });
        match &result {
            Ok(done) => {
                trace::restore();
                tracing::info!(config_version = done.version, ms = done.milliseconds, plugins = ?done.plugins, "configuration reloaded");
            }
            Err(reasons) => {
                for (plugin, of_plugin) in by_plugin(reasons) {
                    self.metrics.swap(plugin, "refused");
                    self.swaps.note(plugin, Err(of_plugin));
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
        lead.end(result.clone());
        result
    }

    /// Keeps what a refused configuration depends on, and one whose plugins are still compiled. Whether the one before
    /// was refused for the same reasons.
    fn remember(&self, attempt: &Attempt, watched: Option<Watched>) -> bool {
        let mut refused = self.refused.lock();
        let before = refused.take().map(|before| before.why);
        let (why, is_known) = match attempt {
            Ok(Ok(_)) => (None, false),
            Ok(Err(reasons)) => {
                let why: Vec<_> = reasons.iter().map(|reason| reason.fault.clone()).collect();
                let is_known = before.as_ref() == Some(&why);
                (Some(why), is_known)
            }
            Err(_) => (Some(before.unwrap_or_default()), false),
        };
        let at = SystemTime::now();
        *refused = watched
            .zip(why)
            .map(|(watched, why)| gateway::Refused { watched, at, why });
        is_known
    }

    /// Reads the configuration as it is now, and puts it in force where everything is compiled. With what came of it, if
    /// it is no news.
    async fn try_all(
        &self,
        components: &Components,
        started: Instant,
        lead: &mut Lead<'_, Outcome>,
    ) -> Result<(Outcome, bool), Uncompiled> {
        let mut reloading = self.reloading.lock().await;
        lead.begin();
        let since = SystemTime::now();
        let path = self.path.clone();
        let before = self.published.snapshot().config.regexes.clone();
        let load = move || in_background(|| config::load_after(&before, &path));
        let loaded = tokio::task::spawn_blocking(load).await;
        let (attempt, watched) = match loaded {
            Ok((Ok(config), watched)) => {
                let attempt = self
                    .try_config(&mut reloading, config, components, started)
                    .await;
                (attempt, Some(watched))
            }
            Ok((Err(errors), watched)) => {
                let reasons = errors.0.into_iter().map(Reason::from).collect();
                (Ok(Err(reasons)), Some(watched))
            }
            Err(panic) => {
                let reason = format!("the loader failed: {panic}");
                (Ok(Err(vec![Fault::nowhere(reason).into()])), None)
            }
        };
        let is_known = self.remember(&attempt, watched);
        self.watch_files(since);
        attempt.map(|result| (result, is_known))
    }

    async fn try_config(
        &self,
        reloading: &mut Reloading,
        mut config: Config,
        components: &Components,
        started: Instant,
    ) -> Attempt {
        let kept = restart::keep(&mut config, &self.published.snapshot().config);
        let config = Arc::new(config);
        let replaced = self
            .replace(reloading, config.clone(), None, components, started)
            .await;
        let is_in_force = replaced.is_ok();
        let result = attempted(replaced, &config);
        if !is_in_force {
            tokio::spawn(retire::dropped(config));
            return result;
        }
        let result = result?;
        warn(&config);
        kept.iter().for_each(|kept| tracing::warn!("{kept}"));
        // It is opened again by the thread that writes it, which tells the log alone.
        let unwritable = config.unwritable_log(None);
        let warnings = config.warnings.iter().chain(&unwritable);
        let warnings: Vec<_> = warnings.map(ToString::to_string).chain(kept).collect();
        Ok(result.map(|done| Done {
            warnings: [warnings, done.warnings].concat(),
            ..done
        }))
    }

    /// Reads one plugin's file again under the configuration in force. `None`: there is no such plugin.
    pub(super) async fn reload_one(&self, name: &str) -> Option<Outcome> {
        let started = Instant::now();
        let mut lead = match self.queue.turn(Some(name), true).await {
            Turn::Told(outcome) => return Some(outcome),
            Turn::Lead(lead) => lead,
        };
        let mut components = Components::default();
        let result = loop {
            let changed = self.changed.notified();
            match self.try_one(name, &components, started, &mut lead).await? {
                Ok(result) => break result,
                Err(uncompiled) => self.compile(&mut components, uncompiled, changed).await,
            }
        };
        match &result {
            Ok(done) => {
                // Also where the file holds the version in force again: what was refused before is over.
                self.swaps.note(name, Ok(()));
                let (plugin_version, sha256) = self.in_force(name);
                tracing::info!(
                    plugin = name,
                    plugin_version,
                    sha256,
                    config_version = done.version,
                    ms = done.milliseconds,
                    "plugin reloaded"
                );
            }
            Err(reasons) => {
                let why = joined(reasons);
                self.metrics.swap(name, "refused");
                self.swaps.note(name, Err(why.clone()));
                tracing::error!(
                    plugin = name,
                    "the new version is refused; the old one stays: {why}"
                );
            }
        }
        lead.end(result.clone());
        Some(result)
    }

    /// The version of a plugin that is in force: what it calls itself, and its hash.
    fn in_force(&self, name: &str) -> (String, String) {
        let snapshot = self.published.snapshot();
        let linked = snapshot.plugins.iter().find(|it| *it.name == *name);
        linked.map_or_else(Default::default, |it| {
            (it.version().to_owned(), hex(&it.sha256))
        })
    }

    async fn try_one(
        &self,
        name: &str,
        components: &Components,
        started: Instant,
        lead: &mut Lead<'_, Outcome>,
    ) -> Option<Attempt> {
        let mut reloading = self.reloading.lock().await;
        lead.begin();
        let config = self.published.snapshot().config.clone();
        if !config.plugins.contains_key(name) {
            return None;
        }
        let only = Some(name.to_owned());
        let replaced = self
            .replace(&mut reloading, config.clone(), only, components, started)
            .await;
        Some(attempted(replaced, &config))
    }

    /// Has components compiled, while others may reload. What another reload puts in force may leave nothing to compile:
    /// then this one looks again.
    async fn compile(
        &self,
        components: &mut Components,
        (artifacts, limits): Uncompiled,
        changed: Notified<'_>,
    ) {
        tokio::select! {
            () = components.compile(&self.engine, artifacts, limits) => {}
            () = changed => {}
        }
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
        components: &Components,
        started: Instant,
    ) -> Result<Done, Refused> {
        let previous = self.published.snapshot();
        let refused = |faults: Vec<Fault>| {
            let reasons = faults.into_iter().map(Reason::from);
            BuildError(reasons.collect())
        };
        let bound = reloading
            .listeners
            .prepare(&config, self.workers.len())
            .map_err(refused)?;
        reloading.builder.listen_at(bound.addresses());
        let snapshot = assemble(reloading, config.clone(), &previous, only, components).await?;
        self.state.resize(bounds(&config), config.plugins.keys());
        let warnings = reloading.listeners.open(bound, &self.workers).await;
        self.publish(&previous, &snapshot).await;
        self.changed.notify_waiters();
        self.metrics.set_version(snapshot.version);
        let plugins = changed(&previous, &snapshot);
        for plugin in &plugins {
            self.metrics.swap(plugin, "done");
            self.swaps.note(plugin, Ok(()));
        }
        for worker in &self.workers {
            worker.order(Order::Refresh).await;
        }
        tokio::spawn(retire::replaced(previous, &snapshot));
        let state = self.state.clone();
        if let Err(panic) = tokio::task::spawn_blocking(move || state.shrink()).await {
            tracing::error!("the state was not made smaller: {panic}");
        }
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Done {
            version: snapshot.version,
            milliseconds,
            plugins,
            warnings: warnings.iter().map(ToString::to_string).collect(),
        })
    }
}

/// Builds beside what is in force, as that is loaded: those that serve go before. A thread that may block gives its other
/// tasks away.
async fn assemble(
    reloading: &mut Reloading,
    config: Arc<Config>,
    previous: &Snapshot,
    only: Option<String>,
    components: &Components,
) -> Result<Arc<Snapshot>, Refused> {
    let mut builder = reloading.builder.clone();
    let replace = only.as_deref().map_or(Replace::Changed, Replace::Only);
    let snapshot = tokio::task::block_in_place(|| {
        in_background(|| builder.assemble(config, Some(previous), replace, components))
    })?;
    reloading.builder = builder;
    Ok(snapshot)
}

/// A reload is over, or has something to compile.
fn attempted(replaced: Result<Done, Refused>, config: &Config) -> Attempt {
    match replaced {
        Ok(done) => Ok(Ok(done)),
        Err(Refused::Faulty(error)) => Ok(Err(error.0)),
        Err(Refused::Uncompiled(artifacts)) => Err((artifacts, config.server.compile)),
    }
}

/// All of them in one line.
fn joined(reasons: &[Reason]) -> String {
    let faults: Vec<_> = reasons
        .iter()
        .map(|reason| reason.fault.to_string())
        .collect();
    faults.join("; ").replace('\n', "; ")
}

/// What is wrong with each plugin, a line for each fault.
fn by_plugin(reasons: &[Reason]) -> BTreeMap<&str, String> {
    let mut by_plugin: BTreeMap<&str, String> = BTreeMap::new();
    for reason in reasons {
        let Some(plugin) = &reason.plugin else {
            continue;
        };
        let told = by_plugin.entry(plugin).or_default();
        if !told.is_empty() {
            told.push('\n');
        }
        told.push_str(&reason.fault.to_string());
    }
    by_plugin
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
