//! The time, read as seldom as it matters.

use std::time::Instant;

use crate::thread::own;

/// Reads the clock.
pub fn now() -> Instant {
    let now = Instant::now();
    own(|own| own.recent.set(Some(now)));
    now
}

/// What this thread read last: at most the age of the step of an exchange that calls it. For marks that are
/// compared in seconds.
pub fn recent() -> Instant {
    own(|own| own.recent.get()).unwrap_or_else(now)
}
