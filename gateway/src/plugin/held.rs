//! An instance that stays with one exchange, so that a plugin may remember from one chunk to the next.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Mutex;
use tracing::{Instrument, Span};

use super::failure::{Failure, FailureKind};
use super::functions::{Call, Returned, refused};
use super::loan::Loan;
use super::pool::{Leased, Pool};
use crate::exchange::{Exchange, FilterId, Link, Place};
use crate::message::phase::Phase;
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
/// response is looked at. The instance goes back to its pool with the last clone.
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
    Ready(Leased),
    /// In a call; and if that call was dropped or failed, for good.
    Out,
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

    /// Passes a chunk of the request body through the plugin; what it returns goes in its place. The plugin does
    /// not see the exchange meanwhile: it may be in the hands of another phase.
    ///
    /// # Errors
    /// If the plugin fails, now or in an earlier call for this exchange.
    pub async fn request_chunk(&self, chunk: Bytes, last: bool) -> Result<Bytes, Failure> {
        let call = Call::RequestChunk(chunk, last);
        let mut none = Exchange::default();
        self.chunk(&mut none, Phase::RequestChunk, call).await
    }

    /// Passes a chunk of the response body through the plugin, which sees the exchange.
    ///
    /// # Errors
    /// If the plugin fails, now or in an earlier call for this exchange.
    pub async fn response_chunk(
        &self,
        exchange: &mut Exchange,
        chunk: Bytes,
        last: bool,
    ) -> Result<Bytes, Failure> {
        let call = Call::ResponseChunk(chunk, last);
        self.chunk(exchange, Phase::ResponseChunk, call).await
    }

    async fn chunk(
        &self,
        exchange: &mut Exchange,
        phase: Phase,
        call: Call,
    ) -> Result<Bytes, Failure> {
        let started = Instant::now();
        if let Some(parts) = exchange.get_mut() {
            parts.phase = phase;
        }
        let linked = self.0.pool.linked();
        let span = span::phase(&self.0.span, &linked.name, phase.name());
        let returned = self.call(exchange, call).instrument(span).await;
        linked.shared.metrics.phase(phase, started.elapsed());
        let chunk = returned.and_then(refused).map(|returned| match returned {
            Returned::Chunk(Ok(chunk)) => chunk.into(),
            _ => Bytes::new(),
        });
        if let Err(failure) = &chunk {
            linked.report(&self.0.route, phase.name(), failure);
        }
        chunk
    }

    pub(super) async fn call(
        &self,
        exchange: &mut Exchange,
        call: Call,
    ) -> Result<Returned, Failure> {
        let Inner {
            pool,
            filter,
            route,
            slot,
            ..
        } = &*self.0;
        let mut slot = slot.lock().await;
        let mut leased = match std::mem::replace(&mut *slot, Slot::Out) {
            Slot::Ready(leased) => leased,
            Slot::Empty => {
                let mut leased = pool.take().await?;
                leased.instance.guest().route = Some(route.clone());
                leased
            }
            Slot::Out => {
                let text = "its instance was lost in an earlier call";
                return Err(Failure::new(FailureKind::Lost, text));
            }
        };
        let loan = Loan::new(&mut leased.instance, exchange);
        let returned = loan.instance.call(pool.linked(), *filter, call).await;
        drop(loan);
        if leased.instance.is_fit(u64::MAX) {
            *slot = Slot::Ready(leased);
        }
        returned
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Slot::Ready(leased) = std::mem::replace(self.slot.get_mut(), Slot::Out) {
            self.pool.give_back(leased);
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
