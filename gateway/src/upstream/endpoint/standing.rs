//! Whether an endpoint takes requests, and if not, why.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use parking_lot::Mutex;

/// What keeps requests from an endpoint. Each comes and goes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// It failed the checks of its health.
    Unhealthy,
    /// It failed requests.
    Ejected,
    /// An operator drains it.
    Drained,
}

/// What keeps requests from an endpoint now.
#[derive(Debug, Default)]
pub struct Standing {
    /// A bit for each obstacle.
    bits: AtomicU8,
    reasons: Mutex<[Option<Reason>; 3]>,
}

/// Why there is an obstacle.
#[derive(Debug, Clone)]
pub struct Reason {
    /// Since when.
    pub since: SystemTime,
    /// What happened, for people.
    pub why: String,
}

impl Obstacle {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Unhealthy, Self::Ejected, Self::Drained];

    /// As metrics and the admin listener name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Drained => "drained",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Standing {
    /// Whether nothing keeps requests from it.
    #[inline]
    pub fn is_clear(&self) -> bool {
        self.bits.load(Relaxed) == 0
    }

    /// Whether this keeps requests from it.
    pub fn has(&self, obstacle: Obstacle) -> bool {
        self.bits.load(Relaxed) & obstacle.bit() != 0
    }

    /// From now on this keeps requests from it. Whether it did not before.
    pub fn block(&self, obstacle: Obstacle, why: impl Into<String>) -> bool {
        let (since, why) = (SystemTime::now(), why.into());
        self.block_for(obstacle, Reason { since, why })
    }

    /// The same for a reason that there was before.
    pub(super) fn block_for(&self, obstacle: Obstacle, reason: Reason) -> bool {
        let mut reasons = self.reasons.lock();
        reasons[obstacle as usize].get_or_insert(reason);
        self.bits.fetch_or(obstacle.bit(), Relaxed) & obstacle.bit() == 0
    }

    /// This keeps requests from it no more. Whether it did before.
    pub fn clear(&self, obstacle: Obstacle) -> bool {
        let mut reasons = self.reasons.lock();
        reasons[obstacle as usize] = None;
        self.bits.fetch_and(!obstacle.bit(), Relaxed) & obstacle.bit() != 0
    }

    /// What keeps requests from it, and why.
    pub fn reasons(&self) -> Vec<(Obstacle, Reason)> {
        let reasons = self.reasons.lock();
        let of = |obstacle: Obstacle| Some((obstacle, reasons[obstacle as usize].clone()?));
        Obstacle::ALL.into_iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_obstacle_comes_and_goes_by_itself() {
        let standing = Standing::default();
        assert!(standing.block(Obstacle::Unhealthy, "no answer"));
        assert!(!standing.block(Obstacle::Unhealthy, "refused"), "it was");
        assert!(standing.block(Obstacle::Drained, "by an operator"));
        assert!(standing.clear(Obstacle::Unhealthy) && !standing.is_clear());
        assert!(!standing.clear(Obstacle::Unhealthy), "it was none");
        let [(obstacle, reason)] = &standing.reasons()[..] else {
            panic!("one is left");
        };
        assert_eq!(*obstacle, Obstacle::Drained);
        assert_eq!(reason.why, "by an operator");
        assert!(standing.clear(Obstacle::Drained) && standing.is_clear());
    }
}
