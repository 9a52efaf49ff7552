//! From machine code to a [`Linked`]: check against the grants, instantiate, configure. Every fault of every
//! configuration is found in one go. Runs on the control thread, never on a worker.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use wasmtime::component::types::ComponentItem;

use super::compiled::Compiled;
use super::components::Version;
use super::engine::Engine;
use super::exports::Exports;
use super::failure::Failure;
use super::grants::{VERSION, check_import, foreign_version};
use super::host::{Resolved, Services, Shared, resolve};
use super::instance::Instance;
use super::linked::{Filter, Linked, Metadata};
use super::objection::{self, LoadError, Objection, Refusal};
use super::patience::Patience;
use super::pool::Pool;
use super::room::Lease;
use super::typed;
use super::wants::Wants;
use super::within;
use super::words::Words;
use crate::config::{self, Grants, Secret};
use crate::exchange::FilterId;

/// Loads a version of a plugin with every configuration that routes have for it; each comes with the place it is
/// written at.
///
/// # Errors
/// If it is no plugin, wants more than it is granted, or does not take a configuration.
pub fn load(
    engine: &Arc<Engine>,
    services: &Services,
    plugin: &config::Plugin,
    configs: &[(serde_json::Value, config::Written)],
    version: &Version,
) -> Result<Arc<Linked>, LoadError> {
    let in_file = |message: String| {
        LoadError::whole(
            plugin,
            "path",
            &format!("{}: {message}", plugin.path.display()),
        )
    };
    let compiled = version.compiled.clone();
    check(engine, &compiled, plugin, None)?;
    let unfit = |error| in_file(format!("does not fit gateway:plugin@{VERSION}: {error:#}"));
    let resolved = resolve(engine.wasmtime(), &compiled.component).map_err(unfit)?;
    let exports = Arc::new(Exports::find(&compiled.component).map_err(unfit)?);
    let config = Arc::new(plugin.clone());
    let shared = Arc::new(Shared::new(
        config.clone(),
        services.clone(),
        engine.clock(),
        confidential(plugin, services, configs),
    ));
    let tried =
        on_own_thread(try_out(engine, (&resolved, &exports), &shared, configs)).map_err(in_file)?;
    let (metadata, filters, warnings, footprint) = tried.map_err(|faults| LoadError {
        plugin: plugin.name.clone(),
        faults,
    })?;
    // What a configuration needs by name was told first.
    check(engine, &compiled, plugin, Some(&plugin.grants))?;
    let linked = Arc::new(Linked {
        name: plugin.name.clone(),
        config,
        sha256: version.sha256,
        metadata,
        warnings,
        filters,
        engine: engine.clone(),
        _compiled: compiled,
        resolved,
        exports,
        patience: Patience::new(plugin.cpu),
        shared,
        footprint,
        room: engine.rooms().room(&plugin.name),
        living: std::sync::atomic::AtomicUsize::new(0),
        living_of_all: engine.rooms().living(&plugin.name),
    });
    linked
        .warned()
        .for_each(|warning| tracing::warn!("{warning}"));
    Ok(linked)
}

/// As [`load`], but gives back `previous` itself if version and configuration are what they were: then its pools and
/// their instances can stay.
///
/// # Errors
/// As [`load`].
pub fn reload(
    previous: &Arc<Linked>,
    engine: &Arc<Engine>,
    services: &Services,
    plugin: &config::Plugin,
    configs: &[(serde_json::Value, config::Written)],
    version: &Version,
) -> Result<Arc<Linked>, LoadError> {
    let confidential = confidential(plugin, services, configs);
    let same = version.sha256 == previous.sha256
        && *plugin == *previous.config
        && services.same_as(&previous.shared.services)
        && configs
            .iter()
            .all(|(config, _)| previous.filter_for(config).is_some())
        && confidential
            .iter()
            .all(|value| previous.shared.confidential.contains(value));
    if same {
        return Ok(previous.clone());
    }
    load(engine, services, plugin, configs, version)
}

