//! The exchanges of an HTTP/2 connection: which of them wait for the client, and how one that waits too long ends
//! while the others go on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::task::AbortHandle;

use super::connection::Connection;

/// No exchange has this place.
const FREE: u64 = 0;
/// The exchange waits for the gateway or the upstream, not for the client.
pub(crate) const WAITING: u64 = u64::MAX;

/// One place per exchange that has not ended; places are used again.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    places: RefCell<Vec<Place>>,
    /// The exchange that began last and has no task yet.
    begun: Cell<Option<usize>>,
}

#[derive(Debug)]
struct Place {
    /// When the response body last moved, or [`FREE`] or [`WAITING`].
    moved: u64,
    /// What carries the stream; the stream is reset when it is aborted.
    task: Option<AbortHandle>,
}

impl Streams {
    /// Takes a place for an exchange.
    pub(crate) fn begin(&self) -> usize {
        let mut places = self.places.borrow_mut();
        let free = places.iter().position(|place| place.moved == FREE);
        let at = free.unwrap_or(places.len());
        if free.is_none() {
            places.push(Place {
                moved: FREE,
                task: None,
            });
        }
        places[at].moved = WAITING;
        self.begun.set(Some(at));
        at
    }

    /// The body moved at that time, or is [`WAITING`].
    pub(crate) fn mark(&self, at: usize, moved: u64) {
        if let Some(place) = self.places.borrow_mut().get_mut(at) {
            place.moved = moved;
        }
    }

    /// The exchange ended.
    pub(crate) fn end(&self, at: usize) {
        if let Some(place) = self.places.borrow_mut().get_mut(at) {
            *place = Place {
                moved: FREE,
                task: None,
            };
        }
    }

    /// The task of the exchange that began last.
    fn carried_by(&self, task: AbortHandle) {
        if let Some(at) = self.begun.take()
            && let Some(place) = self.places.borrow_mut().get_mut(at)
        {
            place.task = Some(task);
        }
    }

    /// Resets what waited for the client `limit` milliseconds or longer; returns in how many milliseconds the next
    /// is due.
    pub(crate) fn reset_stalled(&self, now: u64, limit: u64) -> Option<u64> {
        let mut next = None;
        for place in &mut *self.places.borrow_mut() {
            if matches!(place.moved, FREE | WAITING) {
                continue;
            }
            let left = place.moved.saturating_add(limit).saturating_sub(now);
            if left > 0 {
                next = Some(next.map_or(left, |next: u64| next.min(left)));
                continue;
            }
            // It is dropped when the worker comes to it: then the place is free.
            place.moved = WAITING;
            if let Some(task) = place.task.take() {
                task.abort();
            }
        }
        next
    }
}

/// Runs the streams of a connection on the worker's own thread.
#[derive(Debug, Clone)]
pub(crate) struct OnWorker(pub(crate) Rc<Connection>);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for OnWorker {
    fn execute(&self, stream: F) {
        // hyper asks the service and hands over the stream in one step.
        let task = tokio::task::spawn_local(stream);
        self.0.streams.carried_by(task.abort_handle());
    }
}
