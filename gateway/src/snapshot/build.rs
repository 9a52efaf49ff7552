//! From a configuration to a snapshot: everything that can fail happens here, away from the workers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Snapshot;
use super::resolve::Resolver;
use crate::config::{self, Config, Fault, Match, Overrides, Rewrite, Secret, Target};
use crate::exchange::Route;
use crate::message::depth::{self, Marks};
use crate::message::media::ResponseTypes;
use crate::message::target::Target as Endpoint;
use crate::plugin::{
    self, Artifact, Components, Engine, Linked, LoadError, Pool, Services, Unopened, Version,
};
use crate::route::Router;
use crate::state;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::thread::priority::gently;
use crate::upstream::{Fleet, Registry};

/// Builds snapshots, and keeps by name what outlives them. A clone builds on its own: one whose configuration is
/// refused is thrown away.
#[derive(Debug, Clone)]
pub struct Builder {
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    state: Arc<state::Memory>,
    workers: usize,
    version: u64,
    /// Shared by all clones: what a refused configuration alone names is pruned.
    upstreams: Arc<Registry>,
    access_log: Option<(config::AccessLog, Arc<AccessLog>)>,
    /// Stands for `server.fleet_key` where it is not given.
    fleet_key: Secret,
    /// Where listeners are bound.
    listening: Vec<Endpoint>,
}

/// Which plugins are read from their files again.
#[derive(Debug, Clone, Copy)]
pub enum Replace<'a> {
    /// Every one whose file, settings or configurations changed.
    Changed,
    /// Only this one.
    Only(&'a str),
}

/// Why a configuration was refused: every reason.
#[derive(Debug, thiserror::Error)]
pub struct BuildError(pub Vec<Reason>);

/// Why there is no snapshot yet.
#[derive(Debug)]
pub enum Refused {
    /// There will be none.
    Faulty(BuildError),
    /// These have to be compiled first.
    Uncompiled(Vec<Artifact>),
}

impl From<BuildError> for Refused {
    fn from(error: BuildError) -> Self {
        Self::Faulty(error)
    }
}

/// One of the reasons.
#[derive(Debug, Clone)]
pub struct Reason {
    /// The plugin that is at fault or refused what it got, if one did.
    pub plugin: Option<Arc<str>>,
    /// What is wrong, and where.
    pub fault: Fault,
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        Self {
            plugin: None,
            fault,
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.0.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}{}", reason.fault)?;
        }
        Ok(())
    }
}

impl Builder {
    /// A builder for so many workers.
    pub fn new(
        engine: Arc<Engine>,
        metrics: Arc<Metrics>,
        state: Arc<state::Memory>,
        workers: usize,
    ) -> Self {
        Self {
            engine,
            metrics,
            state,
            workers,
            version: 0,
            upstreams: Arc::default(),
            access_log: None,
            fleet_key: Secret::new(depth::random_key()),
            listening: Vec::new(),
        }
    }

    /// Tells where the listeners of the next configuration are bound, which it may leave to the kernel (port 0).
    pub fn listen_at(&mut self, listening: Vec<Endpoint>) {
        self.listening = listening;
    }

    /// As [`Self::assemble`], after what has to be compiled is. Blocks for as long as that takes.
    ///
    /// # Errors
    /// Every fault of every plugin; nothing has changed then.
    pub fn build(
        &mut self,
        config: Arc<Config>,
        previous: Option<&Snapshot>,
        replace: Replace<'_>,
    ) -> Result<Arc<Snapshot>, BuildError> {
        let (engine, limits) = (self.engine.clone(), config.server.compile);
        compiling(&engine, limits, |components| {
            self.assemble(config.clone(), previous, replace, components)
        })
    }

