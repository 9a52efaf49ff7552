//! The entries of a part of one namespace: found by hash, aged by use, and charged for what they take.

use std::ops::ControlFlow;

use foldhash::fast::FixedState;
use indexmap::IndexMap;
use indexmap::map::MutableKeys as _;
use indexmap::map::raw_entry_v1::{RawEntryApiV1 as _, RawEntryMut};

use super::amount::Amount;
use super::entry::{Entry, Wanted};

/// How many old entries are looked at when a new one comes, to remove those that have expired: more than come, so that
/// they cannot pile up.
const SWEEP: usize = 2;
/// Entries for which a table keeps room without need.
const SPARE: usize = 16;
/// Bits of a time that tell uses of one millisecond apart.
const USES: u32 = 20;

/// Part of a namespace.
///
/// The map never hashes: [`Wanted`] does, once for map and shard. Entries are on the heap by themselves: what grows and
/// leaves holes in the allocator's pages are addresses, and all entries fit in each other's place.
#[derive(Debug)]
pub(super) struct Shard {
    entries: IndexMap<Box<Entry>, (), FixedState>,
    /// The time of the last use.
    uses: u64,
    /// Where the next sweep begins.
    swept: usize,
}

/// An entry that may go, as it was when it was looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    index: usize,
    used: u64,
    /// Sorts what goes first before all else: what has expired, then what was used the longest ago.
    pub(super) age: u64,
}

/// What went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evicted {
    pub(super) amount: Amount,
    /// It had expired: nothing was lost.
    pub(super) expired: bool,
}

impl Shard {
    pub(super) fn new() -> Self {
        Self {
            entries: IndexMap::with_hasher(FixedState::default()),
            uses: 0,
            swept: 0,
        }
    }

    /// Where an entry is, expired or not.
    pub(super) fn find(&self, wanted: &Wanted<'_>) -> Option<usize> {
        let entries = self.entries.raw_entry_v1();
        entries.index_from_hash(wanted.hash, |entry| {
            entry.kind == wanted.kind && *entry.key == *wanted.key
        })
    }

    /// The entry at a place.
    pub(super) fn at(&mut self, index: usize) -> Option<&mut Entry> {
        Some(self.entries.get_index_mut2(index)?.0)
    }

    /// What the entry at a place takes.
    pub(super) fn amount_at(&self, index: usize) -> Option<Amount> {
        Some(self.entries.get_index(index)?.0.amount())
    }

    /// The time of a use, later than that of every use before: milliseconds since the store began, and below them a
    /// count.
    pub(super) fn tick(&mut self, now: u64) -> u64 {
        self.uses = (self.uses + 1).max(now << USES);
        self.uses
    }

    /// Adds an entry whose key is not there.
    pub(super) fn insert(&mut self, hash: u64, entry: Entry) {
        let entries = self.entries.raw_entry_mut_v1();
        if let RawEntryMut::Vacant(place) = entries.from_hash(hash, |_| false) {
            place.insert_hashed_nocheck(hash, Box::new(entry), ());
        }
    }

    /// Removes an entry; what it took. A table that is far too large for the rest gives room back.
    pub(super) fn remove(&mut self, index: usize) -> Amount {
        let Some((entry, ())) = self.entries.swap_remove_index(index) else {
            return Amount::NONE;
        };
        // A map that grows has twice the room that it needs.
        let length = self.entries.len();
        if self.entries.capacity() > length * 9 / 4 + SPARE {
            self.entries.shrink_to(length * 5 / 4);
        }
        entry.amount()
    }

    /// Removes what has expired of the next few entries; what that took.
    pub(super) fn sweep(&mut self, now: u64) -> Amount {
        let mut gone = Amount::NONE;
        for _ in 0..SWEEP {
            if self.swept >= self.entries.len() {
                self.swept = 0;
            }
            match self.entries.get_index(self.swept) {
                Some((entry, ())) if entry.expires <= now => {
                    gone = gone.plus(self.remove(self.swept));
                }
                _ => self.swept += 1,
            }
        }
        gone
    }

