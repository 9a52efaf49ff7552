//! From a file to a [`Linked`]: read, compile, check against the grants, instantiate, configure. Every fault of
//! every configuration is found in one go. Runs on the control thread, never on a worker.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::types::ComponentItem;

use super::engine::Compiled;
use super::engine::Engine;
use super::exports::Exports;
use super::failure::Failure;
use super::grants::{VERSION, check_import, foreign_version};
use super::host::{Resolved, Services, Shared, resolve};
use super::instance::Instance;
use super::linked::{Filter, Linked, Metadata};
use super::objection::Objection;
use super::patience::Patience;
use super::pool::Pool;
use super::wants::Wants;
use crate::config;
use crate::exchange::FilterId;

/// The largest component, bytes.
const FILE: u64 = 64 << 20;
/// Why a plugin was not loaded: every fault, each with its remedy where there is one.
#[derive(Debug)]
pub struct LoadError {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// What is wrong; at least one.
    pub faults: Vec<Objection>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&fault.of(&self.plugin))?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// Loads a plugin with every configuration that routes have for it; each comes with the place it is written at.
/// Blocks for as long as compiling takes.
///
/// # Errors
/// If the file is no plugin, wants more than it is granted, or does not take a configuration.
pub fn load(
    engine: &Arc<Engine>,
    services: &Services,
    plugin: &config::Plugin,
    configs: &[(serde_json::Value, config::Written)],
) -> Result<Arc<Linked>, LoadError> {
    let artifact = read(plugin).map_err(|message| whole(plugin, message))?;
    link(engine, services, plugin, configs, &artifact)
}

/// As [`load`], but gives back `previous` itself if file and configuration are what they were: then its pools and
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
) -> Result<Arc<Linked>, LoadError> {
    let artifact = read(plugin).map_err(|message| whole(plugin, message))?;
    let same = artifact.sha256 == previous.sha256
        && *plugin == *previous.config
        && services.same_as(&previous.shared.services)
        && configs
            .iter()
            .all(|(config, _)| previous.filter_for(config).is_some());
    if same {
        return Ok(previous.clone());
    }
    link(engine, services, plugin, configs, &artifact)
}

struct Artifact {
    bytes: Vec<u8>,
    sha256: [u8; 32],
}

