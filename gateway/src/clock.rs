//! The time, read as seldom as it matters.

use std::cell::Cell;
use std::time::Instant;

thread_local!(static RECENT: Cell<Option<Instant>> = const { Cell::new(None) });

/// Reads the clock.
pub fn now() -> Instant {
    let now = Instant::now();
    RECENT.set(Some(now));
    now
}

/// What this thread read last: at most the age of the step of an exchange that calls it. For marks that are
/// compared in seconds.
pub fn recent() -> Instant {
    RECENT.get().unwrap_or_else(now)
}