/// Compares the component's imports and exports with the contract, and what it calls with what is `granted`, if that is
/// asked; finds every fault.
fn check(
    engine: &Engine,
    compiled: &Compiled,
    plugin: &config::Plugin,
    granted: Option<&Grants>,
) -> Result<(), LoadError> {
    let engine = engine.wasmtime();
    let kind = compiled.component.component_type();
    let imports = kind.imports(engine).map(|(name, _)| name);
    let names: Vec<_> = imports
        .chain(kind.exports(engine).map(|(name, _)| name))
        .collect();
    let mut messages = Vec::new();
    if let Some(version) = names.iter().find_map(|name| foreign_version(name)) {
        messages.push(format!(
            "is built for gateway:plugin@{version}, and this gateway serves {VERSION}; build it again with the \
             gateway-plugin-sdk of this gateway"
        ));
    } else {
        for (name, import) in kind.imports(engine) {
            let calls = match import.ty {
                ComponentItem::ComponentInstance(instance) => instance
                    .exports(engine)
                    .any(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_))),
                _ => true,
            };
            messages.extend(check_import(name, calls, granted).err());
        }
        let filter = format!("gateway:plugin/filter@{VERSION}");
        if !names.contains(&&*filter) {
            messages.push(format!(
                "is not a plugin of this gateway: it does not export `{filter}`"
            ));
        }
    }
    if messages.is_empty() {
        return Ok(());
    }
    let path = plugin.path.display();
    let in_file = |message: String| format!("{path}: {message}");
    let messages: Vec<_> = messages.into_iter().map(in_file).collect();
    let key = granted.map_or("path", |_| "grants");
    Err(LoadError {
        plugin: plugin.name.clone(),
        faults: objection::of_plugin(key, &messages),
    })
}

/// What no word of the plugin may show: the secrets that it is granted, and what its configurations have from outside
/// of the files.
fn confidential(
    plugin: &config::Plugin,
    services: &Services,
    configs: &[(serde_json::Value, config::Written)],
) -> Vec<Secret> {
    let given = configs.iter().flat_map(|(_, place)| place.given());
    let given = given.flat_map(|given| given.values.iter().cloned());
    let mut all: Vec<_> = granted(plugin, services).chain(given).collect();
    all.sort_unstable_by(|one, other| one.reveal().cmp(other.reveal()));
    all.dedup();
    all
}

fn granted(plugin: &config::Plugin, services: &Services) -> impl Iterator<Item = Secret> {
    let names = plugin.grants.secrets.iter();
    names.filter_map(|name| services.secrets.get(name).cloned())
}

/// Who it is, its filters, warnings, and the memory of an instance; or every fault.
type Tried = Result<(Metadata, Vec<Filter>, Vec<Objection>, usize), Vec<Objection>>;

/// An instance that is bounded by no other: what it is tried for decides what comes into force.
async fn new_instance(
    engine: &Engine,
    (resolved, exports): (&Resolved, &Arc<Exports>),
    shared: &Arc<Shared>,
) -> Result<Instance, Failure> {
    let (wasmtime, lease) = (engine.wasmtime(), Lease::unbounded());
    Instance::new(wasmtime, resolved, exports, shared.clone(), lease, None).await
}

