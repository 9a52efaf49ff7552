//! What a guest's calls into the host act on.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::bindings::gateway::plugin::exchange::HeaderError;
use super::bindings::gateway::plugin::types;
use super::names::Names;
use super::output::Output;
use super::under_way::UnderWay;
use super::volume::Volume;
use crate::config::{self, Secret};
use crate::exchange::Exchange;
use crate::message::phase::{Direction, Phases};
use crate::plugin::failure::{Failure, FailureKind};
use crate::plugin::limits::Budget;
use crate::plugin::notice::Notice;
use crate::plugin::room::Lease;
use crate::plugin::ticker::Clock;
use crate::plugin::words::Words;
use crate::state::{Memory, Namespace};
use crate::telemetry::log_gate::LogGate;
use crate::telemetry::metrics::{Metrics, PluginMetrics};

/// The longest name of a guest's that is shown, bytes.
pub(super) const NAME: usize = 128;

/// Streams and pollables of WASI that an instance may have open at once.
const HANDLES: usize = 1_024;

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
    pub(in crate::plugin) fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
            && Arc::ptr_eq(&self.metrics, &other.metrics)
            && self.secrets == other.secrets
    }
}

/// What every instance of one loaded plugin shares.
pub(in crate::plugin) struct Shared {
    pub(in crate::plugin) plugin: Arc<config::Plugin>,
    pub(in crate::plugin) services: Services,
    pub(in crate::plugin) metrics: Arc<PluginMetrics>,
    /// What it has of the state.
    pub(super) state: Namespace,
    clock: Arc<Clock>,
    /// What the plugin is given in confidence, sorted.
    pub(in crate::plugin) confidential: Vec<Secret>,
    /// Shows what the plugin says, without it.
    pub(in crate::plugin) words: Words,
    /// Protects the log from a flood of failures.
    pub(in crate::plugin) gate: LogGate,
    /// Bounds what the plugin itself writes to the log.
    pub(super) volume: Volume,
    /// Tells the operator that calls wait for their share.
    pub(in crate::plugin) throttled: Notice,
    /// Protects the log from a flood of denied edits and calls.
    pub(super) denials: LogGate,
    /// Fields of requests and of responses that it may not read, and that the log has.
    denied_reads: Mutex<HashSet<(usize, Box<str>)>>,
}

/// Denied fields that the log has for one plugin, and how much of a name it shows, bytes: a plugin chooses names.
const DENIED_READS: usize = 100;
const FIELD_SHOWN: usize = 64;

impl Shared {
    pub(in crate::plugin) fn new(
        plugin: Arc<config::Plugin>,
        services: Services,
        clock: Arc<Clock>,
        confidential: Vec<Secret>,
    ) -> Self {
        let metrics = services.metrics.plugin(&plugin.name);
        let state = Namespace::new(&services.state, &plugin.name);
        let volume = Volume::new(plugin.name.clone(), metrics.clone());
        Self {
            plugin,
            services,
            metrics,
            state,
            clock,
            words: Words::hiding(confidential.iter().map(Secret::reveal)),
            confidential,
            gate: LogGate::new(),
            volume,
            throttled: Notice::default(),
            denials: LogGate::new(),
            denied_reads: Mutex::default(),
        }
    }

