//! What a guest finds when it calls the host: one file per interface of `wit/plugin.wit`.

mod edits;
mod exchange;
mod fields;
mod limiter;
mod names;
mod output;
mod query;
mod secrets;
mod state;
mod telemetry;
mod upstream;
mod wasi;

pub(super) use exchange::answer_status;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Component, HasSelf, InstancePre, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::failure::LogGate;
use super::limits::Budget;
use super::ticker::Clock;
use crate::config::{self, Secret};
use crate::message::phase::Phases;
use crate::proxy::exchange::Exchange;
use crate::state::Memory;
use crate::telemetry::metrics::{Metrics, PluginMetrics};
use bindings::gateway::plugin;
use bindings::gateway::plugin::exchange::HeaderError;

/// The WIT package in Rust.
pub(super) mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        missing_debug_implementations,
        reason = "generated from wit/plugin.wit"
    )]

    // The world `plugin` without `edits`, which is bound by hand.
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package gateway:host;
            world host {
                import gateway:plugin/exchange@0.1.0;
                import gateway:plugin/upstream@0.1.0;
                import gateway:plugin/state@0.1.0;
                import gateway:plugin/limiter@0.1.0;
                import gateway:plugin/telemetry@0.1.0;
                import gateway:plugin/secrets@0.1.0;
                export gateway:plugin/filter@0.1.0;
            }
        ",
        world: "gateway:host/host",
        imports: {
            "gateway:plugin/upstream": async | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}

/// What host functions work with; one set for the whole process.
#[derive(Debug, Clone)]
pub struct Services {
    /// The key-value store and the limiter.
    pub state: Arc<Memory>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Secrets of the configuration by name.
    pub secrets: Arc<BTreeMap<Arc<str>, Secret>>,
}

impl Services {
    /// Whether a plugin would not notice the difference.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
            && Arc::ptr_eq(&self.metrics, &other.metrics)
            && self.secrets == other.secrets
    }
}

/// What every instance of one loaded plugin shares.
pub(super) struct Shared {
    pub(super) plugin: Arc<config::Plugin>,
    pub(super) services: Services,
    pub(super) metrics: Arc<PluginMetrics>,
    clock: Arc<Clock>,
    /// Protects the log from a flood of failures.
    pub(super) gate: LogGate,
    /// Protects the log from a flood of denied edits and calls.
    denials: LogGate,
}

impl Shared {
    pub(super) fn new(plugin: Arc<config::Plugin>, services: Services, clock: Arc<Clock>) -> Self {
        let metrics = services.metrics.plugin(&plugin.name);
        Self {
            plugin,
            services,
            metrics,
            clock,
            gate: LogGate::new(),
            denials: LogGate::new(),
        }
    }

    /// Counts what the plugin was not allowed, and tells the operator.
    fn denied(&self, route: Option<&str>, kind: &'static str, what: fmt::Arguments<'_>) {
        self.metrics.denied(kind);
        if let Some(suppressed) = self.denials.pass() {
            tracing::warn!(
                plugin = &*self.plugin.name,
                route = route.unwrap_or(""),
                suppressed,
                "denied: {what}"
            );
        }
    }
}

/// The data of an instance's store: what a guest's calls into the host act on.
pub(super) struct Guest {
    pub(super) shared: Arc<Shared>,
    /// The exchange in hand, during a phase.
    pub(super) exchange: Option<Box<Exchange>>,
    /// What the filter in hand asked for.
    pub(super) phases: Phases,
    pub(super) budget: Budget,
    /// Whether the call in hand may give way to the worker's other tasks.
    pub(super) on_fibre: bool,
    /// When the call in hand must be over.
    pub(super) deadline: Instant,
    /// The last line the guest logged at level error in this call.
    pub(super) last_words: Option<String>,
    /// Names of request and of response fields that it has edited before.
    names: [names::Names; 2],
    /// The route it serves without the exchange in hand: chunks of a body may come while another phase has it.
    pub(super) route: Option<Arc<str>>,
    /// Standard output and error.
    outputs: [output::Output; 2],
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Guest {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let budget = Budget::new(&shared.plugin, shared.metrics.clone(), shared.clock.clone());
        let outputs = [(); 2].map(|()| output::Output::new(budget.log_bytes()));
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(outputs[0].clone())
            .stderr(outputs[1].clone())
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(64 << 10);
        Self {
            shared,
            exchange: None,
            phases: Phases::default(),
            budget,
            on_fibre: true,
            deadline: Instant::now(),
            last_words: None,
            names: Default::default(),
            route: None,
            outputs,
            wasi: wasi.build(),
            table: ResourceTable::new(),
        }
    }