/// Instantiates the component once and gives it every configuration.
async fn try_out(
    engine: &Engine,
    component: (&Resolved, &Arc<Exports>),
    shared: &Arc<Shared>,
    configs: &[(serde_json::Value, config::Written)],
) -> Tried {
    let fault_of =
        |when, failure: &Failure| Objection::whole("path", &failed(shared, when, failure));
    let at_start = |failure: Failure| vec![fault_of("when it was instantiated", &failure)];
    let fresh = || new_instance(engine, component, shared);
    let mut instance = fresh().await.map_err(at_start)?;
    let described = instance.describe().await;
    let metadata = described.map_err(|failure| vec![fault_of("in `describe`", &failure)])?;
    let schema = serde_json::from_str(&metadata.config_schema).unwrap_or_default();
    let mut filters: Vec<Filter> = Vec::new();
    let (mut faults, mut warnings, mut told) = (Vec::new(), Vec::new(), HashSet::new());
    // Routes may share a configuration, wherever it is written: it is tried once.
    let mut tried: HashMap<String, Result<Arc<Wants>, Refusal>> = HashMap::new();
    let mut taken = HashSet::new();
    for (config, place) in configs {
        let json = typed::fit(config, place.given(), &schema).to_string();
        let outcome = match tried.get(&json) {
            Some(known) => known.clone(),
            None => {
                let index = FilterId(filters.len());
                let outcome = match try_config(&mut instance, index, &json).await {
                    Ok(outcome) => outcome,
                    Err(failure) => {
                        // The next configuration meets a new instance: this one is not to be trusted.
                        instance = fresh().await.map_err(at_start)?;
                        let message = failed(shared, "when it was configured", &failure);
                        Err(Refusal::Failed(message))
                    }
                };
                tried.insert(json.clone(), outcome.clone());
                outcome
            }
        };
        match outcome {
            Ok(wants) if taken.insert(config.to_string()) => {
                let (_, unsure) = wants.missing(&shared.plugin);
                let unsure = unsure.into_iter().map(|message| (String::new(), message));
                let exceeding = within::exceeding(config, &schema, &shared.plugin);
                let noted: Vec<_> = unsure.chain(exceeding).collect();
                if !noted.is_empty() {
                    warnings.extend(Refusal::of(noted).told(place, &shared.words));
                }
                filters.push(Filter {
                    config: config.clone(),
                    json,
                    phases: wants.phases,
                    types: wants.types.clone(),
                });
            }
            Ok(_) => {}
            Err(refusal) => {
                let mut found = refusal.told(place, &shared.words);
                found.retain(|fault| told.insert(fault.clone()));
                faults.extend(found);
            }
        }
    }
    if faults.is_empty() {
        let secrets: Vec<_> = granted(&shared.plugin, &shared.services).collect();
        let words = Words::hiding(secrets.iter().map(Secret::reveal));
        let footprint = instance.guest().budget.memory();
        let metadata = Metadata::from_wit(metadata, &words);
        Ok((metadata, filters, warnings, footprint))
    } else {
        Err(faults)
    }
}

async fn try_config(
    instance: &mut Instance,
    index: FilterId,
    json: &str,
) -> Result<Result<Arc<Wants>, Refusal>, Failure> {
    let resource = match instance.configure(index, json).await? {
        Ok(resource) => resource,
        Err(faults) => {
            let faults = faults.into_iter().map(|fault| (fault.key, fault.message));
            return Ok(Err(Refusal::of(faults)));
        }
    };
    let wants = instance.wants(resource).await?;
    Ok(match Wants::from_wit(wants) {
        Err(fault) => Err(Refusal::of_wants([fault])),
        Ok(wants) => {
            let (missing, _) = wants.missing(&instance.guest().shared.plugin);
            match missing.is_empty() {
                true => Ok(Arc::new(wants)),
                false => Err(Refusal::of_wants(missing)),
            }
        }
    })
}

fn failed(shared: &Shared, when: &str, failure: &Failure) -> String {
    let path = shared.plugin.path.display();
    format!("{path}: failed {when}: {}", failure.told(&shared.words))
}

/// Waits for guest code or a compiler, away from whatever runtime the caller stands in.
pub fn on_own_thread<F>(work: F) -> Result<F::Output, String>
where
    F: Future + Send,
    F::Output: Send,
{
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?;
            Ok(runtime.block_on(work))
        });
        match thread.join() {
            Ok(done) => {
                done.map_err(|error: std::io::Error| format!("no runtime to try it in: {error}"))
            }
            Err(_) => Err("the host panicked while it tried it".to_owned()),
        }
    })
}

/// Puts one idle instance into each of these pools. An instance that cannot be made is made, or fails, at its
/// first call.
pub fn warm(pools: &[Arc<Pool>]) {
    let all = async {
        for pool in pools {
            pool.warm(1).await;
        }
    };
    if let Err(error) = on_own_thread(all) {
        tracing::warn!("no plugin instance is warm: {error}");
    }
}
