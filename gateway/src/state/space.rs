//! The entries of one namespace, in shards, and which of them goes first.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::amount::{Amount, Tally, Unit};
use super::shard::{Candidate, Evicted, Shard};

/// Workers that work in one namespace rarely meet in one of so many.
const SHARDS: usize = 64;
/// How many entries are looked at to find one to evict. As Redis does: a sample is as good as a list, and a key
/// in use is never the oldest of one.
const SAMPLE: usize = 8;
/// How often one that was used just then is let off and another one is looked for.
const TRIES: usize = 8;
/// Evictions that come within so many milliseconds of each other are said once.
const QUIET: u64 = 60_000;

/// What a namespace holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The plugin, by its name in the configuration.
    pub name: Arc<str>,
    /// Its entries, expired ones that were not met yet included, and what they take.
    pub amount: Amount,
    /// How many of its entries had to go before they expired.
    pub evictions: u64,
}

/// One namespace.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) name: Arc<str>,
    shards: Box<[Mutex<Shard>]>,
    /// What it is charged: all that it holds, and what is about to come.
    pub(super) used: Tally,
    /// Whether the configuration in force has it: else it has no share.
    in_force: AtomicBool,
    evictions: AtomicU64,
    /// Milliseconds since the store began, and one; 0 for never.
    last_eviction: AtomicU64,
}

impl Space {
    pub(super) fn new(name: Arc<str>, in_force: bool) -> Self {
        Self {
            name,
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new())).collect(),
            used: Tally::default(),
            in_force: AtomicBool::new(in_force),
            evictions: AtomicU64::new(0),
            last_eviction: AtomicU64::new(0),
        }
    }

    /// The part in which a hash belongs.
    pub(super) fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        self.shards[shard_of(hash)].lock()
    }

    pub(super) fn is_in_force(&self) -> bool {
        self.in_force.load(Ordering::Relaxed)
    }

    pub(super) fn set_in_force(&self, in_force: bool) {
        self.in_force.store(in_force, Ordering::Relaxed);
    }

    pub(super) fn held(&self) -> Held {
        Held {
            name: self.name.clone(),
            amount: self.used.get(),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }

    /// Removes one of a sample, as long as there is more than `share` of a unit: an expired entry, or else the one that
    /// was used the longest ago. What it took.
    pub(super) fn evict(&self, unit: Unit, share: Amount, now: u64) -> Option<Amount> {
        let most = share.of(unit);
        for _ in 0..TRIES {
            let (shard, candidate) = self.oldest(now)?;
            let allowed = |amount| self.used.sub_if_over(amount, unit, most);
            let evicted = shard.lock().evict(candidate, now, allowed);
            match evicted {
                ControlFlow::Break(()) => return None,
                ControlFlow::Continue(None) => {}
                ControlFlow::Continue(Some(Evicted { amount, expired })) => {
                    if expired {
                        self.used.sub(amount);
                    } else {
                        self.count_eviction(share, now);
                    }
                    return Some(amount);
                }
            }
        }
        None
    }

    /// What goes first of a sample, which begins in any shard and goes on in the next ones if that has too few.
    fn oldest(&self, now: u64) -> Option<(&Mutex<Shard>, Candidate)> {
        let (one, other) = self.shards.split_at(fastrand::usize(..SHARDS));
        let mut oldest: Option<(&Mutex<Shard>, Candidate)> = None;
        let mut left = SAMPLE;
        for shard in other.iter().chain(one) {
            for candidate in shard.lock().sample(left, now) {
                left -= 1;
                if oldest.is_none_or(|(_, oldest)| candidate.age < oldest.age) {
                    oldest = Some((shard, candidate));
                }
            }
            if left == 0 {
                break;
            }
        }
        oldest
    }

    /// Counts an eviction, and says so if it is the first for a while.
    fn count_eviction(&self, share: Amount, now: u64) {
        self.evictions.fetch_add(1, Ordering::Relaxed);
        let last = self.last_eviction.swap(now + 1, Ordering::Relaxed);
        let quiet = last == 0 || now + 1 > last.saturating_add(QUIET);
        if quiet && self.is_in_force() {
            let held = self.used.get();
            tracing::warn!(
                plugin = &*self.name,
                entries = held.entries,
                bytes = held.bytes,
                share_entries = share.entries,
                share_bytes = share.bytes,
                "the state is full and the plugin has more than its share of it: what it used the longest ago is evicted; \
                 `state.max_entries` and `state.max_bytes` bound the state"
            );
        }
    }

    /// What all entries take, counted anew.
    #[cfg(test)]
    pub(super) fn amount(&self) -> Amount {
        let amounts = self.shards.iter().map(|shard| shard.lock().amount());
        amounts.fold(Amount::NONE, Amount::plus)
    }
}

/// The bits in the middle choose the shard: the map finds its bucket with the low ones and tells entries apart by the
/// seven high ones, so both must stay free to differ within a shard.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn the_shard_depends_on_no_bit_the_map_needs_and_is_spread_evenly() {
        for hash in [0, u64::MAX, 0x0123_4567_89ab_cdef] {
            let seven_high = hash ^ (0x7f << 57);
            assert_eq!(shard_of(hash), shard_of(seven_high));
            assert_eq!(shard_of(hash), shard_of(hash ^ 0xffff_ffff), "the low bits");
        }
        // Of fixed seeds, and of keys as plugins have them: one seed in some thousands spreads plain numbers badly.
        let hasher = foldhash::fast::FixedState::with_seed(1);
        let mut lengths = [0; SHARDS];
        for number in 0..SHARDS * 100 {
            lengths[shard_of(hasher.hash_one(format!("client-{number}")))] += 1;
        }
        let even = lengths.iter().all(|length| (40..=200).contains(length));
        assert!(even, "{lengths:?}");
    }
}
