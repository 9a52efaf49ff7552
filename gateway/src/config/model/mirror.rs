//! `routes.mirror`: where copies of requests go.

use super::upstream::UpstreamId;

/// `routes.mirror`, or one of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mirror {
    /// Where copies go.
    pub upstream: UpstreamId,
    /// The share of requests that are copied, 0.0 to 1.0.
    pub ratio: f64,
    /// The largest body of a copy, bytes.
    pub max_body: usize,
    /// Copies that may be made or under way at once, over all workers.
    pub max_concurrent: usize,
}
