//! What the mirrors of routes did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::shards::{ByKind, Counter};
use crate::message::error::ErrorKind;

/// By the names of route and upstream.
pub(super) type ByRoute = Mutex<BTreeMap<(String, String), Arc<MirrorMetrics>>>;

/// What one mirror of one route did.
#[derive(Debug)]
pub struct MirrorMetrics {
    pub(super) sent: Counter,
    pub(super) failed: ByKind,
    pub(super) dropped: ByKind,
    /// Of all workers together, since there may be only so many. Only requests that are copied touch it.
    pub(super) under_way: AtomicUsize,
}

/// A copy that is made or under way, as long as this lives.
#[derive(Debug)]
pub struct UnderWay(Arc<MirrorMetrics>);

impl Default for MirrorMetrics {
    fn default() -> Self {
        Self {
            sent: Counter::new(),
            failed: ByKind::new(),
            dropped: ByKind::new(),
            under_way: AtomicUsize::new(0),
        }
    }
}

impl MirrorMetrics {
    /// A copy begins, unless so many are under way.
    pub fn begin(self: &Arc<Self>, most: usize) -> Option<UnderWay> {
        let one_more = |under_way| (under_way < most).then_some(under_way + 1);
        let begun = self.under_way.fetch_update(Relaxed, Relaxed, one_more);
        begun.ok().map(|_| UnderWay(self.clone()))
    }

    /// A copy goes out.
    pub fn sent(&self) {
        self.sent.add(1);
    }

    /// A copy that went out had no whole answer.
    pub fn failed(&self, kind: ErrorKind) {
        self.failed.add(kind.name());
    }

    /// A copy was given up before it went out.
    pub fn dropped(&self, reason: &'static str) {
        self.dropped.add(reason);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_copies_are_under_way_at_once_and_no_more() {
        let mirror = Arc::new(MirrorMetrics::default());
        let first = mirror.begin(2).unwrap();
        let _second = mirror.begin(2).unwrap();
        assert!(mirror.begin(2).is_none());
        // A reload may lower it.
        assert!(mirror.begin(1).is_none());
        drop(first);
        assert!(mirror.begin(2).is_some());
    }
}
