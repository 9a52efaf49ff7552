//! A worker's instances of one plugin. A call takes an idle one, or makes one; what did not end well is not put
//! back. Another worker comes near only when the plugin has as many instances as it may and needs an idle one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;
use tracing::Instrument;

use super::failure::{Failure, FailureKind};
use super::held::Held;
use super::instance::{Call, Instance, Returned};
use super::{Flow, Linked};
use crate::clock;
use crate::message::phase::Phase;
use crate::proxy::exchange::Exchange;
use crate::telemetry::span;

/// Idle instances a worker keeps of one plugin.
const IDLE: usize = 64;
/// Configurations that a warm instance has taken beforehand; others are taken at their first call.
const WARM_FILTERS: usize = 32;

/// An exchange that comes back from a phase, and what the phase came to.
type Concluded = (Box<Exchange>, Result<Flow, Failure>);

/// Instances of one plugin on one worker.
pub struct Pool {
    linked: Arc<Linked>,
    idle: Mutex<Vec<Leased>>,
}

/// An instance with its place among those the plugin may have.
pub(super) struct Leased {
    pub(super) instance: Box<Instance>,
    _permit: Permit,
}

struct Permit(Arc<Linked>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.living.fetch_sub(1, Ordering::Relaxed);
        self.0.shared.metrics.instances_add(-1);
    }
}