    /// Loads, links and configures every plugin that `replace` names, and warms an instance for each worker.
    /// What did not change is taken over from `previous`. Compiles nothing.
    ///
    /// # Errors
    /// What has to be compiled first; then every fault of every plugin. Nothing has changed then.
    pub fn assemble(
        &mut self,
        config: Arc<Config>,
        previous: Option<&Snapshot>,
        replace: Replace<'_>,
        components: &Components,
    ) -> Result<Arc<Snapshot>, Refused> {
        let wanted = configurations(&config, &[]);
        let plugins = self.link(&config, wanted, previous, replace, components)?;
        let access_log = self.access_log(&config)?;
        let server = &config.server;
        self.engine
            .divide_memory(server.plugin_memory, config.plugins.keys());
        let pools = self.pools(&plugins, previous);
        self.upstreams.prune();
        let fleet = self.fleet(&config);
        let upstreams: Arc<[_]> = config
            .upstreams
            .values()
            .map(|upstream| self.upstreams.upstream(upstream, &fleet, &self.metrics))
            .collect();
        self.upstreams.release(&upstreams);
        let resolver = Resolver {
            config: &config,
            plugins: &plugins,
            metrics: &self.metrics,
            workers: self.workers,
        };
        let routes = gently(&config.routes);
        let routes = routes.map(|route| Arc::new(resolver.route(route)));
        let routes = routes.collect();
        self.version += 1;
        Ok(Arc::new(Snapshot {
            version: self.version,
            router: Router::new(routes),
            no_route: Arc::new(Route::new(
                Arc::new(no_route(&config)),
                &[],
                |_| ResponseTypes::default(),
                self.metrics.route("-"),
            )),
            marks: fleet.marks,
            upstreams,
            plugins,
            pools,
            access_log,
            metrics: self.metrics.clone(),
            config,
        }))
    }

    /// Loads and configures the plugins that no fault of their configuration touches, and keeps nothing of it.
    ///
    /// # Errors
    /// Every fault of every such plugin.
    pub fn try_plugins(&self, examined: &config::Examined) -> Result<Vec<Arc<Linked>>, BuildError> {
        let config = &examined.config;
        compiling(&self.engine, config.server.compile, |components| {
            let wanted = configurations(config, &examined.chained);
            self.link(config, wanted, None, Replace::Changed, components)
        })
    }

    fn link(
        &self,
        config: &Config,
        mut wanted: Wanted,
        previous: Option<&Snapshot>,
        replace: Replace<'_>,
        components: &Components,
    ) -> Result<Vec<Arc<Linked>>, Refused> {
        let present = |name: &str| {
            let plugins = &previous?.plugins;
            plugins.iter().find(|linked| *linked.name == *name)
        };
        // That plugin and what it was before stay.
        let stays = |name: &str| match replace {
            Replace::Only(only) if only != name => present(name),
            _ => None,
        };
        let taken = config.plugins.iter();
        let taken = taken.filter(|(name, _)| stays(name).is_none());
        let mut versions = open(&self.engine, components, taken.map(|(_, plugin)| plugin))?;
        let services = Services {
            state: self.state.clone(),
            metrics: self.metrics.clone(),
            secrets: Arc::new(config.secrets.clone()),
        };
        let mut faults = Vec::new();
        let mut linked = Vec::with_capacity(config.plugins.len());
        for (name, plugin) in &config.plugins {
            let configs = wanted.remove(name).unwrap_or_default();
            let loaded = match (versions.remove(name), present(name)) {
                (None, Some(present)) => Ok(present.clone()),
                (None, None) => continue,
                (Some(version), present) => version.and_then(|version| match present {
                    Some(present) => {
                        plugin::reload(present, &self.engine, &services, plugin, &configs, &version)
                    }
                    None => plugin::load(&self.engine, &services, plugin, &configs, &version),
                }),
            };
            match loaded {
                Ok(plugin) => linked.push(plugin),
                Err(error) => {
                    let place = |key: &str| config.place_of_plugin(name, key);
                    let of_plugin = |fault| Reason {
                        plugin: Some(name.clone()),
                        fault,
                    };
                    faults.extend(error.faults(place).map(of_plugin));
                }
            }
        }
        if faults.is_empty() {
            Ok(linked)
        } else {
            Err(BuildError(faults).into())
        }
    }

    /// The pools of what stayed; new ones, with a warm instance each, of what is new. By worker, then by plugin.
    fn pools(&self, plugins: &[Arc<Linked>], previous: Option<&Snapshot>) -> Vec<Vec<Arc<Pool>>> {
        let mut pools = vec![Vec::with_capacity(plugins.len()); self.workers];
        let mut new = Vec::new();
        for linked in plugins {
            let of_workers = kept(linked, previous).unwrap_or_else(|| {
                let made = Pool::of_workers(linked, self.workers);
                new.extend_from_slice(&made);
                made
            });
            for (worker, pool) in pools.iter_mut().zip(of_workers) {
                worker.push(pool);
            }
        }
        plugin::warm(&new);
        pools
    }

