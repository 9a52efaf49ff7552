//! Rate limiting as one atomic step. Keys live in the plugin's namespace.

use crate::host;
use crate::state::Error;

pub use crate::types::quota::{Algorithm, Decision, Quota};

/// Takes `cost` from the quota of `key`.
///
/// # Errors
/// If the store cannot be reached or the key is over 1 KiB.
pub fn acquire(key: &str, quota: Quota, cost: u32) -> Result<Decision, Error> {
    host::acquire(key, quota, cost)
}
