//! The store in memory: shards, each behind its own lock, with the least recently used of a sample evicted.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use indexmap::{Equivalent, IndexMap};
use parking_lot::Mutex;

use super::StateError;
use super::limiter::{Algorithm, Decision, Quota, Usage};

const SHARDS: usize = 64;
const MAX_KEY: usize = 1 << 10;
const MAX_VALUE: usize = 1 << 20;
/// How many entries are looked at to find one to evict. As Redis does: a sample is as good as a list, and a key
/// in use is never the oldest of one.
const SAMPLE: usize = 8;
/// The most entries one insertion evicts: more than one, so that a store that was made smaller shrinks, and few, so
/// that no request pays for all of it.
const EVICTIONS: usize = 4;

type Hasher = foldhash::fast::RandomState;

/// Keys and values by namespace, with expiry.
#[derive(Debug)]
pub struct Memory {
    shards: Vec<Mutex<Shard>>,
    hasher: Hasher,
    max_entries: AtomicUsize,
    started: Instant,
}

#[derive(Debug)]
struct Shard {
    entries: IndexMap<Key, Entry, Hasher>,
    /// Counts uses: orders them within a shard where milliseconds would call many of them equal.
    uses: u64,
}

/// What a key stands for. Part of the key, so that a value never takes the place of a limit, and neither another
/// algorithm nor another window misreads what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
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

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    kind: Kind,
    namespace: Box<str>,
    key: Box<str>,
}

/// A key that is looked for: hashes as [`Key`] does and allocates nothing.
#[derive(Hash)]
struct Wanted<'a> {
    kind: Kind,
    namespace: &'a str,
    key: &'a str,
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.kind == key.kind && *self.key == *key.key && *self.namespace == *key.namespace
    }
}

#[derive(Debug)]
struct Entry {
    value: Value,
    /// Milliseconds since the store began; `u64::MAX` for never.
    expires: u64,
    /// The count of the shard's uses when this entry was last used, from 1.
    used: u64,
}

#[derive(Debug)]
enum Value {
    Bytes(Bytes),
    Usage(Usage),
}

impl Memory {
    /// An empty store for so many entries, spread over 64 shards of at least 8.
    pub fn new(max_entries: usize) -> Arc<Self> {
        let hasher = Hasher::default();
        let shards = (0..SHARDS)
            .map(|_| {
                Mutex::new(Shard {
                    entries: IndexMap::with_hasher(hasher.clone()),
                    uses: 0,
                })
            })
            .collect();
        Arc::new(Self {
            shards,
            hasher,
            max_entries: AtomicUsize::new(max_entries),
            started: Instant::now(),
        })
    }

    /// Another limit, from now on; a lower one takes effect bit by bit as entries are added.
    pub fn resize(&self, max_entries: usize) {
        self.max_entries.store(max_entries, Ordering::Relaxed);
    }

    /// How many entries there are, expired ones that no look-up met yet included.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().entries.len())
            .sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value under a key, unless it has expired.
    ///
    /// # Errors
    /// If the key is too large.
    pub fn get(&self, namespace: &str, key: &str) -> Result<Option<Bytes>, StateError> {
        self.with(Kind::Value, namespace, key, |slot| Ok(slot.bytes()))
    }