    fn access_log(&mut self, whole: &Config) -> Result<Arc<AccessLog>, BuildError> {
        let config = &whole.server.access_log;
        if let Some((present, log)) = &self.access_log
            && present == config
        {
            log.reopen();
            return Ok(log.clone());
        }
        let log = AccessLog::start(config, &self.metrics).map_err(|error| {
            let fault = whole.unwritable_log(Some(&error));
            BuildError(fault.into_iter().map(Into::into).collect())
        })?;
        self.access_log = Some((config.clone(), log.clone()));
        Ok(log)
    }

    fn fleet(&self, config: &Config) -> Fleet {
        let key = config.server.fleet_key.as_ref().unwrap_or(&self.fleet_key);
        Fleet {
            marks: Arc::new(Marks::new(key.reveal().as_bytes())),
            listening: self.listening.clone(),
        }
    }
}

/// What the files of these plugins hold, by name; or what has to be compiled first.
fn open<'a>(
    engine: &Engine,
    components: &Components,
    plugins: impl Iterator<Item = &'a config::Plugin>,
) -> Result<BTreeMap<Arc<str>, Result<Version, LoadError>>, Refused> {
    let (mut opened, mut uncompiled) = (BTreeMap::new(), Vec::new());
    for plugin in plugins {
        let version = match components.open(engine, plugin) {
            Ok(version) => Ok(version),
            Err(Unopened::Faulty(error)) => Err(error),
            Err(Unopened::Uncompiled(artifact)) => {
                uncompiled.push(artifact);
                continue;
            }
        };
        opened.insert(plugin.name.clone(), version);
    }
    match uncompiled.is_empty() {
        true => Ok(opened),
        false => Err(Refused::Uncompiled(uncompiled)),
    }
}

/// Compiles what is found uncompiled, until nothing is.
fn compiling<T>(
    engine: &Arc<Engine>,
    limits: config::Compile,
    mut attempt: impl FnMut(&Components) -> Result<T, Refused>,
) -> Result<T, BuildError> {
    let mut components = Components::default();
    loop {
        let artifacts = match attempt(&components) {
            Ok(made) => return Ok(made),
            Err(Refused::Faulty(error)) => return Err(error),
            Err(Refused::Uncompiled(artifacts)) => artifacts,
        };
        let compile = components.compile(engine, artifacts, limits);
        plugin::on_own_thread(compile).map_err(|error| {
            BuildError(vec![
                Fault::nowhere(format!("cannot compile: {error}")).into(),
            ])
        })?;
    }
}

/// The pools of a plugin that stayed, by worker.
fn kept(linked: &Arc<Linked>, previous: Option<&Snapshot>) -> Option<Vec<Arc<Pool>>> {
    let same = |pool: &&Arc<Pool>| Arc::ptr_eq(pool.linked(), linked);
    let of_worker = |pools: &Vec<Arc<Pool>>| pools.iter().find(same).cloned();
    previous?.pools.iter().map(of_worker).collect()
}

/// Configurations with the place where each stands, by plugin.
type Wanted = BTreeMap<Arc<str>, Vec<(serde_json::Value, config::Written)>>;

/// Every configuration of every plugin; `more` are steps of chains beside those of the routes. A plugin that no route
/// uses is configured with its `config` all the same: a fault shows before a route needs it. It is not with nothing.
fn configurations(config: &Config, more: &[config::RoutePlugin]) -> Wanted {
    let mut wanted = Wanted::new();
    let chains = config.routes.iter().flat_map(|route| route.steps());
    for plugin in chains.chain(more) {
        let configs = wanted.entry(plugin.plugin.clone()).or_default();
        configs.push((plugin.config.clone(), plugin.place.clone()));
    }
    for (name, plugin) in &config.plugins {
        let default = || {
            let place = config.plugin_places.get(name);
            let place = place.filter(|_| config.has_default(name));
            place.map(|place| (plugin.config.clone(), place.clone()))
        };
        wanted
            .entry(name.clone())
            .or_insert_with(|| default().into_iter().collect());
    }
    wanted
}

/// The route of requests that match none.
fn no_route(config: &Config) -> config::Route {
    config::Route {
        name: "-".into(),
        listeners: Vec::new(),
        matcher: Match::any(),
        plugins: Vec::new(),
        target: Target::Plugins,
        rewrite: Rewrite::default(),
        timeout: None,
        overrides: Overrides::default(),
        retry: None,
        errors: config.errors.clone(),
        fallback: None,
        mirrors: Vec::new(),
        place: String::new(),
    }
}
