//! The states of a breaker, and what it says to a request that may not go out.

use std::fmt;
use std::time::Duration;

/// In which state a breaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests go out.
    Closed,
    /// None does.
    Open,
    /// One does, to see.
    HalfOpen,
}

/// Why a request may not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The breaker is open for so long.
    Open(Duration),
    /// It is half open, and another request is under way to see.
    HalfOpen,
    /// So many are under way as may be.
    Full(usize),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HalfOpen | Self::Open(Duration::ZERO) => f.write_str(
                "its breaker is half open: one request is under way, to see whether the upstream is well",
            ),
            Self::Open(left) => {
                // In whole milliseconds, rounded up: nobody comes too soon.
                let left = u64::try_from(left.as_micros().div_ceil(1000));
                let left = Duration::from_millis(left.unwrap_or(u64::MAX));
                write!(f, "its breaker is open for {left:?} more")
            }
            Self::Full(most) => write!(
                f,
                "{most} requests are under way, as many as `breaker.max_requests` allows"
            ),
        }
    }
}
