//! A client that still sends when it is refused has to read the refusal: a socket that is closed over unread bytes
//! sends a reset, which may overtake what was written (RFC 9112, 9.6). So what the client sends is taken in for a while.

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::drain::Drain;
use crate::net::Stream;

/// How long it may take in all.
const LONGEST: Duration = Duration::from_secs(30);
/// How long the client may send nothing.
const QUIET: Duration = Duration::from_secs(5);
/// How many linger at once in the process. A newcomer takes the place of the oldest of its listener and worker.
const AT_ONCE: usize = 1_000;

/// Those of the process.
static LINGERING: AtomicUsize = AtomicUsize::new(0);

/// Takes in what a refused client sends until it closes, is quiet or has had its time; at most until the grace ends.
pub(super) async fn linger(stream: &mut Stream, drain: &Rc<Drain>) {
    let place = Place::take(drain);
    let taking = async {
        let mut rest = [0; 4096];
        while matches!(timeout(QUIET, stream.read(&mut rest)).await, Ok(Ok(1..))) {}
    };
    tokio::select! {
        _ = timeout(LONGEST, taking) => {}
        () = place.cut.notified() => {}
        () = drain.ended() => {}
    }
}

/// A place among those who linger.
struct Place {
    drain: Rc<Drain>,
    cut: Rc<Notify>,
}

impl Place {
    fn take(drain: &Rc<Drain>) -> Self {
        let cut = Rc::new(Notify::new());
        let mut queue = drain.lingering.borrow_mut();
        if LINGERING.fetch_add(1, Relaxed) >= AT_ONCE
            && let Some(oldest) = queue.pop_front()
        {
            oldest.notify_one();
        }
        queue.push_back(cut.clone());
        Self {
            drain: drain.clone(),
            cut,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        LINGERING.fetch_sub(1, Relaxed);
        let mut queue = self.drain.lingering.borrow_mut();
        queue.retain(|place| !Rc::ptr_eq(place, &self.cut));
    }
}
