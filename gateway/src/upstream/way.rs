//! Where a connection leads to.

/// Where a connection leads to, and where it is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// The slot of the endpoint.
    pub(super) endpoint: usize,
    /// The address of its client, which has one event loop.
    pub(super) client: usize,
    /// The mark of its TLS.
    pub(super) tls: usize,
}

impl Way {
    /// Whether it leads to the same endpoint, over the same TLS or none, whoever drives it.
    pub(super) fn leads_as(self, other: Self) -> bool {
        self.endpoint == other.endpoint && self.tls == other.tls
    }
}
