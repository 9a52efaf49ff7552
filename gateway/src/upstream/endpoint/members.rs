//! The endpoints of an upstream, as its configuration has them.

use http::HeaderValue;

use super::listed::Listed;
pub use super::member::Member;
use crate::upstream::balance::Spread;

/// The endpoints of an upstream: those of a configuration, in its order.
#[derive(Debug)]
pub struct Members {
    all: Vec<Member>,
    _listed: Listed,
    /// Those that are no backups.
    pub(in crate::upstream) first: Spread,
    /// Those that are.
    pub(in crate::upstream) backups: Spread,
}

impl Members {
    pub(in crate::upstream) fn new(members: Vec<Member>) -> Self {
        let listed = Listed::new(members.iter().map(|member| &member.endpoint));
        let (backups, first) = members.iter().cloned().partition(|member| member.backup);
        Self {
            all: members,
            _listed: listed,
            first: Spread::new(first),
            backups: Spread::new(backups),
        }
    }

    /// Each, in the order of the configuration.
    pub fn all(&self) -> &[Member] {
        &self.all
    }

    /// What stands for each as a `Host`.
    pub fn authorities(&self) -> impl Iterator<Item = &HeaderValue> {
        self.all.iter().map(|member| &member.endpoint.authority)
    }
}
