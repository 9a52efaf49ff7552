//! What a thread keeps for itself where nothing can be handed down to it: in the allocator, in counters and clocks that
//! every floor reads. All else that is a worker's own has its owner in the proxy.

pub(crate) mod priority;

use std::cell::Cell;
use std::time::Instant;

/// A thread's own, by name.
#[derive(Debug)]
pub struct Own {
    /// What the clock said when this thread read it last.
    pub recent: Cell<Option<Instant>>,
    /// The shard of the metrics that this thread counts in.
    pub shard: Cell<usize>,
    /// Connections at rest whose buffers this thread freed since it last gave memory back.
    pub freed: Cell<usize>,
    /// How often its event loop has looked at its sockets, at least.
    pub turn: Cell<u64>,
    /// Since when it goes on without giving way, where it does what no client waits for; none elsewhere.
    background_since: Cell<Option<Instant>>,
}

thread_local! {
    static OWN: Own = const {
        Own {
            recent: Cell::new(None),
            shard: Cell::new(0),
            freed: Cell::new(0),
            turn: Cell::new(0),
            background_since: Cell::new(None),
        }
    };
}

/// Works with what is this thread's own.
pub fn own<R>(work: impl FnOnce(&Own) -> R) -> R {
    OWN.with(work)
}
