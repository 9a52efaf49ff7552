//! One instance of a component: its store, the filters configured in it, and a call into one of them.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime::Store;
use wasmtime::component::ResourceAny;

use super::failure::{Failure, FailureKind};
use super::host::bindings::exports::gateway::plugin::filter as wit;
use super::host::bindings::{Plugin, PluginPre};
use super::host::{Guest, Shared};
use super::limits::SETUP_FACTOR;
use super::meter::Meter;
use super::{Linked, Phases};

/// Calls after which an instance that has grown large is replaced.
const BLOATED_CALLS: u64 = 100;

/// An instance. It is spoiled from the beginning of a call until the call ends well; a spoiled one is thrown away.
pub(super) struct Instance {
    store: Store<Guest>,
    /// That of the budget in the store, which a call has to itself.
    meter: Arc<Meter>,
    component: Plugin,
    /// By index into [`Linked`]'s filters; configured on first use.
    filters: Vec<Option<ResourceAny>>,
    calls: u64,
    spoiled: bool,
}

/// A call of a phase.
pub(super) enum Call {
    Request,
    Response,
    RequestChunk(Bytes, bool),
    ResponseChunk(Bytes, bool),
    Complete,
}

/// What a phase returned. `Err` is the plugin's own.
pub(super) enum Returned {
    Flow(Result<wit::Flow, String>),
    Chunk(Result<Vec<u8>, String>),
    Done,
}

impl Instance {
    /// Instantiates a component under the plugin's limits.
    pub(super) async fn new(
        engine: &wasmtime::Engine,
        pre: &PluginPre<Guest>,
        shared: Arc<Shared>,
    ) -> Result<Self, Failure> {
        let plugin = &shared.plugin;
        let (timeout, cpu) = (plugin.timeout, setup_time(plugin.cpu));
        // What a guest hands over in one call: a body and its fields.
        let transfer = plugin.body_limit.saturating_mul(2).saturating_add(1 << 20);
        let mut store = Store::try_new(engine, Guest::new(shared))
            .map_err(|error| Failure::new(FailureKind::Instances, error.to_string()))?;
        store.set_hostcall_fuel(transfer);
        store.limiter(|guest| &mut guest.budget);
        store.epoch_deadline_callback(|mut store| store.data_mut().budget.tick());
        begin(&mut store, Phases::default(), cpu, timeout);
        let meter = store.data().budget.meter();
        let component = match within(timeout, &meter, pre.instantiate_async(&mut store)).await {
            Some(Ok(component)) => component,
            Some(Err(error)) => return Err(failed_start(&error, store.data())),
            None => return Err(timed_out(timeout)),
        };
        Ok(Self {
            store,
            meter,
            component,
            filters: Vec::new(),
            calls: 0,
            spoiled: false,
        })
    }

    pub(super) fn guest(&mut self) -> &mut Guest {
        self.store.data_mut()
    }

    /// Whether the instance may serve another exchange.
    pub(super) fn is_fit(&self, recycle_after: u64) -> bool {
        let bloated = self.calls >= BLOATED_CALLS && self.store.data().budget.bloated();
        !self.spoiled && !bloated && self.calls < recycle_after
    }

    /// Asks who the plugin is.
    pub(super) async fn describe(&mut self) -> Result<wit::Metadata, Failure> {
        let timeout = self.set_up();
        let filter = self.component.gateway_plugin_filter();
        let described = within(timeout, &self.meter, filter.call_describe(&mut self.store)).await;
        self.settle(described, timeout)
    }

    /// Configures a filter. The inner `Err` is what the plugin finds wrong with the configuration.
    pub(super) async fn configure(
        &mut self,
        index: usize,
        json: &str,
    ) -> Result<Result<ResourceAny, Vec<wit::ConfigError>>, Failure> {
        let timeout = self.set_up();
        let filter = self.component.gateway_plugin_filter();
        let configured = filter.configured();
        let answer = within(
            timeout,
            &self.meter,
            configured.call_configure(&mut self.store, json),
        )
        .await;
        let answer = self.settle(answer, timeout)?;
        if let Ok(resource) = &answer {
            if self.filters.len() <= index {
                self.filters.resize(index + 1, None);
            }
            self.filters[index] = Some(*resource);
        }
        Ok(answer)
    }

    /// Asks a configured filter for its phases.
    pub(super) async fn phases(&mut self, resource: ResourceAny) -> Result<Phases, Failure> {
        let timeout = self.set_up();
        let configured = self.component.gateway_plugin_filter().configured();
        let phases = within(
            timeout,
            &self.meter,
            configured.call_phases(&mut self.store, resource),
        )
        .await;
        self.settle(phases, timeout).map(Phases::from_wit)
    }

