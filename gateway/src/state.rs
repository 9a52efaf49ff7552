//! What plugins share: keys and values, and rate limits. Kept across hot swaps.
//!
//! Every plugin has a [`Namespace`] of one [`Memory`]. The store is bounded in entries and in bytes; each plugin of the
//! configuration in force is guaranteed an equal share of both, and what one does not use is lent to the others.

mod amount;
mod entry;
mod limiter;
mod memory;
mod namespace;
mod shard;
mod slot;
mod space;

pub use amount::Amount;
pub use entry::OVERHEAD;
pub use limiter::{Algorithm, Decision, Quota};
pub use memory::Memory;
pub use namespace::Namespace;
pub use space::Held;

/// Why an operation was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A key over 1 KiB, a value over 1 MiB, an entry over the share of its namespace, or a value that is no number
    /// where one was to be added to.
    #[error("too large, or not a number")]
    TooLarge,
    /// The value was not the expected one.
    #[error("the value was not the expected one")]
    Conflict,
}
