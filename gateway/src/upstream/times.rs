//! When things happen to a request.

use std::time::Instant;

/// When things happen.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Now.
    pub now: Instant,
    /// When the exchange as a whole must be over.
    pub deadline: Option<Instant>,
}