    /// Counts what the plugin was not allowed, and tells the operator.
    pub(super) fn denied(&self, route: Option<&str>, kind: &'static str, what: fmt::Arguments<'_>) {
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
pub(in crate::plugin) struct Guest {
    pub(in crate::plugin) shared: Arc<Shared>,
    /// The exchange in hand, during a phase.
    pub(in crate::plugin) exchange: Exchange,
    /// What the filter in hand asked for.
    pub(in crate::plugin) phases: Phases,
    pub(in crate::plugin) budget: Budget,
    /// Whether the call in hand may give way to the worker's other tasks.
    pub(in crate::plugin) on_fibre: bool,
    /// When the call in hand must be over.
    pub(in crate::plugin) deadline: Instant,
    /// The last line the guest logged at level error in this call.
    pub(in crate::plugin) last_words: Option<String>,
    /// Whether a sub-request of the call in hand went in a circle.
    pub(super) looped: bool,
    /// Sub-requests whose answers the call in hand takes as they come.
    pub(super) under_way: UnderWay,
    /// Names of request and of response fields that it has edited before.
    pub(super) names: [Names; 2],
    /// The route it serves without the exchange in hand: chunks of a body may come while another phase has it.
    pub(in crate::plugin) route: Option<Arc<str>>,
    /// Standard output and error.
    outputs: [Output; 2],
    wasi: WasiCtx,
    pub(super) table: ResourceTable,
}

impl Guest {
    pub(in crate::plugin) fn new(shared: Arc<Shared>, lease: Lease) -> Self {
        let (plugin, metrics) = (&shared.plugin, shared.metrics.clone());
        let budget = Budget::new(plugin, metrics, shared.clock.clone(), lease);
        let outputs = [(); 2].map(|()| Output::new(budget.log_bytes()));
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(outputs[0].clone())
            .stderr(outputs[1].clone())
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(64 << 10);
        Self {
            shared,
            exchange: Exchange::default(),
            phases: Phases::default(),
            budget,
            on_fibre: true,
            deadline: Instant::now(),
            last_words: None,
            looped: false,
            under_way: UnderWay::default(),
            names: Default::default(),
            route: None,
            outputs,
            wasi: wasi.build(),
            table,
        }
    }

    /// Refills what a call may use, for one that must be over at `deadline` and for which so many bytes are held.
    pub(in crate::plugin) fn begin(
        &mut self,
        phases: Phases,
        cpu: Duration,
        deadline: Instant,
        held: usize,
    ) {
        self.budget.refill(cpu, held);
        self.phases = phases;
        self.deadline = deadline;
        self.last_words = None;
        self.looped = false;
    }

    /// Gives up what the call in hand left under way.
    pub(in crate::plugin) fn give_up(&mut self) {
        self.under_way.give_up();
    }

    /// A failure of the call in hand. After a sub-request in a circle it is of that kind, whatever the plugin made of it.
    pub(in crate::plugin) fn judged(&self, mut failure: Failure) -> Failure {
        if self.looped {
            failure.kind = FailureKind::Loop;
        }
        failure
    }

    /// What the plugin wanted is not granted: `key` of its grants would have to be true, or a list with this name.
    pub(super) fn deny(
        &self,
        kind: &'static str,
        what: fmt::Arguments<'_>,
        key: &str,
        name: Option<&str>,
    ) {
        let (plugin, route) = (&self.shared.plugin.name, self.route_name());
        match name {
            Some(name) => {
                let remedy = format_args!("{what}; add {name} to `plugins.{plugin}.grants.{key}`");
                self.shared.denied(route, kind, remedy);
            }
            None => {
                let remedy = format_args!("{what}; set `plugins.{plugin}.grants.{key} = true`");
                self.shared.denied(route, kind, remedy);
            }
        }
    }

    /// A field that the plugin may not read: it sees none, so nothing else tells. Every read counts, the log has each
    /// field once.
    pub(super) fn deny_read(&self, message: Direction, name: &str) {
        let (kind, side) = match message {
            Direction::Request => ("request_field_read", "request"),
            Direction::Response => ("response_field_read", "response"),
        };
        self.shared.metrics.denied(kind);
        let mut end = name.len().min(FIELD_SHOWN);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let shown = &name[..end];
        let mut told = self.shared.denied_reads.lock();
        if told.len() >= DENIED_READS || !told.insert((message as usize, shown.into())) {
            return;
        }
        tracing::warn!(
            plugin = &*self.shared.plugin.name,
            route = self.route_name().unwrap_or(""),
            "denied: it reads the {side} field {shown:?} and sees none; add {shown:?} to \
             `plugins.{}.grants.{side}_headers.read`",
            self.shared.plugin.name
        );
    }

    /// When the call in hand must be over: by the plugin's timeout, and by that of the route.
    pub(super) fn call_deadline(&self) -> Instant {
        self.within_route(self.deadline)
    }

    /// When a call must be over whose turn came at `started`.
    pub(in crate::plugin) fn deadline_from(&self, started: Instant) -> Instant {
        self.within_route(started + self.shared.plugin.timeout)
    }

    fn within_route(&self, deadline: Instant) -> Instant {
        let exchange = self.exchange.get();
        let of_route = exchange.and_then(|exchange| exchange.deadline());
        of_route.map_or(deadline, |of_route| of_route.min(deadline))
    }

    /// Reports what no grant can allow.
    pub(super) fn forbid(&self, kind: &'static str, what: fmt::Arguments<'_>) {
        self.shared.denied(self.route_name(), kind, what);
    }

    /// A name of a field that cannot be edited: one that is the gateway's own is forbidden.
    pub(super) fn forbid_field(&self, name: &[u8], why: HeaderError) -> HeaderError {
        if matches!(why, HeaderError::Denied) {
            let shown = self.shown(&String::from_utf8_lossy(name));
            let what = format_args!("it edits the field {shown}, which is the gateway's own");
            self.forbid("reserved_field", what);
        }
        why
    }

    /// A name that the guest asked for, between quotation marks.
    pub(super) fn shown(&self, name: &str) -> String {
        self.shared.words.quoted(name, NAME)
    }

    pub(super) fn route_name(&self) -> Option<&str> {
        let exchange = self.exchange.get();
        exchange
            .map(|exchange| &*exchange.route.name)
            .or(self.route.as_deref())
    }

    /// Writes what the guest wrote to its standard output and error to the log.
    pub(in crate::plugin) fn report_output(&self) {
        for output in &self.outputs {
            let (volume, words) = (&self.shared.volume, &self.shared.words);
            output.log(volume, self.route_name().unwrap_or(""), words);
        }
    }

    /// Writes down how many log lines of the call were not written.
    pub(in crate::plugin) fn report_suppressed(&self) {
        let suppressed = self.budget.log_suppressed();
        self.shared.volume.lose(suppressed.into());
        if suppressed > 0
            && let Some(_) = self.shared.volume.excess.pass()
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
    /// A call that is dropped in the middle ends without [`Guest::report_output`].
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
impl types::Host for Guest {}
