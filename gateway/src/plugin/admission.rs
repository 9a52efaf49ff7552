//! Which of the calls that hold large bodies have begun.
//!
//! Such a call has room for all that it may grow by, from its beginning to its end, since one that had to wait for room in
//! the middle could wait for others that wait for it. Were it begun only to wait for its turns, it would keep that room
//! from others. So what computes has a quarter of the room that its plugin may have, an equal part on each worker, or is
//! one call; the others stand in line, first come first served, and have neither an instance nor room. A call that waits
//! for something else, such as the answer to a sub-request, lets the next one begin.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The part of the room that is for calls that compute.
const COMPUTING: usize = 4;
/// What that is counted in: its size changes with the configuration.
const PARTS: u32 = 1 << 10;

/// The calls of one plugin on one worker.
pub(super) struct Admission {
    parts: Arc<Semaphore>,
    workers: usize,
}

/// A call that has begun, and computes.
pub(super) type Admitted = OwnedSemaphorePermit;

/// The turn of a call.
pub(super) struct Entered {
    /// Bytes that are held for it.
    pub(super) held: usize,
    /// Where that is much.
    pub(super) admitted: Option<Admitted>,
}

impl Admission {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            parts: Arc::new(Semaphore::new(PARTS as usize)),
            workers,
        }
    }

    /// Lets a call begin that may need so much room, where its plugin may have `most`, if that is possible now.
    pub(super) fn try_begin(&self, bytes: usize, most: usize) -> Option<Admitted> {
        let parts = self.parts(bytes, most);
        self.parts.clone().try_acquire_many_owned(parts).ok()
    }

    /// As soon as it is possible.
    pub(super) async fn begin(&self, bytes: usize, most: usize) -> Option<Admitted> {
        let parts = self.parts(bytes, most);
        // Never closed.
        self.parts.clone().acquire_many_owned(parts).await.ok()
    }

    /// One that may need more than there is for all has that.
    fn parts(&self, bytes: usize, most: usize) -> u32 {
        let all = most / COMPUTING / self.workers.max(1);
        let parts = bytes.saturating_mul(PARTS as usize).div_ceil(all.max(1));
        u32::try_from(parts).map_or(PARTS, |parts| parts.clamp(1, PARTS))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn calls_begin_in_their_order_in_a_quarter_of_the_room() {
        let admission = Admission::new(2);
        let most = 800;
        let first = admission.try_begin(60, most);
        assert!(first.is_some());
        let mut large = Box::pin(admission.begin(80, most));
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(large.as_mut().poll(&mut nobody).is_pending());
        assert!(admission.try_begin(10, most).is_none(), "it came later");
        drop(first);
        let large = large.await;
        assert!(large.is_some());
        assert!(admission.try_begin(10, most).is_some());
        drop(large);
        let all = admission.try_begin(usize::MAX, most);
        assert!(all.is_some(), "one may always begin");
        assert!(admission.try_begin(1, most).is_none());
    }
}
