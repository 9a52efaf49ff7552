//! One instance of a component: its store, the filters configured in it, and a call into one of them.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use wasmtime::component::{ComponentNamedList, Lift, Lower, ResourceAny, TypedFunc};
use wasmtime::{Store, UpdateDeadline};

use super::exports::Exports;
use super::failure::{Failure, FailureKind};
use super::functions::{Call, Functions, Returned, refused};
use super::host::bindings::exports::gateway::plugin::filter as wit;
use super::host::{Guest, Resolved, Shared};
use super::limits::{LARGE, SETUP_FACTOR};
use super::linked::Linked;
use super::meter::Meter;
use super::room::Lease;
use crate::exchange::FilterId;
use crate::message::phase::Phases;

/// How many of the largest answers to sub-requests a plugin may put together into one.
const ANSWERS: usize = 8;
/// Calls after which an instance that has grown large is replaced.
const BLOATED_CALLS: u64 = 100;

/// An instance. It is spoiled from the beginning of a call until the call ends well; a spoiled one is thrown away.
pub(super) struct Instance {
    store: Store<Guest>,
    /// That of the budget in the store, which a call has to itself.
    meter: Arc<Meter>,
    functions: Functions,
    /// Whether every call needs a fibre.
    waits: bool,
    /// By index into [`Linked`]'s filters; configured on first use.
    filters: Vec<Option<ResourceAny>>,
    calls: u64,
    spoiled: bool,
}

impl Instance {
    /// Instantiates a component under the plugin's limits; `lease` is its room.
    pub(super) async fn new(
        engine: &wasmtime::Engine,
        resolved: &Resolved,
        exports: &Arc<Exports>,
        shared: Arc<Shared>,
        lease: Lease,
    ) -> Result<Self, Failure> {
        let plugin = &shared.plugin;
        let (timeout, cpu) = (plugin.timeout, setup_time(plugin.cpu));
        let transfer = transfer(plugin.body_limit);
        let mut store = Store::try_new(engine, Guest::new(shared, lease))
            .map_err(|error| Failure::new(FailureKind::Instances, error.to_string()))?;
        store.set_hostcall_fuel(transfer);
        store.limiter(|guest| &mut guest.budget);
        store.epoch_deadline_callback(|mut store| tick(store.data_mut()));
        begin_set_up(&mut store, cpu, timeout);
        let meter = store.data().budget.meter();
        let started = {
            let started = pin!(resolved.pre.instantiate_async(&mut store));
            within(timeout, &meter, started).await
        };
        let component = match started {
            Some(Ok(component)) => component,
            Some(Err(error)) => return Err(failed_start(&error, store.data())),
            None => return Err(timed_out(timeout)),
        };
        Ok(Self {
            store,
            meter,
            functions: Functions::new(component, exports.clone()),
            waits: resolved.waits,
            filters: Vec::new(),
            calls: 0,
            spoiled: false,
        })
    }

    pub(super) fn guest(&mut self) -> &mut Guest {
        self.store.data_mut()
    }

    /// Whether its last call ended well.
    pub(super) fn is_sound(&self) -> bool {
        !self.spoiled
    }

    /// Whether the instance may serve another exchange.
    pub(super) fn is_fit(&self, recycle_after: u64) -> bool {
        let budget = &self.store.data().budget;
        let bloated = self.calls >= BLOATED_CALLS && budget.bloated();
        self.is_sound() && !bloated && !budget.has_grown() && self.calls < recycle_after
    }

    /// Asks who the plugin is, and compares the types of its functions with the contract's.
    pub(super) async fn describe(&mut self) -> Result<wit::Metadata, Failure> {
        let timeout = self.set_up();
        self.functions
            .check(&mut self.store)
            .map_err(|error| Failure::from_trap(&error, None))?;
        let index = self.functions.exports.describe;
        let called = self.set_up_by(index, (), timeout).await;
        self.settle(called, timeout).map(|(metadata,)| metadata)
    }

