//! One instance of a component: its store, the filters configured in it, and a call into one of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{ComponentNamedList, Lift, Lower, ResourceAny, TypedFunc};
use wasmtime::{Store, UpdateDeadline};

use super::admission::Entered;
use super::exports::Exports;
use super::failure::{Failure, FailureKind};
use super::functions::{Call, Functions, Returned, bounded, refused};
use super::host::bindings::exports::gateway::plugin::filter as wit;
use super::host::{Guest, Resolved, Shared};
use super::limits::{LARGE, SETUP_FACTOR};
use super::linked::Linked;
use super::meter::Meter;
use super::room::Lease;
use super::shares::Share;
use super::turns;
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
    /// Where slow calls take their turns; none on the thread that loads.
    share: Option<Arc<Share>>,
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
        share: Option<Arc<Share>>,
    ) -> Result<Self, Failure> {
        let plugin = &shared.plugin;
        let (timeout, cpu) = (plugin.timeout, setup_time(plugin.cpu));
        let transfer = transfer(plugin.body_limit);
        let mut store = Store::try_new(engine, Guest::new(shared, lease))
            .map_err(|error| Failure::new(FailureKind::Instances, error.to_string()))?;
        store.set_hostcall_fuel(transfer);
        store.limiter(|guest| &mut guest.budget);
        store.epoch_deadline_callback(|mut store| tick(store.data_mut()));
        let started = begin_set_up(&mut store, cpu, timeout);
        let meter = store.data().budget.meter();
        let begun = {
            let begun = resolved.pre.instantiate_async(&mut store);
            turns::run(begun, &meter, share.as_deref(), (started, timeout), None).await
        };
        let component = begun?.map_err(|error| failed_start(&error, store.data()))?;
        Ok(Self {
            store,
            meter,
            functions: Functions::new(component, exports.clone()),
            waits: resolved.waits,
            share,
            filters: Vec::new(),
            calls: 0,
            spoiled: false,
        })
    }

    /// From now on its slow calls take their turns.
    pub(super) fn share(&mut self, share: &Arc<Share>) {
        self.share = Some(share.clone());
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
        let allowed = self.set_up();
        self.functions
            .check(&mut self.store)
            .map_err(|error| Failure::from_trap(&error, None))?;
        let index = self.functions.exports.describe;
        let called = self.set_up_by(index, (), allowed).await;
        self.settle(called).map(|(metadata,)| metadata)
    }

    /// Configures a filter. The inner `Err` is what the plugin finds wrong with the configuration.
    pub(super) async fn configure(
        &mut self,
        index: FilterId,
        json: &str,
    ) -> Result<Result<ResourceAny, Vec<wit::ConfigError>>, Failure> {
        let allowed = self.set_up();
        let configure = self.functions.exports.configure;
        let called = self.set_up_by(configure, (json,), allowed).await;
        let (answer,): (Result<ResourceAny, _>,) = self.settle(called)?;
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
        let allowed = self.set_up();
        let index = self.functions.exports.wants;
        let called = self.set_up_by(index, (resource,), allowed).await;
        self.settle(called).map(|(wants,)| wants)
    }

    /// Calls a phase, once there is room for what it holds. The exchange, if there is one, is in the store's data
    /// already. It `started` when its plugin's turn came.
    pub(super) async fn call(
        &mut self,
        linked: &Linked,
        index: FilterId,
        call: Call,
        started: Instant,
        Entered { held, admitted }: Entered,
    ) -> Result<Returned, Failure> {
        let resource = match self.filters.get(index.0) {
            Some(Some(resource)) => *resource,
            _ => self.configure_late(linked, index).await?,
        };
        let guest = self.guest();
        let deadline = guest.deadline_from(started);
        guest.budget.room_by(held, deadline).await?;
        let on_fibre = self.waits || held >= LARGE || linked.patience.wants_fibre();
        self.begin(linked, index, on_fibre, started, held);
        let returned = if on_fibre {
            let called = self.functions.call_async(&mut self.store, resource, call);
            let allowed = (started, linked.config.timeout);
            let share = self.share.as_deref();
            turns::run(called, &self.meter, share, allowed, admitted).await
        } else {
            let returned = self.functions.call(&mut self.store, resource, &call);
            if let (Some(used), Some(share)) = (self.slow(), &self.share) {
                share.charge(used, false);
            }
            Ok(returned)
        };
        self.end(linked, returned)
    }

    /// Whether [`Self::call_now`] can call this filter.
    pub(super) fn is_ready(&self, index: FilterId) -> bool {
        !self.waits && matches!(self.filters.get(index.0), Some(Some(_)))
    }

    /// As [`Self::call`], for a call of a filter that is ready, and for which so little is held that it needs no room of its
    /// own and no fibre: nothing is waited for.
    pub(super) fn call_now(
        &mut self,
        linked: &Linked,
        index: FilterId,
        call: &Call,
        started: Instant,
        held: usize,
    ) -> Result<Returned, Failure> {
        let Some(Some(resource)) = self.filters.get(index.0).copied() else {
            let text = "a filter was called before it was configured";
            return Err(Failure::new(FailureKind::Configure, text));
        };
        self.begin(linked, index, false, started, held);
        let returned = self.functions.call(&mut self.store, resource, call);
        self.end(linked, Ok(returned))
    }

    /// What the last call has used, if it was slow.
    pub(super) fn slow(&self) -> Option<Duration> {
        self.meter.is_slow().then(|| self.meter.used())
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
        returned: Result<wasmtime::Result<Returned>, Failure>,
    ) -> Result<Returned, Failure> {
        let used = self.meter.used();
        linked.patience.learn(used);
        let returned = self.settle(returned);
        if let Some(share) = &self.share {
            let is_cut_off = returned.as_ref().is_err_and(|failure| match failure.kind {
                FailureKind::Cpu => true,
                // And has computed for most of it, not waited.
                FailureKind::Timeout => used * 2 >= linked.config.timeout,
                _ => false,
            });
            share.ended(!is_cut_off);
        }
        let returned = returned.and_then(refused).and_then(|returned| {
            let limit = self.guest().budget.largest_body(linked.config.body_limit);
            bounded(returned, limit)
        });
        returned.map_err(|failure| self.guest().judged(failure))
    }

    /// A call that parses and builds: always on a fibre, since it may take long.
    async fn set_up_by<P, R>(
        &mut self,
        index: wasmtime::component::ComponentExportIndex,
        arguments: P,
        allowed: (Instant, Duration),
    ) -> Result<wasmtime::Result<R>, Failure>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let function: TypedFunc<P, R> = match self.functions.typed(&mut self.store, index) {
            Ok(function) => function,
            Err(error) => return Ok(Err(error)),
        };
        let called = function.call_async(&mut self.store, arguments);
        turns::run(called, &self.meter, self.share.as_deref(), allowed, None).await
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
        linked.patience.learn(self.meter.used());
        let faults = match configured? {
            Ok(resource) => return Ok(resource),
            Err(faults) => faults,
        };
        let words = faults.into_iter().next().map(|fault| fault.message);
        let text = "refused a configuration that it took when it was loaded";
        Err(Failure::new(FailureKind::Configure, text).with_last_words(words))
    }

    /// Since when and for how long it may take.
    fn set_up(&mut self) -> (Instant, Duration) {
        self.spoiled = true;
        let plugin = &self.store.data().shared.plugin;
        let (timeout, cpu) = (plugin.timeout, setup_time(plugin.cpu));
        (begin_set_up(&mut self.store, cpu, timeout), timeout)
    }

    /// Turns the end of a call into its result, and clears the mark if it ended well.
    fn settle<R>(&mut self, ended: Result<wasmtime::Result<R>, Failure>) -> Result<R, Failure> {
        let guest = self.store.data_mut();
        guest.report_output();
        guest.report_suppressed();
        guest.give_up();
        guest.budget.settle();
        match ended {
            Ok(Ok(returned)) => {
                self.spoiled = false;
                Ok(returned)
            }
            Ok(Err(error)) => {
                let failure = Failure::from_trap(&error, guest.budget.refusal());
                Err(failure.with_last_words(guest.last_words.take()))
            }
            Err(failure) => Err(failure.with_last_words(guest.last_words.take())),
        }
    }
}

/// Refills the budget for a call that parses and builds.
fn begin_set_up(store: &mut Store<Guest>, cpu: Duration, timeout: Duration) -> Instant {
    let started = Instant::now();
    let guest = store.data_mut();
    guest.on_fibre = true;
    guest.begin(Phases::default(), cpu, started + timeout, 0);
    store.set_epoch_deadline(1);
    started
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
