//! Keys and values shared by every worker and kept across hot swaps. Each plugin, by its name in the
//! configuration, sees its own namespace.

use std::fmt;
use std::time::Duration;

use crate::host;

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The store cannot be reached; the text says why.
    Unavailable(String),
    /// A key over 1 KiB or a value over 1 MiB, or a number to increment that is none.
    TooLarge,
    /// The value was not the expected one.
    Conflict,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the state store is unavailable: {why}"),
            Self::TooLarge => {
                f.write_str("a key over 1 KiB, a value over 1 MiB, or not a number to increment")
            }
            Self::Conflict => f.write_str("the value was not the expected one"),
        }
    }
}

impl std::error::Error for Error {}

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

/// Whole milliseconds as the host counts them: what is shorter than one is one, what is longer than 49 days is 49
/// days.
pub(crate) fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_rounded_up_and_saturates() {
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_micros(1_500)), 2);
        assert_eq!(milliseconds(Duration::from_secs(100 * 86_400)), u32::MAX);
    }
}