    /// Configures a filter. The inner `Err` is what the plugin finds wrong with the configuration.
    pub(super) async fn configure(
        &mut self,
        index: FilterId,
        json: &str,
    ) -> Result<Result<ResourceAny, Vec<wit::ConfigError>>, Failure> {
        let timeout = self.set_up();
        let configure = self.functions.exports.configure;
        let called = self.set_up_by(configure, (json,), timeout).await;
        let (answer,): (Result<ResourceAny, _>,) = self.settle(called, timeout)?;
        if let Ok(resource) = &answer {
            if self.filters.len() <= index.0 {
                self.filters.resize(index.0 + 1, None);
            }
            self.filters[index.0] = Some(*resource);
        }
        Ok(answer)
    }

    /// Asks a configured filter what it wants and needs.
    pub(super) async fn wants(&mut self, resource: ResourceAny) -> Result<wit::Wants, Failure> {
        let timeout = self.set_up();
        let index = self.functions.exports.wants;
        let called = self.set_up_by(index, (resource,), timeout).await;
        self.settle(called, timeout).map(|(wants,)| wants)
    }

    /// Calls a phase, once there is room for what it holds. The exchange, if there is one, is in the store's data
    /// already. It `started` when its plugin's turn came.
    pub(super) async fn call(
        &mut self,
        linked: &Linked,
        index: FilterId,
        call: Call,
        started: Instant,
    ) -> Result<Returned, Failure> {
        let resource = match self.filters.get(index.0) {
            Some(Some(resource)) => *resource,
            _ => self.configure_late(linked, index).await?,
        };
        let held = self.holds(linked, index, &call);
        let guest = self.guest();
        let deadline = guest.deadline_from(started);
        guest.budget.room_by(held, deadline).await?;
        let on_fibre = self.waits || held >= LARGE || linked.patience.wants_fibre();
        self.begin(linked, index, on_fibre, started, held);
        let returned = if on_fibre {
            let meter = self.meter.clone();
            let timeout = linked.config.timeout.saturating_sub(started.elapsed());
            let called = pin!(self.functions.call_async(&mut self.store, resource, call));
            within(timeout, &meter, called).await
        } else {
            Some(self.functions.call(&mut self.store, resource, &call))
        };
        self.end(linked, returned)
    }

    /// Whether [`Self::call_now`] can call this filter.
    pub(super) fn is_ready(&self, index: FilterId) -> bool {
        !self.waits && matches!(self.filters.get(index.0), Some(Some(_)))
    }

    /// Bytes that are held for a call: the bodies that it sees, and its chunk.
    fn holds(&mut self, linked: &Linked, index: FilterId, call: &Call) -> usize {
        let phases = linked.phases(index);
        let seen = self.guest().bodies(phases);
        match call {
            Call::Chunk(_, chunk) => seen.saturating_add(chunk.len()),
            _ => seen,
        }
    }

    /// Whether a call holds so little that it needs no room of its own and no fibre.
    pub(super) fn is_light(&mut self, linked: &Linked, index: FilterId, call: &Call) -> bool {
        self.holds(linked, index, call) < LARGE
    }

    /// As [`Self::call`], for a light call of a filter that is ready: nothing is waited for.
    pub(super) fn call_now(
        &mut self,
        linked: &Linked,
        index: FilterId,
        call: &Call,
        started: Instant,
    ) -> Result<Returned, Failure> {
        let Some(Some(resource)) = self.filters.get(index.0).copied() else {
            let text = "a filter was called before it was configured";
            return Err(Failure::new(FailureKind::Configure, text));
        };
        let held = self.holds(linked, index, call);
        self.begin(linked, index, false, started, held);
        let returned = self.functions.call(&mut self.store, resource, call);
        self.end(linked, Some(returned))
    }

    fn begin(
        &mut self,
        linked: &Linked,
        index: FilterId,
        on_fibre: bool,
        started: Instant,
        held: usize,
    ) {
        self.spoiled = true;
        self.calls += 1;
        let guest = self.store.data_mut();
        guest.on_fibre = on_fibre;
        guest.begin(
            linked.phases(index),
            linked.config.cpu,
            started + linked.config.timeout,
            held,
        );
        let limit = guest.budget.largest_body(linked.config.body_limit);
        // What is put together of answers is as large as all of them.
        let limit = if self.waits {
            limit.saturating_mul(ANSWERS)
        } else {
            limit
        };
        self.store.set_hostcall_fuel(transfer(limit));
        self.store.set_epoch_deadline(1);
    }

