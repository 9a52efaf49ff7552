//! An instance that stays with one exchange, so that a plugin may remember from one chunk to the next.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Mutex;
use tracing::{Instrument, Span};

use super::failure::{Failure, FailureKind};
use super::instance::{Call, Returned};
use super::pool::{Leased, Pool, refused};
use crate::message::phase::Phase;
use crate::proxy::exchange::Exchange;
use crate::telemetry::span;

/// An instance that stays with one exchange. Calls take their turns: a chunk of the request may come while the
/// response is looked at. The instance goes back to its pool with the last clone.
#[derive(Clone)]
pub struct Held(Arc<Inner>);

struct Inner {
    pool: Arc<Pool>,
    filter: usize,
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
    pub(super) fn new(pool: Arc<Pool>, filter: usize, route: Arc<str>, span: Span) -> Self {
        Self(Arc::new(Inner {
            pool,
            filter,
            route,
            span,
            slot: Mutex::new(Slot::Empty),
        }))
    }

    /// Passes a chunk of the request body through the plugin; what it returns goes in its place. The plugin does
    /// not see the exchange meanwhile: it may be in the hands of another phase.
    ///
    /// # Errors
    /// If the plugin fails, now or in an earlier call for this exchange.
    pub async fn request_chunk(&self, chunk: Bytes, last: bool) -> Result<Bytes, Failure> {
        self.chunk(None, Phase::RequestChunk, Call::RequestChunk(chunk, last))
            .await
            .1
    }

    /// Passes a chunk of the response body through the plugin, which sees the exchange if it is given.
    pub async fn response_chunk(
        &self,
        exchange: Option<Box<Exchange>>,
        chunk: Bytes,
        last: bool,
    ) -> (Option<Box<Exchange>>, Result<Bytes, Failure>) {
        self.chunk(
            exchange,
            Phase::ResponseChunk,
            Call::ResponseChunk(chunk, last),
        )
        .await
    }

    async fn chunk(
        &self,
        mut exchange: Option<Box<Exchange>>,
        phase: Phase,
        call: Call,
    ) -> (Option<Box<Exchange>>, Result<Bytes, Failure>) {
        let started = Instant::now();
        if let Some(exchange) = &mut exchange {
            exchange.phase = phase;
        }
        let linked = self.0.pool.linked();
        let span = span::phase(&self.0.span, &linked.name, phase.name());
        let (exchange, returned) = self.call(exchange, call).instrument(span).await;
        linked.shared.metrics.phase(phase, started.elapsed());
        let chunk = returned.and_then(refused).map(|returned| match returned {
            Returned::Chunk(Ok(chunk)) => chunk.into(),
            _ => Bytes::new(),
        });
        if let Err(failure) = &chunk {
            linked.report(&self.0.route, phase.name(), failure);
        }
        (exchange, chunk)
    }

    pub(super) async fn call_with(
        &self,
        exchange: Box<Exchange>,
        call: Call,
    ) -> (Box<Exchange>, Result<Returned, Failure>) {
        let (exchange, returned) = self.call(Some(exchange), call).await;
        (
            exchange.expect("a call gives back the exchange that it was given"),
            returned,
        )
    }

    async fn call(
        &self,
        exchange: Option<Box<Exchange>>,
        call: Call,
    ) -> (Option<Box<Exchange>>, Result<Returned, Failure>) {
        let Inner {
            pool,
            filter,
            route,
            slot,
            ..
        } = &*self.0;
        let mut slot = slot.lock().await;
        let leased = match std::mem::replace(&mut *slot, Slot::Out) {
            Slot::Ready(leased) => Ok(leased),
            Slot::Empty => pool.take().await.map(|mut leased| {
                leased.instance.guest().route = Some(route.clone());
                leased
            }),
            Slot::Out => Err(Failure::new(
                FailureKind::Lost,
                "its instance was lost in an earlier call",
            )),
        };
        let mut leased = match leased {
            Ok(leased) => leased,
            Err(failure) => return (exchange, Err(failure)),
        };
        leased.instance.guest().exchange = exchange;
        let returned = leased.instance.call(pool.linked(), *filter, call).await;
        let exchange = leased.instance.guest().exchange.take();
        if leased.instance.is_fit(u64::MAX) {
            *slot = Slot::Ready(leased);
        }
        (exchange, returned)
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
