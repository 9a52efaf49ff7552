//! Where a connection leads to.

/// Where a connection leads to, and where it is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) struct Way {
    /// The slot of the endpoint.
    pub(in crate::upstream) endpoint: usize,
    /// The address of its client, which has one event loop.
    pub(in crate::upstream) client: usize,
    /// The mark of its TLS.
    pub(in crate::upstream) tls: usize,
}

impl Way {
    /// Whether it leads to the same endpoint, over the same TLS or none, whoever drives it.
    pub(super) fn leads_as(self, other: Self) -> bool {
        self.endpoint == other.endpoint && self.tls == other.tls
    }
}