    fn end(
        &mut self,
        linked: &Linked,
        returned: Option<wasmtime::Result<Returned>>,
    ) -> Result<Returned, Failure> {
        linked.patience.learn(self.meter.used());
        let returned = self.settle(returned, linked.config.timeout);
        let returned = returned.and_then(refused);
        returned.map_err(|failure| self.guest().judged(failure))
    }

    /// A call that parses and builds: always on a fibre, since it may take long.
    async fn set_up_by<P, R>(
        &mut self,
        index: wasmtime::component::ComponentExportIndex,
        arguments: P,
        timeout: Duration,
    ) -> Option<wasmtime::Result<R>>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let function: TypedFunc<P, R> = match self.functions.typed(&mut self.store, index) {
            Ok(function) => function,
            Err(error) => return Some(Err(error)),
        };
        let called = pin!(function.call_async(&mut self.store, arguments));
        within(timeout, &self.meter, called).await
    }

    /// A configuration that the loader has tried fails here only if the plugin is not deterministic.
    async fn configure_late(
        &mut self,
        linked: &Linked,
        index: FilterId,
    ) -> Result<ResourceAny, Failure> {
        let exchange = self.guest().exchange.lend();
        let configured = self.configure(index, linked.filter_json(index)).await;
        self.guest().exchange.restore(exchange);
        let faults = match configured? {
            Ok(resource) => return Ok(resource),
            Err(faults) => faults,
        };
        let words = faults.into_iter().next().map(|fault| fault.message);
        let text = "refused a configuration that it took when it was loaded";
        Err(Failure::new(FailureKind::Configure, text).with_last_words(words))
    }

    fn set_up(&mut self) -> Duration {
        self.spoiled = true;
        let plugin = &self.store.data().shared.plugin;
        let (timeout, cpu) = (plugin.timeout, setup_time(plugin.cpu));
        begin_set_up(&mut self.store, cpu, timeout);
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
        guest.give_up();
        guest.budget.settle();
        match ended {
            Some(Ok(returned)) => {
                self.spoiled = false;
                Ok(returned)
            }
            Some(Err(error)) => {
                let failure = Failure::from_trap(&error, guest.budget.refusal());
                Err(failure.with_last_words(guest.last_words.take()))
            }
            None => Err(timed_out(timeout).with_last_words(guest.last_words.take())),
        }
    }
}

/// Refills the budget for a call that parses and builds.
fn begin_set_up(store: &mut Store<Guest>, cpu: Duration, timeout: Duration) {
    let guest = store.data_mut();
    guest.on_fibre = true;
    guest.begin(Phases::default(), cpu, Instant::now() + timeout, 0);
    store.set_epoch_deadline(1);
}

/// One tick of the epoch passed in the guest. On a fibre, the worker's other tasks get their turn.
fn tick(guest: &mut Guest) -> wasmtime::Result<UpdateDeadline> {
    let update = guest.budget.tick()?;
    Ok(if guest.on_fibre {
        update
    } else {
        UpdateDeadline::Continue(1)
    })
}

/// Waits so long for a call, without a timer for one that is done at its first poll; most are.
async fn within<F: Future>(
    limit: Duration,
    meter: &Meter,
    mut call: Pin<&mut F>,
) -> Option<F::Output> {
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
    let refusal = guest.budget.refusal();
    refusal.unwrap_or_else(|| Failure::from_trap(error, None))
}

/// What a guest may hand over in one call of the host, or return: a body of this size and its fields.
fn transfer(body: usize) -> usize {
    body.saturating_mul(2).saturating_add(1 << 20)
}

fn timed_out(timeout: Duration) -> Failure {
    let text = format!(
        "not done within the {} that `timeout` allows",
        humantime::format_duration(timeout)
    );
    Failure::new(FailureKind::Timeout, text)
}
