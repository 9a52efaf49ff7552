//! The store in memory: shards, each behind its own lock, with the least recently used of a sample evicted.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use indexmap::{Equivalent, IndexMap};
use parking_lot::Mutex;

use super::StateError;
use super::limiter::{Decision, Quota, Usage};

const SHARDS: usize = 64;
const MAX_KEY: usize = 1 << 10;
const MAX_VALUE: usize = 1 << 20;
/// How many entries are looked at to find one to evict. As Redis does: a sample is as good as a list, and a key
/// in use is never the oldest of one.
const SAMPLE: usize = 8;

type Hasher = foldhash::fast::RandomState;
type Shard = IndexMap<Key, Entry, Hasher>;

/// Keys and values by namespace, with expiry.
#[derive(Debug)]
pub struct Memory {
    shards: Vec<Mutex<Shard>>,
    hasher: Hasher,
    max_entries: AtomicUsize,
    started: Instant,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    namespace: Box<str>,
    key: Box<str>,
}

/// A key that is looked for: hashes as [`Key`] does and allocates nothing.
#[derive(Hash)]
struct Wanted<'a> {
    namespace: &'a str,
    key: &'a str,
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.key == *key.key && *self.namespace == *key.namespace
    }
}

#[derive(Debug)]
struct Entry {
    value: Value,
    /// Milliseconds since the store began; `u64::MAX` for never.
    expires: u64,
    used: u64,
}

#[derive(Debug)]
enum Value {
    Bytes(Bytes),
    Usage(Usage),
}

impl Memory {
    /// An empty store for so many entries.
    pub fn new(max_entries: usize) -> Arc<Self> {
        let hasher = Hasher::default();
        let shards = (0..SHARDS)
            .map(|_| Mutex::new(Shard::with_hasher(hasher.clone())))
            .collect();
        Arc::new(Self {
            shards,
            hasher,
            max_entries: AtomicUsize::new(max_entries),
            started: Instant::now(),
        })
    }

    /// Another limit, from now on; a lower one takes effect as entries are added.
    pub fn resize(&self, max_entries: usize) {
        self.max_entries.store(max_entries, Ordering::Relaxed);
    }