    /// Looks at up to `most` entries, evenly spread from a random start: none is looked at twice, and a small shard is
    /// looked at whole.
    pub(super) fn sample(&self, most: usize, now: u64) -> impl Iterator<Item = Candidate> {
        let length = self.entries.len();
        let count = length.min(most);
        let (start, step) = match count {
            0 => (0, 0),
            _ => (fastrand::usize(..length), length / count),
        };
        (0..count).filter_map(move |nth| {
            let index = (start + nth * step) % length;
            let (entry, ()) = self.entries.get_index(index)?;
            let used = entry.used;
            let age = if entry.expires <= now { 0 } else { used };
            Some(Candidate { index, used, age })
        })
    }

    /// Removes an entry if it is still what it was. `allowed` decides about one that has not expired; breaks if it says
    /// no.
    pub(super) fn evict(
        &mut self,
        candidate: Candidate,
        now: u64,
        allowed: impl FnOnce(Amount) -> bool,
    ) -> ControlFlow<(), Option<Evicted>> {
        let entry = self.entries.get_index(candidate.index);
        let Some((entry, ())) = entry.filter(|(entry, ())| entry.used == candidate.used) else {
            return ControlFlow::Continue(None);
        };
        let (amount, expired) = (entry.amount(), entry.expires <= now);
        if !expired && !allowed(amount) {
            return ControlFlow::Break(());
        }
        self.remove(candidate.index);
        ControlFlow::Continue(Some(Evicted { amount, expired }))
    }

    /// What all entries take, counted anew.
    #[cfg(test)]
    pub(super) fn amount(&self) -> Amount {
        let amounts = self.entries.keys().map(|entry| entry.amount());
        amounts.fold(Amount::NONE, Amount::plus)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use super::super::entry::{Kind, Value};
    use super::*;

    fn filled(count: usize, mut after: impl FnMut(&Shard)) -> Shard {
        let hasher = foldhash::fast::RandomState::default();
        let mut shard = Shard::new();
        for number in 0..count {
            let entry = Entry {
                kind: Kind::Value,
                key: number.to_string().into(),
                value: Value::Number(0),
                expires: u64::MAX,
                used: shard.tick(0),
            };
            shard.insert(hasher.hash_one(number), entry);
            after(&shard);
        }
        shard
    }

    #[test]
    fn a_table_keeps_room_for_as_many_again_and_a_quarter_at_most() {
        let assert_small = |shard: &Shard| {
            let (length, capacity) = (shard.entries.len(), shard.entries.capacity());
            assert!(
                capacity <= length * 9 / 4 + SPARE,
                "{capacity} for {length}"
            );
        };
        let mut shard = filled(10_000, assert_small);
        while !shard.entries.is_empty() {
            shard.remove(0);
            assert_small(&shard);
        }
    }

    #[test]
    fn uses_of_one_millisecond_are_in_order_and_none_is_older_than_its_time() {
        let mut shard = Shard::new();
        let times = [shard.tick(5), shard.tick(5), shard.tick(4), shard.tick(6)];
        assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
        assert!(times[0] >= 5 << USES && times[3] >= 6 << USES);
    }

    #[test]
    fn a_sample_has_no_entry_twice_and_a_small_shard_is_looked_at_whole() {
        for (length, most, looked_at) in [(0, 8, 0), (3, 8, 3), (8, 8, 8), (9, 8, 8), (100, 8, 8)] {
            let shard = filled(length, |_| ());
            let mut seen: Vec<_> = shard.sample(most, 0).map(|each| each.index).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), looked_at, "{most} of {length}");
        }
    }

    #[test]
    fn an_entry_that_was_used_since_it_was_looked_at_stays() {
        let mut shard = filled(1, |_| ());
        let candidate = shard.sample(1, 0).next().unwrap();
        let used = shard.tick(0);
        shard.at(0).unwrap().used = used;
        let evicted = shard.evict(candidate, 0, |_| true);
        assert!(matches!(evicted, ControlFlow::Continue(None)));
        let candidate = shard.sample(1, 0).next().unwrap();
        assert!(shard.evict(candidate, 0, |_| false).is_break());
        let evicted = shard.evict(candidate, 0, |_| true);
        assert!(matches!(evicted, ControlFlow::Continue(Some(_))));
        assert_eq!(shard.amount(), Amount::NONE);
    }
}
