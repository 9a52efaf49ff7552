//! One operation on one key of a locked shard.

use std::time::Duration;

use super::StateError;
use super::amount::Amount;
use super::entry::{Entry, Value, Wanted};
use super::shard::Shard;

/// Why an operation does not end here.
#[derive(Debug)]
pub(super) enum Halt {
    /// It is refused.
    Refused(StateError),
    /// It needs room that is not charged yet.
    Needs(Needs),
}

impl From<StateError> for Halt {
    fn from(error: StateError) -> Self {
        Self::Refused(error)
    }
}

/// Room for an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    /// What is to be charged beyond what is.
    pub(super) more: Amount,
    /// Bytes of the whole entry.
    pub(super) entry: usize,
}

/// One key of a locked shard.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    shard: &'a mut Shard,
    wanted: Wanted<'a>,
    /// Where the entry is, expired or not.
    index: Option<usize>,
    /// Milliseconds since the store began.
    now: u64,
    /// What the namespace is charged and no entry takes: taken from by what grows, added to by what goes.
    room: &'a mut Amount,
}

impl<'a> Slot<'a> {
    pub(super) fn new(
        shard: &'a mut Shard,
        wanted: Wanted<'a>,
        now: u64,
        room: &'a mut Amount,
    ) -> Self {
        Self {
            index: shard.find(&wanted),
            shard,
            wanted,
            now,
            room,
        }
    }

    /// The value, unless it has expired. To look is to use.
    pub(super) fn value(&mut self) -> Option<&Value> {
        let used = self.shard.tick(self.now);
        let entry = self.shard.at(self.index?)?;
        if entry.expires <= self.now {
            return None;
        }
        entry.used = used;
        Some(&entry.value)
    }

    /// Sees to it that there is room for a value of so many bytes.
    pub(super) fn ensure(&mut self, value: usize) -> Result<(), Halt> {
        let entry = self.wanted.cost(value);
        let wanted = match self.present() {
            Some(present) => Amount::entry(entry).minus(present),
            None => {
                *self.room = self.room.plus(self.shard.sweep(self.now));
                Amount::entry(entry)
            }
        };
        let more = wanted.minus(*self.room);
        if more == Amount::NONE {
            Ok(())
        } else {
            Err(Halt::Needs(Needs { more, entry }))
        }
    }

    /// Stores a value for which there is room.
    pub(super) fn put(&mut self, value: Value, ttl: Option<Duration>) {
        let expires = ttl.map_or(u64::MAX, |ttl| {
            let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            self.now.saturating_add(ttl)
        });
        self.charge(&value);
        let used = self.shard.tick(self.now);
        match self.index.and_then(|index| self.shard.at(index)) {
            Some(present) => {
                present.value = value;
                present.expires = expires;
                present.used = used;
            }
            None => {
                let entry = Entry {
                    kind: self.wanted.kind,
                    key: self.wanted.key.into(),
                    value,
                    expires,
                    used,
                };
                self.shard.insert(self.wanted.hash, entry);
            }
        }
    }

    /// Another value under the expiry that stands, for which there is room.
    pub(super) fn replace(&mut self, value: Value) {
        self.charge(&value);
        if let Some(present) = self.index.and_then(|index| self.shard.at(index)) {
            present.value = value;
        }
    }

    /// Removes the entry, if there is one.
    pub(super) fn remove(&mut self) {
        if let Some(index) = self.index.take() {
            *self.room = self.room.plus(self.shard.remove(index));
        }
    }

    /// What the entry takes that is there, expired or not.
    fn present(&self) -> Option<Amount> {
        self.shard.amount_at(self.index?)
    }

    /// Takes from the room what a value makes the entry larger, or gives back what it makes it smaller.
    fn charge(&mut self, value: &Value) {
        let before = self.present().unwrap_or(Amount::NONE);
        let after = Amount::entry(self.wanted.cost(value.size()));
        *self.room = self.room.plus(before).minus(after);
    }
}
