//! The endpoints in force know each other, and are published.

use std::sync::{Arc, Weak};

use super::Endpoint;

/// Endpoints of one upstream that are in force, each once: as long as this is there, they are published.
#[derive(Debug)]
pub(super) struct Listed(Vec<Arc<Endpoint>>);

impl Listed {
    /// These are those in force from now on.
    pub(in crate::upstream) fn new<'a>(endpoints: impl Iterator<Item = &'a Arc<Endpoint>>) -> Self {
        let listed = list(endpoints);
        for endpoint in &listed {
            let observed: Weak<Endpoint> = Arc::downgrade(endpoint);
            endpoint.counts.listed(|| observed);
        }
        Self(listed)
    }
}

/// Has these endpoints of one upstream know each other; each once.
pub(in crate::upstream) fn list<'a>(
    endpoints: impl Iterator<Item = &'a Arc<Endpoint>>,
) -> Vec<Arc<Endpoint>> {
    let mut listed: Vec<_> = endpoints.cloned().collect();
    listed.sort_by_key(|it| Arc::as_ptr(it).addr());
    listed.dedup_by(|one, other| Arc::ptr_eq(one, other));
    if let Some(first) = listed.first() {
        *first.of.siblings.lock() = listed.iter().map(Arc::downgrade).collect();
    }
    listed
}

impl Drop for Listed {
    fn drop(&mut self) {
        for endpoint in &self.0 {
            endpoint.counts.unlisted();
        }
    }
}