    /// Refills what a call may use, for one that must be over at `deadline`.
    pub(super) fn begin(&mut self, phases: Phases, cpu: Duration, deadline: Instant) {
        self.budget.refill(cpu);
        self.phases = phases;
        self.deadline = deadline;
        self.last_words = None;
    }

    /// What the plugin wanted is not granted; `remedy` would grant it.
    fn deny(&self, kind: &'static str, what: fmt::Arguments<'_>, remedy: fmt::Arguments<'_>) {
        let what = format_args!("{what}; grant it with `grants = {{ {remedy} }}`");
        self.shared.denied(self.route_name(), kind, what);
    }

    /// What the plugin wanted is nobody's to grant.
    fn forbid(&self, kind: &'static str, what: fmt::Arguments<'_>) {
        self.shared.denied(self.route_name(), kind, what);
    }

    /// A name of a field that cannot be edited: one that is the gateway's own is forbidden.
    fn forbid_field(&self, name: &[u8], why: HeaderError) -> HeaderError {
        if matches!(why, HeaderError::Denied) {
            let shown = String::from_utf8_lossy(&name[..name.len().min(64)]);
            let what = format_args!("it edits the field {shown:?}, which is the gateway's own");
            self.forbid("reserved_field", what);
        }
        why
    }

    fn route_name(&self) -> Option<&str> {
        let exchange = self.exchange.as_ref();
        exchange
            .map(|exchange| &*exchange.route.name)
            .or(self.route.as_deref())
    }

    /// Writes what the guest wrote to its standard output and error to the log.
    pub(super) fn report_output(&self) {
        for output in &self.outputs {
            output.log(&self.shared.plugin.name, self.route_name().unwrap_or(""));
        }
    }

    /// Writes down how many log lines of the call were not written.
    pub(super) fn report_suppressed(&self) {
        let suppressed = self.budget.log_suppressed();
        if suppressed > 0
            && let Some(_) = self.shared.denials.pass()
        {
            tracing::warn!(
                plugin = &*self.shared.plugin.name,
                route = self.route_name().unwrap_or(""),
                suppressed,
                "the plugin logged more in one call than it may; {suppressed} lines were not written"
            );
        }
    }
}

impl Drop for Guest {
    /// A call that nobody waits for any more ends without [`Guest::report_output`].
    fn drop(&mut self) {
        self.report_output();
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Types alone; there is nothing to call.
impl bindings::gateway::plugin::types::Host for Guest {}

/// A component with its imports resolved.
pub(super) struct Resolved {
    pub(super) pre: InstancePre<Guest>,
    /// Whether it imports something that waits, so that every call of it needs a fibre.
    pub(super) waits: bool,
}

/// Resolves the imports of a component: without anything that waits, if that is enough for it.
pub(super) fn resolve(
    engine: &wasmtime::Engine,
    component: &Component,
) -> wasmtime::Result<Resolved> {
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker)?;
    add_interfaces(&mut linker)?;
    if let Ok(pre) = linker.instantiate_pre(component) {
        return Ok(Resolved { pre, waits: false });
    }
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    add_interfaces(&mut linker)?;
    plugin::upstream::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    let pre = linker.instantiate_pre(component)?;
    Ok(Resolved { pre, waits: true })
}

/// The gateway's interfaces that never wait.
fn add_interfaces(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    edits::add_to_linker(linker)?;
    plugin::exchange::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    plugin::types::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    plugin::state::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    plugin::limiter::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    plugin::telemetry::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    plugin::secrets::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)
}
