//! `gateway check`: everything that a start could fail at, all of it in one run, and nothing is changed by it.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use super::gateway::{cache_warning, empty_state};
use super::{listeners, unheld};
use crate::config::{self, Config, Errors, Examined, Fault, ListenAddress, RoutePlugin, Target};
use crate::net::unix::{self, Unavailable};
use crate::plugin::{Engine, Linked, Place};
use crate::server::listener;
use crate::snapshot::{BuildError, Builder};
use crate::telemetry::metrics::Metrics;

/// Descriptors of a worker beside its sockets: its event loop, and what wakes it.
const OF_WORKER: usize = 3;
/// Descriptors of the process beside its workers: logs, files that are read, the admin listener.
const OF_PROCESS: usize = 32;

/// What a check found.
#[derive(Debug)]
pub struct Report {
    /// Why a gateway would not start with this configuration.
    pub errors: Vec<Fault>,
    /// What an operator should look at.
    pub warnings: Vec<Fault>,
    /// Variables and files that something else stood for.
    pub unset: Vec<String>,
    /// The configuration, as far as it is sound.
    pub config: Config,
}

/// Reads a configuration, compiles and configures its plugins, and looks whether this machine has what it names: addresses,
/// the access log, the compile cache. Makes no file and listens nowhere.
///
/// With `allow_unset`, variables that are not set and files that are not there for `{ file = ".." }` are no faults.
pub fn check(path: &Path, allow_unset: bool) -> Report {
    let mut examined = config::examine(path, allow_unset);
    let mut errors = std::mem::take(&mut examined.errors);
    let config = &examined.config;
    let mut warnings = config.warnings.clone();
    match try_plugins(&examined, &mut warnings) {
        Ok(linked) => {
            warnings.extend(linked.iter().flat_map(|linked| linked.warned()));
            if errors.is_empty() {
                warnings.extend(unanswered(config, &linked));
                warnings.extend(unheld::warned(config, &linked));
            }
        }
        Err(refused) => errors.extend(refused.0.into_iter().map(|reason| reason.fault)),
    }
    for missing in of_machine(config) {
        match missing {
            Missing::InUse(fault) => warnings.push(fault),
            Missing::Refused(fault) => errors.push(fault),
        }
    }
    let Examined { config, unset, .. } = examined;
    Report {
        errors,
        warnings,
        unset,
        config,
    }
}

fn try_plugins(
    examined: &Examined,
    warnings: &mut Vec<Fault>,
) -> Result<Vec<Arc<Linked>>, BuildError> {
    let config = &examined.config;
    let metrics = Metrics::new(1);
    let cache = config.server.compile_cache.as_deref();
    let engine = Engine::new(Place::Nowhere, cache, 1, &metrics).map_err(|error| {
        let message = format!("no plugin can be tried: {error}");
        BuildError(vec![Fault::nowhere(message).into()])
    })?;
    warnings.extend(cache_warning(&engine, config));
    let state = empty_state(config);
    Builder::new(engine, metrics, state, 1).try_plugins(examined)
}

/// Routes with plugins alone, none of which is called before there is an answer.
fn unanswered(config: &Config, linked: &[Arc<Linked>]) -> Vec<Fault> {
    let may_answer = |step: &RoutePlugin| {
        let linked = linked.iter().find(|linked| linked.name == step.plugin);
        let phases =
            linked.and_then(|linked| Some(linked.phases(linked.filter_for(&step.config)?)));
        // One that is not known may.
        phases.is_none_or(|phases| phases.request() || phases.reads_request())
    };
    let mut warnings = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        if matches!(route.target, Target::Plugins) && !route.plugins.iter().any(may_answer) {
            let place = config.origins.spot(&format!("routes[{index}].plugins"));
            warnings.push(place.fault(
                "none of these plugins is called for requests, so none answers: every request is 404; add one that does, \
                 or `upstream`, `respond` or `redirect`",
            ));
        }
    }
    warnings
}

/// The faults of a configuration that no gateway starts with, and those that a start would come to behind them: what this
/// machine has not. Plugins are not tried: a supervisor starts the process again and again.
pub(super) fn all_of(Errors(mut faults): Errors, path: &Path) -> Errors {
    let examined = config::examine(path, false);
    let missing = of_machine(&examined.config);
    faults.extend(missing.into_iter().map(Missing::fault));
    Errors(faults)
}

/// What this machine has not for a configuration.
enum Missing {
    /// An address that something listens at: perhaps the gateway that runs with this configuration.
    InUse(Fault),
    /// Something else.
    Refused(Fault),
}

impl Missing {
    fn fault(self) -> Fault {
        let (Self::InUse(fault) | Self::Refused(fault)) = self;
        fault
    }
}

/// Binds every address for a moment, and looks whether every unix socket can be made, the access log be written, and the
/// workers have their descriptors.
fn of_machine(config: &Config) -> Vec<Missing> {
    let listeners = config.listeners.iter().zip(&config.listener_places);
    let mut all: Vec<_> = listeners
        .map(|(listener, place)| (&listener.address, place.clone()))
        .collect();
    let mut missing = Vec::new();
    for (listener, place) in config.listeners.iter().zip(&config.listener_places) {
        let runtime = listeners::runtime(listener, listener.address.target());
        missing.extend(
            runtime
                .err()
                .map(|message| Missing::Refused(place.fault(message))),
        );
    }
    if let Some(admin) = &config.admin {
        all.push((&admin.address, config.origins.spot("admin.address")));
    }
    for (address, place) in all {
        let found: Result<(), (bool, String)> = match address {
            ListenAddress::Ip(ip) => listener::try_bind(*ip)
                .map_err(|error| (error.kind() == io::ErrorKind::AddrInUse, error.to_string())),
            ListenAddress::Unix(at) => unix::look(&at.path)
                .map_err(|error| (matches!(error, Unavailable::InUse), error.to_string())),
        };
        missing.extend(found.err().map(|(is_in_use, why)| match is_in_use {
            true => Missing::InUse(place.fault(in_use(address))),
            false => Missing::Refused(place.fault(listeners::cannot_listen(address, &why))),
        }));
    }
    let of_process = config.unwritable_log(None).into_iter();
    missing.extend(of_process.chain(descriptors(config)).map(Missing::Refused));
    missing
}

fn in_use(address: &impl Display) -> String {
    format!("{address} is in use: by a gateway that runs, or a process beside which none starts")
}

/// Each worker has sockets of its own.
fn descriptors(config: &Config) -> Option<Fault> {
    let workers = config.server.workers;
    let needed = workers * (config.listeners.len() + OF_WORKER) + OF_PROCESS;
    let most = getrlimit(Resource::Nofile).maximum?;
    let place = config.origins.spot("server.workers");
    (needed as u64 > most).then(|| {
        place.fault(format!(
            "{workers} workers and their listeners need {needed} file descriptors, and this process may have {most}; \
             raise that (`ulimit -n`), or lower `workers`"
        ))
    })
}