    /// How many entries there are, expired ones that nobody met yet included.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
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
        self.with(namespace, key, |slot| Ok(slot.bytes()))
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
        self.with(namespace, key, |slot| {
            slot.put(Value::Bytes(value), ttl);
            Ok(())
        })
    }

    /// Removes a key.
    ///
    /// # Errors
    /// If the key is too large.
    pub fn delete(&self, namespace: &str, key: &str) -> Result<(), StateError> {
        self.with(namespace, key, |slot| {
            slot.shard.swap_remove(&slot.wanted);
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
        self.with(namespace, key, |slot| {
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
        self.with(namespace, key, |slot| {
            if slot.bytes().as_deref() != expected {
                return Err(StateError::Conflict);
            }
            slot.put(Value::Bytes(value), ttl);
            Ok(())
        })
    }

    /// Takes `cost` from the quota of a key in one step. Limits and values do not share keys.
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
        let clock = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(clock.as_millis()).unwrap_or(u64::MAX);
        self.with(namespace, key, |slot| {
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
        namespace: &str,
        key: &str,
        act: impl FnOnce(&mut Slot<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        if key.len() > MAX_KEY {
            return Err(StateError::TooLarge);
        }
        let wanted = Wanted { namespace, key };
        let hash = self.hasher.hash_one(&wanted);
        // The high bits choose the shard; the map uses the low ones.
        let shard = &self.shards[(hash >> 58) as usize % SHARDS];
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let most = (self.max_entries.load(Ordering::Relaxed) / SHARDS).max(1);
        act(&mut Slot {
            shard: &mut shard.lock(),
            wanted,
            now,
            most,
        })
    }
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
    now: u64,
    most: usize,
}

impl Slot<'_> {
    fn live(&mut self) -> Option<&mut Entry> {
        let now = self.now;
        let entry = self
            .shard
            .get_mut(&self.wanted)
            .filter(|entry| entry.expires > now)?;
        entry.used = now;
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
        let entry = Entry {
            value,
            expires,
            used: self.now,
        };
        if let Some(present) = self.shard.get_mut(&self.wanted) {
            *present = entry;
            return;
        }
        while self.shard.len() >= self.most {
            self.evict();
        }
        let key = Key {
            namespace: self.wanted.namespace.into(),
            key: self.wanted.key.into(),
        };
        self.shard.insert(key, entry);
    }

    /// Removes one of a sample: an expired one, or else the one that was used the longest ago.
    fn evict(&mut self) {
        let length = self.shard.len();
        let sample = (0..SAMPLE).map(|_| fastrand::usize(..length));
        let age = |index: &usize| {
            let entry = &self.shard[*index];
            if entry.expires <= self.now {
                0
            } else {
                entry.used + 1
            }
        };
        if let Some(victim) = sample.min_by_key(age) {
            self.shard.swap_remove_index(victim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Algorithm;
    use super::*;

    #[test]
    fn namespaces_do_not_see_each_other() {
        let state = Memory::new(100);
        state.set("a", "k", Bytes::from_static(b"1"), None).unwrap();
        assert_eq!(state.get("a", "k").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(state.get("b", "k").unwrap(), None);
    }

    #[test]
    fn a_value_expires_and_an_increment_keeps_the_first_expiry() {
        let state = Memory::new(100);
        state
            .set("a", "k", Bytes::from_static(b"1"), Some(Duration::ZERO))
            .unwrap();
        assert_eq!(state.get("a", "k").unwrap(), None);
        assert_eq!(
            state.increment("a", "n", 2, Some(Duration::from_secs(60))),
            Ok(2)
        );
        assert_eq!(state.increment("a", "n", -5, Some(Duration::ZERO)), Ok(-3));
        assert_eq!(state.increment("a", "n", 0, None), Ok(-3));
    }

    #[test]
    fn a_swap_needs_the_expected_value() {
        let state = Memory::new(100);
        let value = Bytes::from_static(b"x");
        assert_eq!(
            state.compare_and_swap("a", "k", Some(b"y"), value.clone(), None),
            Err(StateError::Conflict)
        );
        assert_eq!(
            state.compare_and_swap("a", "k", None, value.clone(), None),
            Ok(())
        );
        assert_eq!(
            state.compare_and_swap("a", "k", None, value.clone(), None),
            Err(StateError::Conflict)
        );
        assert_eq!(
            state.compare_and_swap("a", "k", Some(b"x"), value, None),
            Ok(())
        );
    }

    #[test]
    fn what_is_too_large_or_no_number_is_refused() {
        let state = Memory::new(100);
        let key = "k".repeat(MAX_KEY + 1);
        assert_eq!(state.get("a", &key), Err(StateError::TooLarge));
        let value = Bytes::from(vec![0; MAX_VALUE + 1]);
        assert_eq!(state.set("a", "k", value, None), Err(StateError::TooLarge));
        state
            .set("a", "k", Bytes::from_static(b"abc"), None)
            .unwrap();
        assert_eq!(
            state.increment("a", "k", 1, None),
            Err(StateError::TooLarge)
        );
    }

    #[test]
    fn a_million_random_keys_neither_grow_the_store_nor_reset_a_hot_key() {
        let state = Memory::new(10_000);
        let quota = Quota {
            algorithm: Algorithm::FixedWindow,
            limit: 1,
            window_ms: u32::MAX,
            burst: 0,
        };
        assert!(state.acquire("a", "hot", &quota, 1).unwrap().allowed);
        for number in 0..1_000_000_u32 {
            state
                .set("a", &number.to_string(), Bytes::new(), None)
                .unwrap();
            if number % 100 == 0 {
                assert!(
                    !state.acquire("a", "hot", &quota, 1).unwrap().allowed,
                    "reset after {number} keys"
                );
            }
        }
        assert!(state.len() <= 10_000, "{} entries", state.len());
    }

    #[test]
    fn threads_together_take_no_more_than_the_limit() {
        let state = Memory::new(100);
        let quota = Quota {
            algorithm: Algorithm::FixedWindow,
            limit: 1_000,
            window_ms: u32::MAX,
            burst: 0,
        };
        let taken: usize = std::thread::scope(|scope| {
            let take = || {
                (0..1_000)
                    .filter(|_| state.acquire("a", "k", &quota, 1).unwrap().allowed)
                    .count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 1_000);
    }
}