fn read(plugin: &config::Plugin) -> Result<Artifact, String> {
    let path = plugin.path.display();
    let bytes = read_bounded(&plugin.path).map_err(|error| format!("{path}: {error}"))?;
    if bytes.len() as u64 > FILE {
        return Err(format!(
            "{path}: larger than the {} MiB that a plugin may have",
            FILE >> 20
        ));
    }
    let sha256: [u8; 32] = Sha256::digest(&bytes).into();
    match plugin.sha256 {
        Some(pinned) if pinned != sha256 => Err(format!(
            "{path}: its sha256 is {}, but the configuration pins {}",
            hex(&sha256),
            hex(&pinned)
        )),
        _ => Ok(Artifact { bytes, sha256 }),
    }
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(FILE + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn link(
    engine: &Arc<Engine>,
    services: &Services,
    plugin: &config::Plugin,
    configs: &[(serde_json::Value, config::Written)],
    artifact: &Artifact,
) -> Result<Arc<Linked>, LoadError> {
    let in_file = |message: String| whole(plugin, format!("{}: {message}", plugin.path.display()));
    let compiled = compile(engine, artifact).map_err(in_file)?;
    check(engine, &compiled, plugin)?;
    let unfit = |error| in_file(format!("does not fit gateway:plugin@{VERSION}: {error:#}"));
    let resolved = resolve(engine.wasmtime(), &compiled.component).map_err(unfit)?;
    let exports = Arc::new(Exports::find(&compiled.component).map_err(unfit)?);
    let config = Arc::new(plugin.clone());
    let shared = Arc::new(Shared::new(
        config.clone(),
        services.clone(),
        engine.clock(),
    ));
    let tried =
        on_own_thread(try_out(engine, (&resolved, &exports), &shared, configs)).map_err(in_file)?;
    let (metadata, filters, warnings) = tried.map_err(|faults| LoadError {
        plugin: plugin.name.clone(),
        faults,
    })?;
    let linked = Arc::new(Linked {
        name: plugin.name.clone(),
        config,
        sha256: artifact.sha256,
        metadata,
        warnings,
        filters,
        engine: engine.clone(),
        _compiled: compiled,
        resolved,
        exports,
        patience: Patience::default(),
        shared,
        living: std::sync::atomic::AtomicUsize::new(0),
    });
    linked
        .warned()
        .for_each(|warning| tracing::warn!("{warning}"));
    Ok(linked)
}

/// Compiles a file, or says what it is instead of a component.
fn compile(engine: &Engine, artifact: &Artifact) -> Result<Arc<Compiled>, String> {
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    let bytes = &artifact.bytes[..];
    if bytes.starts_with(MODULE) {
        return Err(
            "is a core WebAssembly module, not a component; build it for the target wasm32-wasip2"
                .to_owned(),
        );
    }
    if !bytes.starts_with(COMPONENT) {
        return Err("is not a WebAssembly component".to_owned());
    }
    engine.compile(artifact.sha256, bytes).map_err(|error| {
        format!("is broken or cut short, or uses what the gateway does not have: {error:#}")
    })
}

/// Compares the component's imports with its grants, and its exports with the contract; finds every fault.
fn check(engine: &Engine, compiled: &Compiled, plugin: &config::Plugin) -> Result<(), LoadError> {
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
            messages.extend(check_import(name, calls, &plugin.grants).err());
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
    let fault = |message| Objection {
        place: None,
        key: String::new(),
        message: format!("{path}: {message}"),
    };
    Err(LoadError {
        plugin: plugin.name.clone(),
        faults: messages.into_iter().map(fault).collect(),
    })
}

/// Who it is, its filters, and warnings; or every fault.
type Tried = Result<(Metadata, Vec<Filter>, Vec<Objection>), Vec<Objection>>;

/// Instantiates the component once and gives it every configuration.
async fn try_out(
    engine: &Engine,
    component: (&Resolved, &Arc<Exports>),
    shared: &Arc<Shared>,
    configs: &[(serde_json::Value, config::Written)],
) -> Tried {
    let at_start = |failure: Failure| vec![fault_of(shared, "when it was instantiated", &failure)];
    let (resolved, exports) = component;
    let fresh = || Instance::new(engine.wasmtime(), resolved, exports, shared.clone());
    let mut instance = fresh().await.map_err(at_start)?;
    let described = instance.describe().await;
    let metadata =
        described.map_err(|failure| vec![fault_of(shared, "in `describe`", &failure)])?;
    let mut filters: Vec<Filter> = Vec::new();
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    for (config, place) in configs {
        if filters.iter().any(|filter| filter.config == *config) {
            continue;
        }
        match try_config(&mut instance, FilterId(filters.len()), config, place).await {
            Ok((filter, found)) => {
                filters.push(filter);
                warnings.extend(found);
            }
            // Routes may share a configuration, written in one place.
            Err(Trouble::Faults(mut found)) => {
                found.retain(|fault| !faults.contains(fault));
                faults.extend(found);
            }
            Err(Trouble::Failure(failure)) => {
                let mut fault = fault_of(shared, "when it was configured", &failure);
                fault.place = Some(place.to_string());
                faults.push(fault);
                // The next configuration meets a new instance: this one is not to be trusted.
                instance = fresh().await.map_err(at_start)?;
            }
        }
    }
    if faults.is_empty() {
        Ok((Metadata::from_wit(metadata), filters, warnings))
    } else {
        Err(faults)
    }
}

enum Trouble {
    Faults(Vec<Objection>),
    Failure(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

async fn try_config(
    instance: &mut Instance,
    index: FilterId,
    config: &serde_json::Value,
    place: &config::Written,
) -> Result<(Filter, Vec<Objection>), Trouble> {
    let json = config.to_string();
    let resource = instance.configure(index, &json).await?.map_err(|faults| {
        let fault = |key: String, message| Objection {
            place: Some(place.of(&key)),
            key,
            message,
        };
        if faults.is_empty() {
            return Trouble::Faults(vec![fault(
                String::new(),
                "refused, without a reason".to_owned(),
            )]);
        }
        Trouble::Faults(
            faults
                .into_iter()
                .map(|found| fault(found.key, found.message))
                .collect(),
        )
    })?;
    let said = |message: String| Objection {
        place: Some(place.to_string()),
        key: String::new(),
        message,
    };
    let wants = Wants::from_wit(instance.wants(resource).await?);
    let wants = wants.map_err(|fault| Trouble::Faults(vec![said(fault)]))?;
    let grants = &instance.guest().shared.plugin.grants;
    let (faults, warnings) = wants.missing(grants);
    if !faults.is_empty() {
        let faults = faults.into_iter().map(said);
        return Err(Trouble::Faults(faults.collect()));
    }
    let filter = Filter {
        config: config.clone(),
        json,
        phases: wants.phases,
        types: wants.types,
    };
    Ok((filter, warnings.into_iter().map(said).collect()))
}

fn fault_of(shared: &Shared, when: &str, failure: &Failure) -> Objection {
    let path = shared.plugin.path.display();
    Objection {
        place: None,
        key: String::new(),
        message: format!("{path}: failed {when}: {failure}"),
    }
}

/// Runs guest code away from whatever runtime the caller stands in.
fn on_own_thread<F>(work: F) -> Result<F::Output, String>
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

fn whole(plugin: &config::Plugin, message: String) -> LoadError {
    let faults = vec![Objection {
        place: None,
        key: String::new(),
        message,
    }];
    LoadError {
        plugin: plugin.name.clone(),
        faults,
    }
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").ok();
            text
        })
}
