//! How long an endpoint has been waited for.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// Follows a body that streams.
pub(in crate::upstream) trait Follows: Send + Sync {
    /// Since when the endpoint has been waited for; none while it is the client.
    fn since(&self) -> Option<Instant>;
}

/// Whom the attempt waits for.
pub(in crate::upstream) enum Silence {
    /// Not for the endpoint.
    Elsewhere,
    /// For the endpoint since then: it has the whole request.
    Endpoint(Instant),
    /// As this upload tells.
    Upload(Arc<dyn Follows>),
}

impl Silence {
    /// For the endpoint since then, if the whole request is out.
    #[inline]
    pub(in crate::upstream) fn of(since: Instant, is_out: bool) -> Self {
        match is_out {
            true => Self::Endpoint(since),
            false => Self::Elsewhere,
        }
    }

    /// How long the endpoint has had the whole request.
    #[inline]
    pub(in crate::upstream) fn lasts(&self, now: Instant) -> Option<Duration> {
        let since = match self {
            Self::Elsewhere => None,
            Self::Endpoint(since) => Some(*since),
            Self::Upload(course) => course.since(),
        };
        since.map(|since| now.saturating_duration_since(since))
    }
}
