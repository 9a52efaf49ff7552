//! The exchanges of an HTTP/2 connection: which of them wait for the client, and how one that waits too long ends
//! while the others go on.

use std::cell::{Cell, RefCell};

use tokio::task::AbortHandle;

/// No exchange has this slot.
const FREE: u64 = 0;
/// The exchange waits for the gateway or the upstream, not for the client.
pub(crate) const WAITING: u64 = u64::MAX;

/// One slot per exchange that has not ended; slots are used again.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: RefCell<Vec<Slot>>,
    /// The exchange that began last and has no task yet.
    begun: Cell<Option<usize>>,
}

#[derive(Debug)]
struct Slot {
    /// When the response body last moved, or [`FREE`] or [`WAITING`].
    moved: u64,
    /// What carries the stream; the stream is reset when it is aborted.
    task: Option<AbortHandle>,
}

impl Streams {
    /// Takes a slot for an exchange.
    pub(crate) fn begin(&self) -> usize {
        let mut slots = self.slots.borrow_mut();
        let free = slots.iter().position(|slot| slot.moved == FREE);
        let at = free.unwrap_or(slots.len());
        if free.is_none() {
            slots.push(Slot {
                moved: FREE,
                task: None,
            });
        }
        slots[at].moved = WAITING;
        self.begun.set(Some(at));
        at
    }

    /// The body moved at that time, or is [`WAITING`].
    pub(crate) fn mark(&self, at: usize, moved: u64) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(at) {
            slot.moved = moved;
        }
    }

    /// The exchange ended.
    pub(crate) fn end(&self, at: usize) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(at) {
            *slot = Slot {
                moved: FREE,
                task: None,
            };
        }
    }

    /// The task of the exchange that began last.
    pub(crate) fn carried_by(&self, task: AbortHandle) {
        if let Some(at) = self.begun.take()
            && let Some(slot) = self.slots.borrow_mut().get_mut(at)
        {
            slot.task = Some(task);
        }
    }

    /// Resets what waited for the client `limit` milliseconds or longer; returns in how many milliseconds the next
    /// is due.
    pub(crate) fn reset_stalled(&self, now: u64, limit: u64) -> Option<u64> {
        let mut next = None;
        for slot in &mut *self.slots.borrow_mut() {
            if matches!(slot.moved, FREE | WAITING) {
                continue;
            }
            let left = slot.moved.saturating_add(limit).saturating_sub(now);
            if left > 0 {
                next = Some(next.map_or(left, |next: u64| next.min(left)));
                continue;
            }
            // It is dropped when the worker comes to it: then the slot is free.
            slot.moved = WAITING;
            if let Some(task) = slot.task.take() {
                task.abort();
            }
        }
        next
    }
}
