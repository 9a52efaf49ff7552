//! One entry: what it is found by, what it holds, and what it is charged.

use std::sync::Arc;

use super::amount::Amount;
use super::limiter::{Algorithm, Quota, Usage};

/// What an entry is charged beside its key and its value, in bytes: itself, its place in the table and in the index with
/// the room that both keep for more, the counts of a value that is shared, and what the allocator rounds up.
pub const OVERHEAD: usize = 200;

/// What a key stands for. Part of the key, so that a value never takes the place of a limit, and neither another
/// algorithm nor another window misreads what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Value,
    TokenBucket { window_ms: u32 },
    SlidingWindow { window_ms: u32 },
    FixedWindow { window_ms: u32 },
}

impl From<&Quota> for Kind {
    fn from(quota: &Quota) -> Self {
        let window_ms = quota.window_ms;
        match quota.algorithm {
            Algorithm::TokenBucket => Self::TokenBucket { window_ms },
            Algorithm::SlidingWindow => Self::SlidingWindow { window_ms },
            Algorithm::FixedWindow => Self::FixedWindow { window_ms },
        }
    }
}

/// A key that is looked for, hashed once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) kind: Kind,
    pub(super) key: &'a str,
    pub(super) hash: u64,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(hash: u64, kind: Kind, key: &'a str) -> Self {
        Self { kind, key, hash }
    }

    /// The bytes that an entry with this key and a value of so many bytes takes.
    pub(super) fn cost(&self, value: usize) -> usize {
        cost(self.key.len(), value)
    }
}

/// The bytes that an entry takes, by those of its key and of its value.
fn cost(key: usize, value: usize) -> usize {
    key + value + OVERHEAD
}

/// What a key stands for, and since when.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) key: Box<str>,
    pub(super) value: Value,
    /// Milliseconds since the store began; `u64::MAX` for never.
    pub(super) expires: u64,
    /// When it was last used, by the clock of its shard.
    pub(super) used: u64,
}

impl Entry {
    /// What it is charged.
    pub(super) fn amount(&self) -> Amount {
        Amount::entry(cost(self.key.len(), self.value.size()))
    }
}

/// What is under a key.
#[derive(Debug)]
pub(super) enum Value {
    Bytes(Arc<[u8]>),
    /// What was added to. It takes no bytes of its own, so that a number which grows never needs room.
    Number(i64),
    Usage(Usage),
}

impl Value {
    /// Bytes beside the entry.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Number(_) | Self::Usage(_) => 0,
        }
    }

    /// The bytes that a plugin stored or would read.
    pub(super) fn bytes(&self) -> Option<Arc<[u8]>> {
        match self {
            Self::Bytes(bytes) => Some(bytes.clone()),
            Self::Number(number) => Some(number.to_string().into_bytes().into()),
            Self::Usage(_) => None,
        }
    }

    /// The number that it is, also where it was stored as text.
    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            Self::Number(number) => Some(*number),
            Self::Usage(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_no_more_than_it_is_charged() {
        // A place in the table holds hash and address, one in the index a number and a byte; of the places of the index 7
        // in 8 are used. The table has at most 9 for 4 entries; the index has a power of two, and shrinks with the table.
        let table = 2 * size_of::<usize>() * 9 / 4;
        let index = (size_of::<usize>() + 1) * 8 / 7 * 9 / 2;
        let counts = 2 * size_of::<usize>();
        // Of entry, key and value.
        let rounding = 3 * 8;
        let all = size_of::<Entry>() + table + index + counts + rounding;
        assert!(all <= OVERHEAD, "{all}");
    }

    #[test]
    fn the_docs_say_what_an_entry_counts() {
        let state = include_str!("../../../docs/state.md");
        let formula = format!("bytes of the key + bytes of the value + {OVERHEAD}\n");
        assert!(state.contains(&formula));
        let keys = include_str!("../../../docs/configuration.md");
        assert!(keys.contains(&format!("its value and {OVERHEAD} bytes")));
    }
}
