//! An instance that stays with one exchange, so that nobody else meets it while a body streams through it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::{Mutex, MutexGuard};
use tracing::{Instrument, Span};
use wasmtime::component::ResourceAny;

use super::admission::Entered;
use super::failure::{Failure, FailureKind};
use super::functions::{Call, Returned, refused};
use super::host::bindings::exports::gateway::plugin::filter as wit;
use super::loan::Loan;
use super::pool::{Leased, Pool};
use super::trailers;
use crate::exchange::{Exchange, FilterId, Link, Parts, Place};
use crate::message::phase::Direction;
use crate::telemetry::span;

/// The instances that stay with one exchange, by their place in its chain. Most exchanges have none, and carry one
/// pointer.
#[derive(Debug, Default)]
#[allow(
    clippy::box_collection,
    reason = "a pointer is what most exchanges carry"
)]
pub struct HeldInstances(Option<Box<Vec<Option<Held>>>>);

impl HeldInstances {
    /// The instance of a link. It is made at its first call.
    pub fn hold(&mut self, pool: &Arc<Pool>, link: Link, exchange: &Exchange) -> Held {
        let place = link.place.0;
        let held = self.0.get_or_insert_default();
        if held.len() <= place {
            held.resize_with(place + 1, || None);
        }
        let made = || Held::new(pool.clone(), link.filter, exchange);
        held[place].get_or_insert_with(made).clone()
    }

    /// Whether there is one for this place.
    pub(super) fn has(&self, place: Place) -> bool {
        let held = self.0.as_ref();
        held.is_some_and(|held| held.get(place.0).is_some_and(Option::is_some))
    }

    /// Lets go of the instance of this place.
    pub(super) fn release(&mut self, place: Place) {
        if let Some(held) = &mut self.0
            && let Some(held) = held.get_mut(place.0)
        {
            *held = None;
        }
    }
}

/// An instance that stays with one exchange. Calls take their turns: a chunk of the request may come while the
/// response is looked at. With the last clone it goes back to its pool, unless a body that passes through it did not come
/// to its end: what it keeps of that body is for nobody else.
#[derive(Clone)]
pub struct Held(Arc<Inner>);

struct Inner {
    pool: Arc<Pool>,
    filter: FilterId,
    route: Arc<str>,
    /// That of the exchange.
    span: Span,
    slot: Mutex<Slot>,
}

enum Slot {
    /// Not called yet.
    Empty,
    /// Between calls.
    Ready(Ready),
    /// In a call; and if that call was dropped or failed, for good.
    Out,
}

struct Ready {
    leased: Leased,
    /// The bodies that are on their way, by direction.
    streams: [Option<ResourceAny>; 2],
}

impl Held {
    fn new(pool: Arc<Pool>, filter: FilterId, exchange: &Exchange) -> Self {
        Self(Arc::new(Inner {
            pool,
            filter,
            route: exchange.route.name.clone(),
            span: exchange.span.clone(),
            slot: Mutex::new(Slot::Empty),
        }))
    }

    /// A body begins to pass through the plugin, which sees the exchange.
    ///
    /// # Errors
    /// If the plugin fails, now or in an earlier call for this exchange.
    pub async fn begin(
        &self,
        direction: Direction,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        let begun = self.pass(direction, Some(exchange), Step::Begin);
        begun.await.map(drop)
    }

    /// Passes a chunk through the plugin; what it returns goes in its place. The plugin sees the exchange where it is
    /// given: that of a request may be in the hands of another phase.
    ///
    /// # Errors
    /// As [`Held::begin`].
    pub async fn chunk(
        &self,
        direction: Direction,
        exchange: Option<&mut Exchange>,
        chunk: Bytes,
    ) -> Result<Bytes, Failure> {
        let passed = self.pass(direction, exchange, Step::Chunk(chunk));
        match passed.await? {
            Returned::Chunk(Ok(chunk)) => Ok(chunk.into()),
            _ => Ok(Bytes::new()),
        }
    }

    /// Tells the plugin that the body is over. What is still to go in it, and the trailers in place of those that
    /// came.
    ///
    /// # Errors
    /// As [`Held::begin`].
    pub async fn end(
        &self,
        direction: Direction,
        exchange: Option<&mut Exchange>,
        trailers: HeaderMap,
    ) -> Result<(Bytes, HeaderMap), Failure> {
        let grants = &self.0.pool.linked().config.grants;
        let seen = trailers::seen(&trailers, direction, grants);
        let passed = self.pass(direction, exchange, Step::End(seen));
        match passed.await? {
            Returned::Ending(Ok(ending)) => {
                let trailers = trailers::replaced(trailers, ending.trailers, direction, grants);
                Ok((ending.chunk.into(), trailers))
            }
            _ => Ok((Bytes::new(), trailers)),
        }
    }