    /// Calls a phase. The exchange, if there is one, is in the store's data already.
    pub(super) async fn call(
        &mut self,
        linked: &Linked,
        index: usize,
        call: Call,
    ) -> Result<Returned, Failure> {
        let resource = match self.filters.get(index) {
            Some(Some(resource)) => *resource,
            _ => self.configure_late(linked, index).await?,
        };
        let plugin = &linked.config;
        let timeout = plugin.timeout;
        self.spoiled = true;
        self.calls += 1;
        begin(&mut self.store, linked.phases(index), plugin.cpu, timeout);
        let returned = within(
            timeout,
            &self.meter,
            invoke(&self.component, &mut self.store, resource, call),
        )
        .await;
        self.settle(returned, timeout)
    }

    /// A configuration that the loader has tried fails here only if the plugin is not deterministic.
    async fn configure_late(
        &mut self,
        linked: &Linked,
        index: usize,
    ) -> Result<ResourceAny, Failure> {
        let exchange = self.guest().exchange.take();
        let configured = self.configure(index, linked.filter_json(index)).await;
        self.guest().exchange = exchange;
        let faults = match configured? {
            Ok(resource) => return Ok(resource),
            Err(faults) => faults,
        };
        let words = faults
            .first()
            .map_or("no fault named", |fault| fault.message.as_str());
        Err(Failure::new(
            FailureKind::Configure,
            format!("a configuration it took when it was loaded: {words}"),
        ))
    }

    fn set_up(&mut self) -> Duration {
        self.spoiled = true;
        let plugin = &self.store.data().shared.plugin;
        let (timeout, cpu) = (plugin.timeout, setup_time(plugin.cpu));
        begin(&mut self.store, Phases::default(), cpu, timeout);
        timeout
    }

    /// Turns the end of a call into its result, and clears the mark if it ended well.
    fn settle<R>(
        &mut self,
        ended: Option<wasmtime::Result<R>>,
        timeout: Duration,
    ) -> Result<R, Failure> {
        let guest = self.store.data_mut();
        guest.report_output();
        guest.report_suppressed();
        match ended {
            Some(Ok(returned)) => {
                self.spoiled = false;
                Ok(returned)
            }
            Some(Err(error)) => {
                let failure = Failure::from_trap(&error, guest.budget.memory_refused());
                Err(failure.with_last_words(guest.last_words.take()))
            }
            None => Err(timed_out(timeout).with_last_words(guest.last_words.take())),
        }
    }
}

/// Refills the budget for a call that begins now.
fn begin(store: &mut Store<Guest>, phases: Phases, cpu: Duration, timeout: Duration) {
    let guest = store.data_mut();
    guest.budget.refill(cpu);
    guest.phases = phases;
    guest.deadline = Instant::now() + timeout;
    guest.last_words = None;
    store.set_epoch_deadline(1);
}

async fn invoke(
    component: &Plugin,
    store: &mut Store<Guest>,
    resource: ResourceAny,
    call: Call,
) -> wasmtime::Result<Returned> {
    let configured = component.gateway_plugin_filter().configured();
    Ok(match call {
        Call::Request => Returned::Flow(configured.call_on_request(store, resource).await?),
        Call::Response => Returned::Flow(configured.call_on_response(store, resource).await?),
        Call::RequestChunk(chunk, last) => Returned::Chunk(
            configured
                .call_on_request_chunk(store, resource, &chunk, last)
                .await?,
        ),
        Call::ResponseChunk(chunk, last) => Returned::Chunk(
            configured
                .call_on_response_chunk(store, resource, &chunk, last)
                .await?,
        ),
        Call::Complete => {
            configured.call_on_complete(store, resource).await?;
            Returned::Done
        }
    })
}

/// Waits so long for a call, without a timer for one that is done at its first poll; most are.
async fn within<F: Future>(limit: Duration, meter: &Meter, call: F) -> Option<F::Output> {
    let mut call = pin!(call);
    let mut metered = poll_fn(|context| {
        meter.resume();
        let polled = call.as_mut().poll(context);
        if polled.is_pending() {
            meter.pause();
        }
        polled
    });
    let first = poll_fn(|context| Poll::Ready(Pin::new(&mut metered).poll(context))).await;
    match first {
        Poll::Ready(done) => Some(done),
        Poll::Pending => tokio::time::timeout(limit, metered).await.ok(),
    }
}

fn setup_time(cpu: Duration) -> Duration {
    cpu.saturating_mul(SETUP_FACTOR)
}

fn failed_start(error: &wasmtime::Error, guest: &Guest) -> Failure {
    if error
        .downcast_ref::<wasmtime::PoolConcurrencyLimitError>()
        .is_some()
    {
        return Failure::new(
            FailureKind::Instances,
            "the process has no room for another instance",
        );
    }
    let mut failure = Failure::from_trap(error, guest.budget.memory_refused());
    if guest.budget.memory_refused() {
        failure.kind = FailureKind::Memory;
    }
    failure
}

fn timed_out(timeout: Duration) -> Failure {
    let text = format!(
        "not done within the {} that `timeout` allows",
        humantime::format_duration(timeout)
    );
    Failure::new(FailureKind::Timeout, text)
}
