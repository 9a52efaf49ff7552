//! What plugins share: keys and values, and rate limits. Kept across hot swaps.

mod limiter;
mod memory;

pub use limiter::{Algorithm, Decision, Quota};
pub use memory::Memory;

/// Why an operation was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A key over 1 KiB, a value over 1 MiB, or a value that is no number where one was to be added to.
    #[error("too large, or not a number")]
    TooLarge,
    /// The value was not the expected one.
    #[error("the value was not the expected one")]
    Conflict,
}