    /// A call for a body, measured and reported.
    async fn pass(
        &self,
        direction: Direction,
        exchange: Option<&mut Exchange>,
        step: Step,
    ) -> Result<Returned, Failure> {
        let started = Instant::now();
        let phase = direction.phase();
        let mut none = Exchange::default();
        let exchange = exchange.unwrap_or(&mut none);
        if let Some(parts) = exchange.get_mut() {
            parts.phase = phase;
        }
        let linked = self.0.pool.linked();
        let span = span::phase(&self.0.span, &linked.name, phase.name());
        let stepped = self.step(direction, exchange, step, started);
        let returned = stepped.instrument(span);
        let returned = returned.await.and_then(refused);
        let deadline = exchange.get().and_then(Parts::deadline);
        let returned = returned.map_err(|failure| failure.by(deadline));
        linked.shared.metrics.phase(phase, started.elapsed());
        if let Err(failure) = &returned {
            linked.report(&self.0.route, phase.name(), failure);
        }
        returned
    }

    async fn step(
        &self,
        direction: Direction,
        exchange: &mut Exchange,
        step: Step,
        started: Instant,
    ) -> Result<Returned, Failure> {
        let brings = match &step {
            Step::Chunk(chunk) => chunk.len(),
            Step::Begin | Step::End(_) => 0,
        };
        let mut turn = self.turn(exchange, brings, started).await?;
        let stream = turn.ready.streams[direction as usize].take();
        let call = match (step, stream) {
            (Step::Begin, _) => Call::Stream(direction),
            (Step::Chunk(chunk), Some(stream)) => Call::Chunk(stream, chunk),
            (Step::End(trailers), Some(stream)) => Call::End(stream, trailers),
            (_, None) => return Err(lost("the body had an end already")),
        };
        // Whether it is still there, the call may say otherwise.
        let kept = stream.filter(|_| matches!(call, Call::Chunk(..)));
        let returned = turn.call(&self.0, exchange, call, started).await;
        turn.ready.streams[direction as usize] = match &returned {
            Ok(Returned::Stream(Ok(stream))) => Some(*stream),
            _ => kept,
        };
        turn.end();
        returned
    }

    pub(super) async fn call(
        &self,
        exchange: &mut Exchange,
        call: Call,
        started: Instant,
    ) -> Result<Returned, Failure> {
        let mut turn = self.turn(exchange, call.brings(), started).await?;
        let returned = turn.call(&self.0, exchange, call, started).await;
        turn.end();
        returned
    }

    /// The instance for one call, which brings so many bytes beside what is held. It is out for good where it does not
    /// come back.
    async fn turn(
        &self,
        exchange: &Exchange,
        brings: usize,
        started: Instant,
    ) -> Result<Turn<'_>, Failure> {
        let mut slot = self.0.slot.lock().await;
        let pool = &self.0.pool;
        let deadline = pool.deadline(exchange, started);
        let held = pool.bytes_held(exchange, self.0.filter, brings);
        let entered = pool.enter(held, deadline).await?;
        let ready = match std::mem::replace(&mut *slot, Slot::Out) {
            Slot::Ready(ready) => ready,
            Slot::Empty => {
                let mut leased = pool.take(deadline).await?;
                leased.instance.guest().route = Some(self.0.route.clone());
                Ready {
                    leased,
                    streams: [None; 2],
                }
            }
            Slot::Out => return Err(lost("its instance was lost in an earlier call")),
        };
        Ok(Turn {
            slot,
            ready,
            entered,
        })
    }
}

/// What happens to a body.
enum Step {
    Begin,
    Chunk(Bytes),
    End(Vec<wit::Header>),
}

/// The instance in a call.
struct Turn<'a> {
    slot: MutexGuard<'a, Slot>,
    ready: Ready,
    entered: Entered,
}

impl Turn<'_> {
    async fn call(
        &mut self,
        inner: &Inner,
        exchange: &mut Exchange,
        call: Call,
        started: Instant,
    ) -> Result<Returned, Failure> {
        let loan = Loan::new(&mut self.ready.leased.instance, exchange);
        let linked = inner.pool.linked();
        let entered = Entered {
            held: self.entered.held,
            admitted: self.entered.admitted.take(),
        };
        let instance = &mut *loan.instance;
        let called = instance.call(linked, inner.filter, call, started, entered);
        called.await
    }

    fn end(mut self) {
        if self.ready.leased.instance.is_sound() {
            *self.slot = Slot::Ready(self.ready);
        }
    }
}

fn lost(text: &str) -> Failure {
    Failure::new(FailureKind::Lost, text)
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Slot::Ready(ready) = std::mem::replace(self.slot.get_mut(), Slot::Out)
            && ready.streams.iter().all(Option::is_none)
        {
            self.pool.give_back(ready.leased);
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("plugin", &self.0.pool.linked().name)
            .finish_non_exhaustive()
    }
}
