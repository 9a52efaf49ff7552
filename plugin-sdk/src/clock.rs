//! The time of day, which a test can set.

use std::time::SystemTime;

use crate::host;

/// The time of day. In a test it is the harness's clock, which stands still until it is moved.
#[must_use]
pub fn now() -> SystemTime {
    host::now()
}
