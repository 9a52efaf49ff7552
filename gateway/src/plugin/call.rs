//! The phases of a plugin, called for an exchange that is lent to an instance and comes back.

use std::sync::Arc;
use std::time::Instant;

use tracing::Instrument;

use super::admission::Entered;
use super::failure::Failure;
use super::flow::Flow;
use super::functions::{Call, Returned, refused};
use super::held::HeldInstances;
use super::limits::LARGE;
use super::loan::Loan;
use super::pool::{Leased, Pool};
use crate::clock;
use crate::exchange::{Exchange, FilterId, Link, Parts};
use crate::message::phase::Phase;
use crate::telemetry::span;

impl Pool {
    /// Calls `on-request` of a link of the chain.
    ///
    /// # Errors
    /// If the call fails, which is logged and counted already.
    pub async fn on_request(
        self: &Arc<Self>,
        link: Link,
        held: &mut HeldInstances,
        exchange: &mut Exchange,
    ) -> Result<Flow, Failure> {
        match self.call_now(link, held, exchange, Phase::Request, &Call::Request) {
            Some(done) => done,
            None => Box::pin(self.call(link, held, exchange, Phase::Request, Call::Request)).await,
        }
    }

    /// Calls `on-response` of a link of the chain.
    ///
    /// # Errors
    /// If the call fails, which is logged and counted already.
    pub async fn on_response(
        self: &Arc<Self>,
        link: Link,
        held: &mut HeldInstances,
        exchange: &mut Exchange,
    ) -> Result<Flow, Failure> {
        match self.call_now(link, held, exchange, Phase::Response, &Call::Response) {
            Some(done) => done,
            None => {
                Box::pin(self.call(link, held, exchange, Phase::Response, Call::Response)).await
            }
        }
    }

    /// Calls `on-complete` of a link of the chain, and lets go of the instance that was held for the exchange. A
    /// failure is logged and counted; the client has its answer.
    pub async fn on_complete(
        self: &Arc<Self>,
        link: Link,
        held: &mut HeldInstances,
        exchange: &mut Exchange,
    ) {
        match self.share().complete(self.latest(clock::now())).await {
            Ok(_place) => {
                let called = self.call(link, held, exchange, Phase::Complete, Call::Complete);
                let _reported = called.await;
            }
            Err(failure) => {
                let (route, phase) = (&exchange.route.name, Phase::Complete.name());
                self.linked().report(route, phase, &failure);
            }
        }
        held.release(link.place);
    }

    /// When a call must be over that begins now, by the plugin's `timeout`.
    fn latest(&self, now: Instant) -> Instant {
        now + self.linked().config.timeout
    }

    /// Calls a phase where nothing needs to be waited for: on an idle instance, without a fibre. Most calls end
    /// here, so nothing of the general case is carried along; none if this call is one.
    fn call_now(
        &self,
        link: Link,
        held: &HeldInstances,
        exchange: &mut Exchange,
        phase: Phase,
        call: &Call,
    ) -> Option<Result<Flow, Failure>> {
        let linked = self.linked();
        let bytes = self.bytes_held(exchange, link.filter, call.brings());
        if bytes >= LARGE || self.holds(link, held) || linked.patience.wants_fibre() {
            return None;
        }
        let mut leased = self.take_idle()?;
        if !leased.instance.is_ready(link.filter) {
            self.give_back(leased);
            return None;
        }
        // The end of the phase before, or what the chain read when it began.
        let started = clock::recent();
        exchange.begin(phase, self.linked().may_be_skipped());
        let _span = self.span(exchange, phase).entered();
        let loan = Loan::new(&mut leased.instance, exchange);
        let instance = &mut *loan.instance;
        let returned = instance.call_now(linked, link.filter, call, started, bytes);
        let used = instance.slow();
        drop(loan);
        if let Some(used) = used {
            self.share().charge(used, false);
        }
        self.give_back(leased);
        Some(self.conclude(exchange, phase, started, returned))
    }

    async fn call(
        self: &Arc<Self>,
        link: Link,
        held: &mut HeldInstances,
        exchange: &mut Exchange,
        phase: Phase,
        call: Call,
    ) -> Result<Flow, Failure> {
        let started = clock::now();
        exchange.begin(phase, self.linked().may_be_skipped());
        let span = self.span(exchange, phase);
        let returned = if self.holds(link, held) {
            let held = held.hold(self, link, exchange);
            let called = held.call(exchange, call, started);
            called.instrument(span).await
        } else {
            let bytes = self.bytes_held(exchange, link.filter, call.brings());
            match self.entered(exchange, bytes, started).await {
                Ok((mut leased, turn)) => {
                    let loan = Loan::new(&mut leased.instance, exchange);
                    let linked = self.linked();
                    let instance = &mut *loan.instance;
                    let called = instance.call(linked, link.filter, call, started, turn);
                    let returned = called.instrument(span).await;
                    drop(loan);
                    self.give_back(leased);
                    returned
                }
                Err(failure) => Err(failure),
            }
        };
        self.conclude(exchange, phase, started, returned)
    }

    /// An instance for a call that holds so much, whose turn in the chain came at `started`.
    async fn entered(
        &self,
        exchange: &Exchange,
        held: usize,
        started: Instant,
    ) -> Result<(Leased, Entered), Failure> {
        let deadline = self.deadline(exchange, started);
        let entered = self.enter(held, deadline).await?;
        Ok((self.take(deadline).await?, entered))
    }

    /// Bytes that are held for a call of a filter: the bodies that it sees, and what it brings itself.
    pub(super) fn bytes_held(&self, exchange: &Exchange, filter: FilterId, brings: usize) -> usize {
        let seen = exchange.held(self.linked().phases(filter));
        seen.saturating_add(brings)
    }

    /// Until when a call waits whose turn came at `started`: within the plugin's timeout, and that of the route.
    pub(super) fn deadline(&self, exchange: &Exchange, started: Instant) -> Instant {
        let deadline = self.latest(started);
        let of_route = exchange.get().and_then(Parts::deadline);
        of_route.map_or(deadline, |of_route| of_route.min(deadline))
    }

    /// Measures a phase that is over; takes it back and logs it if it failed.
    fn conclude(
        &self,
        exchange: &mut Exchange,
        phase: Phase,
        started: Instant,
        returned: Result<Returned, Failure>,
    ) -> Result<Flow, Failure> {
        let flow = returned.and_then(refused).and_then(flow);
        let deadline = exchange.get().and_then(Parts::deadline);
        let flow = flow.map_err(|failure| failure.by(deadline));
        let took = clock::now().saturating_duration_since(started);
        let linked = self.linked();
        linked.shared.metrics.phase(phase, took);
        if let Err(failure) = &flow {
            exchange.take_back();
            linked.report(&exchange.route.name, phase.name(), failure);
        }
        flow
    }

    fn span(&self, exchange: &Exchange, phase: Phase) -> tracing::Span {
        span::phase(&exchange.span, &self.linked().name, phase.name())
    }

    /// Whether all phases of an exchange go to one instance: if it streams, or every exchange has its own.
    fn holds(&self, link: Link, held: &HeldInstances) -> bool {
        link.phases.streams() || self.linked().config.instances.fresh || held.has(link.place)
    }
}

fn flow(returned: Returned) -> Result<Flow, Failure> {
    match returned {
        Returned::Flow(Ok(flow)) => Flow::from_wit(flow),
        _ => Ok(Flow::Next),
    }
}
