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

/// What a key stands for. Part of the key, so that a value never takes the place of a limit, and one algorithm never
/// reads what another one counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
enum Kind {
    Value,
    TokenBucket,
    SlidingWindow,
    FixedWindow,
}

impl From<Algorithm> for Kind {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::TokenBucket => Self::TokenBucket,
            Algorithm::SlidingWindow => Self::SlidingWindow,
            Algorithm::FixedWindow => Self::FixedWindow,
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

    /// How many entries there are, expired ones that nobody met yet included.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().entries.len()).sum()
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
        self.with(quota.algorithm.into(), namespace, key, |slot| {
            // Read under the lock: whoever comes later then has the later time.
            let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = u64::try_from(clock.as_millis()).unwrap_or(u64::MAX);
            // Two windows and a full bucket later the use is forgotten anyhow.
            let depth =
                u64::from(quota.burst.max(quota.limit).max(1)).div_ceil(u64::from(quota.limit.max(1)));
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
        let wanted = Wanted { kind, namespace, key };
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
        let Wanted { kind, namespace, key } = self.wanted;
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
            if entry.expires <= self.now { 0 } else { entry.used }
        };
        if let Some(victim) = sample.min_by_key(age) {
            entries.swap_remove_index(victim);
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(state.increment("a", "n", 2, Some(Duration::from_secs(60))), Ok(2));
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
        assert_eq!(state.compare_and_swap("a", "k", Some(b"x"), value, None), Ok(()));
    }

    #[test]
    fn what_is_too_large_or_no_number_is_refused() {
        let state = Memory::new(100);
        let key = "k".repeat(MAX_KEY + 1);
        assert_eq!(state.get("a", &key), Err(StateError::TooLarge));
        let value = Bytes::from(vec![0; MAX_VALUE + 1]);
        assert_eq!(state.set("a", "k", value, None), Err(StateError::TooLarge));
        state.set("a", "k", Bytes::from_static(b"abc"), None).unwrap();
        assert_eq!(state.increment("a", "k", 1, None), Err(StateError::TooLarge));
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
            state.set("a", &number.to_string(), Bytes::new(), None).unwrap();
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
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1_000);
    }

    #[test]
    fn threads_on_a_short_window_never_see_it_go_back() {
        let state = Memory::new(100);
        let quota = Quota {
            algorithm: Algorithm::FixedWindow,
            limit: 1,
            window_ms: 1,
            burst: 0,
        };
        let window = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let first = window();
        let taken: usize = std::thread::scope(|scope| {
            let take = || {
                (0..20_000)
                    .filter(|_| state.acquire("a", "k", &quota, 1).unwrap().allowed)
                    .count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let windows = window() - first + 1;
        assert!(
            taken as u128 <= windows,
            "{taken} taken in {windows} windows of one"
        );
    }

    #[test]
    fn values_and_limits_do_not_share_keys() {
        let state = Memory::new(100);
        let quota = Quota {
            algorithm: Algorithm::FixedWindow,
            limit: 1,
            window_ms: u32::MAX,
            burst: 0,
        };
        state.set("a", "k", Bytes::from_static(b"1"), None).unwrap();
        assert!(state.acquire("a", "k", &quota, 1).unwrap().allowed);
        assert_eq!(state.get("a", "k").unwrap().as_deref(), Some(&b"1"[..]));
        state.set("a", "k", Bytes::from_static(b"2"), None).unwrap();
        state.delete("a", "k").unwrap();
        assert!(!state.acquire("a", "k", &quota, 1).unwrap().allowed);
    }

    #[test]
    fn an_algorithm_does_not_read_what_another_one_counted() {
        let state = Memory::new(100);
        let of = |algorithm| Quota {
            algorithm,
            limit: 2,
            window_ms: u32::MAX,
            burst: 0,
        };
        for algorithm in [
            Algorithm::TokenBucket,
            Algorithm::FixedWindow,
            Algorithm::SlidingWindow,
        ] {
            let decision = state.acquire("a", "k", &of(algorithm), 1).unwrap();
            assert!(
                decision.allowed && decision.remaining == 1,
                "{algorithm:?}: {decision:?}"
            );
        }
    }

    #[test]
    fn the_entry_used_the_longest_ago_goes_first_within_one_millisecond() {
        let mut shard = Shard {
            entries: IndexMap::with_hasher(Hasher::default()),
            uses: 0,
        };
        let keys: Vec<String> = (0..=SAMPLE).map(|number| number.to_string()).collect();
        let mut with = |key: &str, act: fn(&mut Slot<'_>)| {
            let wanted = Wanted {
                kind: Kind::Value,
                namespace: "a",
                key,
            };
            act(&mut Slot {
                shard: &mut shard,
                wanted,
                now: 0,
                most: SAMPLE,
            });
        };
        for key in &keys[..SAMPLE] {
            with(key, |slot| slot.put(Value::Bytes(Bytes::new()), None));
        }
        with("0", |slot| assert!(slot.bytes().is_some()));
        with(&keys[SAMPLE], |slot| slot.put(Value::Bytes(Bytes::new()), None));
        let mut left: Vec<&str> = shard.entries.keys().map(|key| &*key.key).collect();
        left.sort_unstable();
        assert_eq!(left, ["0", "2", "3", "4", "5", "6", "7", "8"]);
    }

    #[test]
    fn the_smallest_store_still_keeps_eight_entries_a_shard() {
        let state = Memory::new(0);
        for number in 0..10_000 {
            state.set("a", &number.to_string(), Bytes::new(), None).unwrap();
        }
        assert_eq!(state.len(), SHARDS * SAMPLE);
    }

    #[test]
    fn the_shard_depends_on_no_bit_the_map_needs_and_is_spread_evenly() {
        for hash in [0, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(
                shard_of(hash),
                shard_of(hash ^ (0x7f << 57)),
                "the seven high bits"
            );
            assert_eq!(shard_of(hash), shard_of(hash ^ 0xffff_ffff), "the low bits");
        }
        let state = Memory::new(1_000_000);
        for number in 0..SHARDS * 100 {
            state.set("a", &number.to_string(), Bytes::new(), None).unwrap();
        }
        let lengths: Vec<usize> = state
            .shards
            .iter()
            .map(|shard| shard.lock().entries.len())
            .collect();
        assert!(
            lengths.iter().all(|length| (40..=200).contains(length)),
            "{lengths:?}"
        );
    }

    #[test]
    fn a_smaller_store_shrinks_by_a_few_entries_per_insertion() {
        let state = Memory::new(100_000);
        for number in 0..50_000 {
            state.set("a", &number.to_string(), Bytes::new(), None).unwrap();
        }
        state.resize(0);
        for number in 50_000..100_000 {
            let before = state.len();
            state.set("a", &number.to_string(), Bytes::new(), None).unwrap();
            assert!(
                before - state.len().min(before) < EVICTIONS,
                "{before} to {}",
                state.len()
            );
        }
        assert_eq!(state.len(), SHARDS * SAMPLE);
    }
}