impl Pool {
    /// A pool without instances yet.
    pub fn new(linked: Arc<Linked>) -> Arc<Self> {
        let pool = Arc::new(Self {
            linked,
            idle: Mutex::default(),
        });
        let mut pools = pool.linked.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(&pool));
        drop(pools);
        pool
    }

    /// The plugin.
    pub fn linked(&self) -> &Arc<Linked> {
        &self.linked
    }

    /// Idle instances right now.
    pub fn idle(&self) -> usize {
        self.idle.lock().len()
    }

    /// Makes idle instances until there are `count`, so that the first requests need not.
    pub async fn warm(&self, count: usize) {
        if self.linked.config.instances.fresh {
            return;
        }
        while self.idle() < count.min(IDLE) {
            let Ok(mut leased) = self.make().await else {
                return;
            };
            for filter in 0..self.linked.filters().min(WARM_FILTERS) {
                let json = self.linked.filter_json(filter);
                if !matches!(leased.instance.configure(filter, json).await, Ok(Ok(_))) {
                    return;
                }
            }
            self.give_back(leased);
        }
    }

    /// Calls `on-request` of a filter. `link` is the place in the chain and the index of the configuration.
    pub async fn on_request(
        self: &Arc<Self>,
        link: (usize, usize),
        exchange: Box<Exchange>,
    ) -> (Box<Exchange>, Result<Flow, Failure>) {
        match self.phase_now(link, exchange, Phase::Request, &Call::Request) {
            Ok(done) => done,
            Err(exchange) => {
                Box::pin(self.phase(link, exchange, Phase::Request, Call::Request)).await
            }
        }
    }

    /// Calls `on-response` of a filter.
    pub async fn on_response(
        self: &Arc<Self>,
        link: (usize, usize),
        exchange: Box<Exchange>,
    ) -> (Box<Exchange>, Result<Flow, Failure>) {
        match self.phase_now(link, exchange, Phase::Response, &Call::Response) {
            Ok(done) => done,
            Err(exchange) => {
                Box::pin(self.phase(link, exchange, Phase::Response, Call::Response)).await
            }
        }
    }

    /// Calls `on-complete` of a filter, and lets go of the instance that was held for the exchange. A failure is
    /// logged and counted; there is nobody left to tell.
    pub async fn on_complete(
        self: &Arc<Self>,
        link: (usize, usize),
        exchange: Box<Exchange>,
    ) -> Box<Exchange> {
        let (mut exchange, _) = self
            .phase(link, exchange, Phase::Complete, Call::Complete)
            .await;
        if let Some(held) = exchange.held.get_mut(link.0) {
            *held = None;
        }
        exchange
    }

    /// The instance that stays with an exchange, for the chunks of its bodies. It is made at its first call.
    pub fn hold(self: &Arc<Self>, link: (usize, usize), exchange: &mut Exchange) -> Held {
        let (place, filter) = link;
        if exchange.held.len() <= place {
            exchange.held.resize_with(place + 1, || None);
        }
        let (route, span) = (&exchange.route.name, &exchange.span);
        exchange.held[place]
            .get_or_insert_with(|| Held::new(self.clone(), filter, route.clone(), span.clone()))
            .clone()
    }

    /// Calls a phase where nothing needs to be waited for: on an idle instance, without a fibre. Most calls end
    /// here, so nothing of the general case is carried along; the exchange comes back untouched if it is one.
    fn phase_now(
        &self,
        (place, filter): (usize, usize),
        mut exchange: Box<Exchange>,
        phase: Phase,
        call: &Call,
    ) -> Result<Concluded, Box<Exchange>> {
        if self.holds((place, filter), &exchange) || self.linked.patience.wants_fibre() {
            return Err(exchange);
        }
        let Some(mut leased) = self.idle.lock().pop() else {
            return Err(exchange);
        };
        if !leased.instance.is_ready(filter) {
            self.give_back(leased);
            return Err(exchange);
        }
        // The end of the phase before, or what the chain read when it began.
        let started = clock::recent();
        exchange.phase = phase;
        let _span = self.span(&exchange, phase).entered();
        let guest = leased.instance.guest();
        guest.exchange = Some(exchange);
        let returned = leased
            .instance
            .call_now(&self.linked, filter, call, started);
        let exchange = leased.take_back();
        self.give_back(leased);
        let flow = self.conclude(&exchange, phase, started, returned);
        Ok((exchange, flow))
    }

    async fn phase(
        self: &Arc<Self>,
        link: (usize, usize),
        mut exchange: Box<Exchange>,
        phase: Phase,
        call: Call,
    ) -> (Box<Exchange>, Result<Flow, Failure>) {
        let started = clock::now();
        exchange.phase = phase;
        let span = self.span(&exchange, phase);
        let (exchange, returned) = if self.holds(link, &exchange) {
            let held = self.hold(link, &mut exchange);
            held.call_with(exchange, call).instrument(span).await
        } else {
            match self.take().await {
                Ok(mut leased) => {
                    let called = leased.call_with(&self.linked, link.1, exchange, call);
                    let done = called.instrument(span).await;
                    self.give_back(leased);
                    done
                }
                Err(failure) => (exchange, Err(failure)),
            }
        };
        let flow = self.conclude(&exchange, phase, started, returned);
        (exchange, flow)
    }

    /// Measures a phase that is over, and logs it if it failed.
    fn conclude(
        &self,
        exchange: &Exchange,
        phase: Phase,
        started: Instant,
        returned: Result<Returned, Failure>,
    ) -> Result<Flow, Failure> {
        let flow = returned.and_then(refused).and_then(flow);
        let took = clock::now().saturating_duration_since(started);
        self.linked.shared.metrics.phase(phase, took);
        if let Err(failure) = &flow {
            self.linked
                .report(&exchange.route.name, phase.name(), failure);
        }
        flow
    }

    fn span(&self, exchange: &Exchange, phase: Phase) -> tracing::Span {
        span::phase(&exchange.span, &self.linked.name, phase.name())
    }

    /// Whether all phases of an exchange go to one instance: if it streams, or every exchange has its own.
    fn holds(&self, link: (usize, usize), exchange: &Exchange) -> bool {
        let held = exchange.held.get(link.0).is_some_and(Option::is_some);
        held || self.linked.phases(link.1).streams() || self.linked.config.instances.fresh
    }

    /// An idle instance, or a new one.
    pub(super) async fn take(&self) -> Result<Leased, Failure> {
        let idle = self.idle.lock().pop();
        match idle {
            Some(leased) => Ok(leased),
            None => self.make().await,
        }
    }

    /// Keeps an instance for the next call if it is fit for one.
    pub(super) fn give_back(&self, mut leased: Leased) {
        let instances = &self.linked.config.instances;
        if instances.fresh || !leased.instance.is_fit(instances.recycle_after) {
            return;
        }
        leased.instance.guest().route = None;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE {
            idle.push(leased);
        }
    }

    async fn make(&self) -> Result<Leased, Failure> {
        let permit = self.permit()?;
        let linked = &*self.linked;
        let instance = Instance::new(
            linked.engine.wasmtime(),
            &linked.resolved,
            &linked.exports,
            linked.shared.clone(),
        )
        .await?;
        Ok(Leased {
            instance: Box::new(instance),
            _permit: permit,
        })
    }

    /// A place for one more instance; an idle one of any worker makes way if there is none.
    fn permit(&self) -> Result<Permit, Failure> {
        let max = self.linked.config.instances.max;
        loop {
            let taken =
                self.linked
                    .living
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |living| {
                        (living < max).then_some(living + 1)
                    });
            if taken.is_ok() {
                self.linked.shared.metrics.instances_add(1);
                return Ok(Permit(self.linked.clone()));
            }
            if !self.evict() {
                let text = format!("all {max} instances that `instances.max` allows are in use");
                return Err(Failure::new(FailureKind::Instances, text));
            }
        }
    }

    /// Drops one idle instance of some worker.
    fn evict(&self) -> bool {
        let pools = self.linked.pools.lock();
        let idle = pools
            .iter()
            .filter_map(std::sync::Weak::upgrade)
            .find_map(|pool| pool.idle.lock().pop());
        drop(pools);
        idle.is_some()
    }
}

impl Leased {
    /// Lends the exchange to the instance for one call.
    pub(super) async fn call_with(
        &mut self,
        linked: &Linked,
        filter: usize,
        exchange: Box<Exchange>,
        call: Call,
    ) -> (Box<Exchange>, Result<Returned, Failure>) {
        self.instance.guest().exchange = Some(exchange);
        let returned = self.instance.call(linked, filter, call).await;
        (self.take_back(), returned)
    }

    fn take_back(&mut self) -> Box<Exchange> {
        let exchange = self.instance.guest().exchange.take();
        exchange.expect("the exchange stays in the store while a call runs")
    }
}

/// The plugin's own error is a failure like any other, but its instance lives on.
pub(super) fn refused(returned: Returned) -> Result<Returned, Failure> {
    match returned {
        Returned::Flow(Err(message)) | Returned::Chunk(Err(message)) => {
            Err(Failure::new(FailureKind::Refused, message))
        }
        returned => Ok(returned),
    }
}

fn flow(returned: Returned) -> Result<Flow, Failure> {
    match returned {
        Returned::Flow(Ok(flow)) => Flow::from_wit(flow),
        _ => Ok(Flow::Next),
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("plugin", &self.linked.name)
            .field("idle", &self.idle())
            .finish()
    }
}
