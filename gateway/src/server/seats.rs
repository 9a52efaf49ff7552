//! How many connections a listener may have, under a limit that reloads change.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The seats of a listener, over all workers and reloads.
#[derive(Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    most: AtomicUsize,
    /// How many of those that are taken are not free again afterwards: the limit was lowered.
    owed: AtomicUsize,
}

/// A connection counts while it has one.
#[derive(Debug)]
pub(super) struct Seat {
    permit: Option<OwnedSemaphorePermit>,
    of: Arc<Seats>,
}

impl Seats {
    /// So many, all free.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let most = most.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            free: Arc::new(Semaphore::new(most)),
            most: AtomicUsize::new(most),
            owed: AtomicUsize::new(0),
        })
    }

    /// Waits for a seat, behind all who wait already.
    pub(super) async fn take(self: &Arc<Self>) -> Seat {
        loop {
            // The semaphore is never closed.
            let permit = self.free.clone().acquire_owned().await.ok();
            if let Some(seat) = self.seat(permit) {
                return seat;
            }
        }
    }

    /// A seat, if one is free now and nobody waits for it.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Seat> {
        loop {
            let permit = self.free.clone().try_acquire_owned().ok()?;
            if let Some(seat) = self.seat(Some(permit)) {
                return Some(seat);
            }
        }
    }

    /// None if it was given back while the limit was lowered.
    fn seat(self: &Arc<Self>, permit: Option<OwnedSemaphorePermit>) -> Option<Seat> {
        let of = self.clone();
        let seat = Seat { permit, of };
        (self.owed.load(SeqCst) == 0).then_some(seat)
    }

    /// So many from now on, those that are taken among them. Called by one thread alone.
    pub(super) fn resize(&self, most: usize) {
        let most = most.min(Semaphore::MAX_PERMITS);
        let before = self.most.swap(most, SeqCst);
        let more = most.saturating_sub(before);
        let less = |owed: usize| Some(owed.saturating_sub(more));
        let owed = self.owed.fetch_update(SeqCst, SeqCst, less);
        let owed = owed.unwrap_or_default();
        self.free.add_permits(more.saturating_sub(owed));
        self.owed.fetch_add(before.saturating_sub(most), SeqCst);
        while self.owed.load(SeqCst) > 0 && self.free.forget_permits(1) == 1 {
            if !self.pay() {
                self.free.add_permits(1);
            }
        }
    }

    /// One that is owed is not any more; `false` if none is.
    fn pay(&self) -> bool {
        let less = |owed: usize| owed.checked_sub(1);
        self.owed.fetch_update(SeqCst, SeqCst, less).is_ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.of.pay()
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes what is free.
    fn taken(seats: &Arc<Seats>) -> Vec<Seat> {
        std::iter::from_fn(|| seats.try_take()).collect()
    }

    #[test]
    fn what_was_taken_counts_under_every_limit() {
        let seats = Seats::new(3);
        let mut open = taken(&seats);
        seats.resize(1);
        seats.resize(2);
        open.pop();
        assert!(taken(&seats).is_empty(), "two of two");
        open.pop();
        open.extend(taken(&seats));
        assert_eq!(open.len(), 2);
        seats.resize(5);
        open.extend(taken(&seats));
        assert_eq!(open.len(), 5);
        open.truncate(1);
        seats.resize(3);
        open.extend(taken(&seats));
        assert_eq!(open.len(), 3);
    }

    #[tokio::test]
    async fn a_raised_limit_lets_in_who_waits() {
        let seats = Seats::new(1);
        let _first = seats.take().await;
        let waiting = seats.take();
        tokio::pin!(waiting);
        let soon = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
        seats.resize(2);
        let _second = waiting.await;
    }
}
