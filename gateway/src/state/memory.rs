//! The store in memory: what all namespaces hold together, and who makes room for whom.
//!
//! What is about to come is charged first, to its namespace and to the store. While the store is then over one of its
//! bounds, entries of the namespace go that is furthest over its share: since all shares together are no more than the
//! bound, there is one. So an entry of a namespace within its share never goes before it expires. Charging and evicting
//! take no lock but those of one shard at a time, and what changes an entry without making it larger does neither.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::amount::{Amount, Tally, Unit};
use super::entry::{Kind, Wanted};
use super::space::{Held, Space};

/// Evictions from one namespace before another one may be further over its share.
const BATCH: usize = 32;
/// What goes beyond the room that an entry needs while a bound does not hold: a store that is over it comes back.
const MORE: Amount = Amount {
    entries: 2,
    bytes: 1 << 10,
};
/// How often all that are over their share are tried. Where none of them has anything to evict, since what they are
/// charged for is yet to come, the store is over its bound by what its threads are about to store.
const ROUNDS: usize = 4;

type Hasher = foldhash::fast::RandomState;

/// Keys and values by namespace, with expiry.
#[derive(Debug)]
pub struct Memory {
    hasher: Hasher,
    started: Instant,
    /// The bounds.
    most: Tally,
    /// What each namespace of the configuration in force is guaranteed.
    share: Tally,
    /// What all namespaces are charged.
    used: Tally,
    spaces: ArcSwap<Vec<Arc<Space>>>,
    /// The namespaces of the configuration in force; locked by what changes `spaces`.
    in_force: Mutex<BTreeSet<Arc<str>>>,
}

impl Memory {
    /// An empty store within these bounds, for these namespaces.
    pub fn new<'a>(most: Amount, names: impl IntoIterator<Item = &'a Arc<str>>) -> Arc<Self> {
        let store = Self {
            hasher: Hasher::default(),
            started: Instant::now(),
            most: Tally::default(),
            share: Tally::default(),
            used: Tally::default(),
            spaces: ArcSwap::default(),
            in_force: Mutex::default(),
        };
        store.resize(most, names);
        Arc::new(store)
    }

    /// Other bounds, and other namespaces, from now on. Those that stay keep what they hold; what others hold is evicted
    /// first. What is over a lower bound goes with [`Self::shrink`].
    pub fn resize<'a>(&self, most: Amount, names: impl IntoIterator<Item = &'a Arc<str>>) {
        let mut in_force = self.in_force.lock();
        *in_force = names.into_iter().cloned().collect();
        self.share.set(most.split(in_force.len()));
        self.most.set(most);
        let mut spaces = Vec::clone(&self.spaces.load());
        for space in &spaces {
            space.set_in_force(in_force.contains(&space.name));
        }
        // One that a plugin still holds, or that holds something, stays.
        let is_needed = |space: &Arc<Space>| {
            space.is_in_force() || space.used.get().entries > 0 || Arc::strong_count(space) > 2
        };
        spaces.retain(is_needed);
        self.spaces.store(Arc::new(spaces));
    }

    /// Evicts until both bounds hold, which takes a while after a lower one: for a thread that serves nothing.
    pub fn shrink(&self) {
        self.make_room(Amount::ALL);
    }

    /// What each namespace holds.
    pub fn held(&self) -> Vec<Held> {
        let spaces = self.spaces.load();
        spaces.iter().map(|space| space.held()).collect()
    }

    /// The namespace of this name.
    pub(super) fn space(&self, name: &Arc<str>) -> Arc<Space> {
        let in_force = self.in_force.lock();
        let spaces = self.spaces.load();
        if let Some(present) = spaces.iter().find(|space| space.name == *name) {
            return present.clone();
        }
        let made = Arc::new(Space::new(name.clone(), in_force.contains(name)));
        let mut more = Vec::clone(&spaces);
        more.push(made.clone());
        self.spaces.store(Arc::new(more));
        made
    }

    pub(super) fn wanted<'a>(&self, kind: Kind, key: &'a str) -> Wanted<'a> {
        Wanted::new(self.hasher.hash_one((kind, key)), kind, key)
    }

    /// Milliseconds since the store began.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Bytes that one entry may have.
    pub(super) fn largest(&self) -> usize {
        self.share.get().bytes
    }

    /// Charges a namespace for what it is about to hold.
    pub(super) fn reserve(&self, space: &Space, amount: Amount) {
        space.used.add(amount);
        self.used.add(amount);
        self.make_room(amount.plus(MORE));
    }

    /// Takes back what was charged.
    pub(super) fn release(&self, space: &Space, amount: Amount) {
        space.used.sub(amount);
        self.used.sub(amount);
    }

    /// Evicts until both bounds hold, or so much has gone.
    fn make_room(&self, wanted: Amount) {
        let mut wanted = wanted;
        let (mut below, mut rounds) = (None, 0);
        while let Some(unit) = self.exceeded(wanted) {
            let Some(over) = self.furthest_over(unit, below.take()) else {
                rounds += 1;
                if rounds < ROUNDS {
                    continue;
                }
                return;
            };
            let now = self.now();
            let mut evicted = 0;
            while evicted < BATCH
                && self.exceeded(wanted) == Some(unit)
                && let Some(gone) = over.space.evict(unit, over.share, now)
            {
                self.used.sub(gone);
                wanted = wanted.minus(gone);
                evicted += 1;
            }
            if evicted == 0 {
                below = Some(over.rank);
            }
        }
    }

    /// A bound that does not hold, of which something is still wanted.
    fn exceeded(&self, wanted: Amount) -> Option<Unit> {
        let (used, most) = (self.used.get(), self.most.get());
        let over = |unit: &Unit| wanted.of(*unit) > 0 && used.of(*unit) > most.of(*unit);
        [Unit::Entries, Unit::Bytes].into_iter().find(over)
    }

    /// The namespace with the most beyond its share, of those below a rank.
    fn furthest_over(&self, unit: Unit, below: Option<Rank>) -> Option<Over> {
        let share = self.share.get();
        let spaces = self.spaces.load();
        let ranked = spaces.iter().map(|space| {
            let in_force = space.is_in_force();
            let own = if in_force { share } else { Amount::NONE };
            let beyond = space.used.get().of(unit).saturating_sub(own.of(unit));
            ((!in_force, beyond), own, space)
        });
        let (rank, share, space) = ranked
            .filter(|(rank, ..)| rank.1 > 0 && below.is_none_or(|below| *rank < below))
            .max_by_key(|(rank, ..)| *rank)?;
        Some(Over {
            space: space.clone(),
            share,
            rank,
        })
    }
}

/// Whether a namespace is none of the configuration in force, which comes before all else, and what it has beyond its
/// share.
type Rank = (bool, usize);

/// A namespace over its share.
#[derive(Debug)]
struct Over {
    space: Arc<Space>,
    share: Amount,
    rank: Rank,
}

#[cfg(test)]
mod tests;