    /// Stores a value; without `ttl` until it is evicted.
    ///
    /// # Errors
    /// If key or value are too large.
    pub fn set(
        &self,
        namespace: &str,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<(), StateError> {
        check(&value)?;
        self.with(Kind::Value, namespace, key, |slot| {
            slot.put(Value::Bytes(value), ttl);
            Ok(())
        })
    }

    /// Removes a key.
    ///
    /// # Errors
    /// If the key is too large.
    pub fn delete(&self, namespace: &str, key: &str) -> Result<(), StateError> {
        self.with(Kind::Value, namespace, key, |slot| {
            slot.shard.entries.swap_remove(&slot.wanted);
            Ok(())
        })
    }

    /// Adds to a decimal number; a missing one counts as 0, and only then `ttl` is set.
    ///
    /// # Errors
    /// If the key is too large, or the value is no number or would leave 64 bits.
    pub fn increment(
        &self,
        namespace: &str,
        key: &str,
        by: i64,
        ttl: Option<Duration>,
    ) -> Result<i64, StateError> {
        self.with(Kind::Value, namespace, key, |slot| {
            let present = slot.bytes();
            let number = match &present {
                None => 0,
                Some(bytes) => std::str::from_utf8(bytes)
                    .ok()
                    .and_then(|text| text.parse::<i64>().ok())
                    .ok_or(StateError::TooLarge)?,
            };
            let sum = number.checked_add(by).ok_or(StateError::TooLarge)?;
            let value = Value::Bytes(Bytes::from(sum.to_string()));
            match present {
                None => slot.put(value, ttl),
                Some(_) => slot.replace(value),
            }
            Ok(sum)
        })
    }

    /// Stores a value if the present one is `expected`.
    ///
    /// # Errors
    /// [`StateError::Conflict`] if it is not; or if key or value are too large.
    pub fn compare_and_swap(
        &self,
        namespace: &str,
        key: &str,
        expected: Option<&[u8]>,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<(), StateError> {
        check(&value)?;
        self.with(Kind::Value, namespace, key, |slot| {
            if slot.bytes().as_deref() != expected {
                return Err(StateError::Conflict);
            }
            slot.put(Value::Bytes(value), ttl);
            Ok(())
        })
    }

    /// Takes `cost` from the quota of a key in one step. Limits and values do not share keys, nor do the
    /// limits of two algorithms.
    ///
    /// # Errors
    /// If the key is too large.
    pub fn acquire(
        &self,
        namespace: &str,
        key: &str,
        quota: &Quota,
        cost: u32,
    ) -> Result<Decision, StateError> {
        self.with(quota.into(), namespace, key, |slot| {
            // Read under the lock: a later caller then has the later time.
            let clock = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let now = u64::try_from(clock.as_millis()).unwrap_or(u64::MAX);
            // Two windows and a full bucket later the use is forgotten anyhow.
            let depth = u64::from(quota.burst.max(quota.limit).max(1))
                .div_ceil(u64::from(quota.limit.max(1)));
            let keep = u64::from(quota.window_ms).saturating_mul(depth + 1);
            let mut usage = slot.usage();
            let decision = usage.acquire(quota, cost, now);
            slot.put(Value::Usage(usage), Some(Duration::from_millis(keep)));
            Ok(decision)
        })
    }

    fn with<T>(
        &self,
        kind: Kind,
        namespace: &str,
        key: &str,
        act: impl FnOnce(&mut Slot<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        if key.len() > MAX_KEY {
            return Err(StateError::TooLarge);
        }
        let wanted = Wanted {
            kind,
            namespace,
            key,
        };
        let index = shard_of(self.hasher.hash_one(&wanted));
        let most = (self.max_entries.load(Ordering::Relaxed) / SHARDS).max(SAMPLE);
        let mut shard = self.shards[index].lock();
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        act(&mut Slot {
            shard: &mut shard,
            wanted,
            now,
            most,
        })
    }
}

/// The bits in the middle choose the shard: the map finds its bucket with the low ones and tells entries apart by the
/// seven high ones, so both must stay free to differ within a shard.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

fn check(value: &Bytes) -> Result<(), StateError> {
    if value.len() > MAX_VALUE {
        Err(StateError::TooLarge)
    } else {
        Ok(())
    }
}

/// One key of a locked shard.
struct Slot<'a> {
    shard: &'a mut Shard,
    wanted: Wanted<'a>,
    /// Milliseconds since the store began.
    now: u64,
    /// How many entries the shard may hold.
    most: usize,
}

impl Slot<'_> {
    fn live(&mut self) -> Option<&mut Entry> {
        let now = self.now;
        let entry = self
            .shard
            .entries
            .get_mut(&self.wanted)
            .filter(|entry| entry.expires > now)?;
        self.shard.uses += 1;
        entry.used = self.shard.uses;
        Some(entry)
    }

    fn bytes(&mut self) -> Option<Bytes> {
        match &self.live()?.value {
            Value::Bytes(bytes) => Some(bytes.clone()),
            Value::Usage(_) => None,
        }
    }

    fn usage(&mut self) -> Usage {
        match self.live().map(|entry| &entry.value) {
            Some(Value::Usage(usage)) => *usage,
            _ => Usage::default(),
        }
    }

    /// Another value under the expiry that stands.
    fn replace(&mut self, value: Value) {
        if let Some(entry) = self.live() {
            entry.value = value;
        }
    }

    fn put(&mut self, value: Value, ttl: Option<Duration>) {
        let expires = ttl.map_or(u64::MAX, |ttl| {
            self.now
                .saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
        });
        self.shard.uses += 1;
        let entry = Entry {
            value,
            expires,
            used: self.shard.uses,
        };
        if let Some(present) = self.shard.entries.get_mut(&self.wanted) {
            *present = entry;
            return;
        }
        for _ in 0..EVICTIONS {
            if self.shard.entries.len() < self.most {
                break;
            }
            self.evict();
        }
        let Wanted {
            kind,
            namespace,
            key,
        } = self.wanted;
        self.shard.entries.insert(
            Key {
                kind,
                namespace: namespace.into(),
                key: key.into(),
            },
            entry,
        );
    }

    /// Removes one of a sample: an expired one, or else the one that was used the longest ago.
    fn evict(&mut self) {
        let entries = &mut self.shard.entries;
        let length = entries.len();
        if length == 0 {
            return;
        }
        // Evenly spread from a random start: no entry is looked at twice, and a small shard is looked at whole.
        let count = length.min(SAMPLE);
        let (start, step) = (fastrand::usize(..length), length / count);
        let sample = (0..count).map(|nth| (start + nth * step) % length);
        let age = |index: &usize| {
            let entry = &entries[*index];
            if entry.expires <= self.now {
                0
            } else {
                entry.used
            }
        };
        if let Some(victim) = sample.min_by_key(age) {
            entries.swap_remove_index(victim);
        }
    }
}

#[cfg(test)]
mod tests;
