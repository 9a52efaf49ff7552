//! The connections of the admin listener: a bounded crowd in which nobody keeps the others out.
//!
//! A probe has to get through whatever others do, so a new connection is always taken: where there are as many as may be,
//! the one makes way that had nothing to do for longest.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio_util::sync::CancellationToken;

/// Those that are open.
#[derive(Debug)]
pub(super) struct Crowd {
    most: usize,
    open: Vec<Arc<Seat>>,
    turns: Arc<AtomicU64>,
}

/// One connection, as long as someone beside the crowd has this.
#[derive(Debug)]
pub(super) struct Seat {
    /// It has to make way.
    pub(super) gone: CancellationToken,
    /// Whether a request of it is being answered.
    is_busy: AtomicBool,
    /// When it was opened or had its last answer, in turns of the crowd.
    rests_since: AtomicU64,
    turns: Arc<AtomicU64>,
}

/// A request is being answered, until this is dropped.
pub(super) struct Answering<'a>(&'a Seat);

impl Crowd {
    /// Of so many at most.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            open: Vec::new(),
            turns: Arc::default(),
        }
    }

    /// A connection more. Whether another one has to make way for it.
    pub(super) fn enter(&mut self) -> (Arc<Seat>, bool) {
        self.open.retain(|seat| Arc::strong_count(seat) > 1);
        let is_full = self.open.len() >= self.most;
        if is_full {
            self.make_way();
        }
        let seat = Arc::new(Seat {
            gone: CancellationToken::new(),
            is_busy: AtomicBool::new(false),
            rests_since: AtomicU64::new(self.turns.fetch_add(1, Relaxed)),
            turns: self.turns.clone(),
        });
        self.open.push(seat.clone());
        (seat, is_full)
    }

    /// A reload ends even if the one who asked for it is gone, so all can make way; who waits for an answer does last.
    fn make_way(&mut self) {
        let seats = self.open.iter().enumerate();
        let order = |seat: &Seat| (seat.is_busy.load(Relaxed), seat.rests_since.load(Relaxed));
        if let Some((at, _)) = seats.min_by_key(|(_, seat)| order(seat)) {
            self.open.swap_remove(at).gone.cancel();
        }
    }
}

impl Seat {
    /// A request of it is being answered.
    pub(super) fn answering(&self) -> Answering<'_> {
        self.is_busy.store(true, Relaxed);
        Answering(self)
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        let seat = self.0;
        let now = seat.turns.fetch_add(1, Relaxed);
        seat.rests_since.store(now, Relaxed);
        seat.is_busy.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_rests_for_longest_makes_way_and_one_that_is_answered_last() {
        let mut crowd = Crowd::new(3);
        let [one, two, three] = [(); 3].map(|()| crowd.enter().0);
        drop(one.answering());
        let answering = two.answering();
        let (four, made_way) = crowd.enter();
        assert!(made_way && three.gone.is_cancelled(), "the oldest at rest");
        crowd.enter();
        assert!(one.gone.is_cancelled() && !two.gone.is_cancelled());
        // The last one that came in is gone already.
        let (five, made_way) = crowd.enter();
        assert!(!made_way);
        let _four = four.answering();
        let _five = five.answering();
        let (_six, made_way) = crowd.enter();
        assert!(made_way && two.gone.is_cancelled(), "all are answered");
        drop(answering);
    }
}
