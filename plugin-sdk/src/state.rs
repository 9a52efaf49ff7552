//! Keys and values shared by every worker and kept across hot swaps. Each plugin, by its name in the
//! configuration, sees its own namespace.

use std::time::Duration;

use crate::duration::milliseconds;
use crate::host;

pub use crate::types::state::Error;

/// The value under a key, unless it has expired.
///
/// # Errors
/// If the store cannot be reached, or the key is over 1 KiB.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    host::state_get(key)
}

/// Stores a value for `ttl` from now, or until it is evicted.
///
/// # Errors
/// See [`Error`].
pub fn set(key: &str, value: impl AsRef<[u8]>, ttl: Option<Duration>) -> Result<(), Error> {
    host::state_set(key, value.as_ref(), ttl.map(milliseconds))
}

/// Removes a key; no error if there is none.
///
/// # Errors
/// See [`Error`].
pub fn delete(key: &str) -> Result<(), Error> {
    host::state_delete(key)
}

/// Adds to a number in one atomic step and returns the new one. A missing key counts as 0, and only then `ttl` is
/// set, so that a window ends when it began to. The number is stored as decimal text.
///
/// # Errors
/// See [`Error`].
pub fn increment(key: &str, by: i64, ttl: Option<Duration>) -> Result<i64, Error> {
    host::state_increment(key, by, ttl.map(milliseconds))
}

/// Stores a value if the present one is `expected`; `None` expects that there is none.
///
/// # Errors
/// [`Error::Conflict`] if it is another one.
pub fn compare_and_swap(
    key: &str,
    expected: Option<&[u8]>,
    value: impl AsRef<[u8]>,
    ttl: Option<Duration>,
) -> Result<(), Error> {
    host::state_compare_and_swap(key, expected, value.as_ref(), ttl.map(milliseconds))
}
