//! The plugin's namespace in memory: values with an expiry, and the limiter's three algorithms. Time is given in
//! milliseconds, arithmetic is in whole numbers.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::types::quota::{Algorithm, Decision, Quota};
use crate::types::state::Error;

const LONGEST_KEY: usize = 1024;
const LARGEST_VALUE: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Store {
    values: BTreeMap<String, Entry>,
    counts: HashMap<(String, Algorithm), Count>,
}

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    expires: Option<u64>,
}

/// What the limiter keeps of one key: tokens times the window and their time, or a window and two counts.
#[derive(Debug)]
enum Count {
    Bucket {
        level: u128,
        at: u64,
    },
    Windows {
        index: u64,
        current: u64,
        previous: u64,
    },
}

impl Store {
    pub(crate) fn get(&self, now: u64, key: &str) -> Result<Option<Vec<u8>>, Error> {
        check(key, &[])?;
        Ok(self.live(now, key).map(|entry| entry.value.clone()))
    }

    pub(crate) fn set(
        &mut self,
        now: u64,
        key: &str,
        value: &[u8],
        ttl_ms: Option<u32>,
    ) -> Result<(), Error> {
        check(key, value)?;
        let expires = ttl_ms.map(|ttl| now + u64::from(ttl));
        self.values.insert(
            key.to_owned(),
            Entry {
                value: value.to_vec(),
                expires,
            },
        );
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: &str) -> Result<(), Error> {
        check(key, &[])?;
        self.values.remove(key);
        Ok(())
    }

    pub(crate) fn increment(
        &mut self,
        now: u64,
        key: &str,
        by: i64,
        ttl_ms: Option<u32>,
    ) -> Result<i64, Error> {
        check(key, &[])?;
        let Some(entry) = self.live(now, key) else {
            self.set(now, key, by.to_string().as_bytes(), ttl_ms)?;
            return Ok(by);
        };
        let expires = entry.expires;
        let number = std::str::from_utf8(&entry.value)
            .ok()
            .and_then(|text| text.parse::<i64>().ok());
        let number = number
            .and_then(|number| number.checked_add(by))
            .ok_or(Error::TooLarge)?;
        self.values.insert(
            key.to_owned(),
            Entry {
                value: number.to_string().into_bytes(),
                expires,
            },
        );
        Ok(number)
    }

    pub(crate) fn compare_and_swap(
        &mut self,
        now: u64,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        ttl_ms: Option<u32>,
    ) -> Result<(), Error> {
        if self.live(now, key).map(|entry| entry.value.as_slice()) != expected {
            return Err(Error::Conflict);
        }
        self.set(now, key, value, ttl_ms)
    }

    pub(crate) fn acquire(
        &mut self,
        now: u64,
        key: &str,
        quota: Quota,
        cost: u32,
    ) -> Result<Decision, Error> {
        check(key, &[])?;
        let window = u64::from(quota.window_ms.max(1));
        let count = self
            .counts
            .entry((key.to_owned(), quota.algorithm))
            .or_insert_with(|| Count::new(now, quota));
        let (allowed, remaining, reset) = match count {
            Count::Bucket { level, at } => {
                *level += u128::from(now.saturating_sub(*at)) * u128::from(quota.limit.max(1));
                *at = now;
                bucket(level, quota, cost)
            }
            Count::Windows {
                index,
                current,
                previous,
            } => {
                let present = now / window;
                if present != *index {
                    *previous = if present == *index + 1 { *current } else { 0 };
                    (*index, *current) = (present, 0);
                }
                match quota.algorithm {
                    Algorithm::SlidingWindow => {
                        sliding(now % window, *previous, current, quota, cost)
                    }
                    Algorithm::TokenBucket | Algorithm::FixedWindow => {
                        fixed(now % window, current, quota, cost)
                    }
                }
            }
        };
        let reset = Duration::from_millis(reset.min(u64::from(u32::MAX)));
        Ok(Decision {
            allowed,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset,
        })
    }

    fn live(&self, now: u64, key: &str) -> Option<&Entry> {
        self.values
            .get(key)
            .filter(|entry| entry.expires.is_none_or(|expires| now < expires))
    }
}

impl Count {
    fn new(now: u64, quota: Quota) -> Self {
        match quota.algorithm {
            Algorithm::TokenBucket => Self::Bucket {
                level: u128::MAX / 2,
                at: now,
            },
            Algorithm::SlidingWindow | Algorithm::FixedWindow => Self::Windows {
                index: now / u64::from(quota.window_ms.max(1)),
                current: 0,
                previous: 0,
            },
        }
    }
}

fn check(key: &str, value: &[u8]) -> Result<(), Error> {
    if key.len() > LONGEST_KEY || value.len() > LARGEST_VALUE {
        Err(Error::TooLarge)
    } else {
        Ok(())
    }
}

/// In each: whether it is allowed, what remains, milliseconds until full or until the cost would be allowed.
type Outcome = (bool, u64, u64);

fn bucket(level: &mut u128, quota: Quota, cost: u32) -> Outcome {
    let (window, limit) = (
        u128::from(quota.window_ms.max(1)),
        u128::from(quota.limit.max(1)),
    );
    let depth = u128::from(if quota.burst == 0 {
        quota.limit.max(1)
    } else {
        quota.burst
    }) * window;
    let cost = u128::from(cost) * window;
    *level = (*level).min(depth);
    let allowed = cost <= *level;
    if allowed {
        *level -= cost;
    }
    let missing = match (allowed, cost > depth) {
        (true, _) => depth - *level,
        (false, true) => u128::MAX,
        (false, false) => cost - *level,
    };
    let whole = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
    (
        allowed,
        whole(*level / window),
        whole(missing.div_ceil(limit)),
    )
}

fn fixed(elapsed: u64, current: &mut u64, quota: Quota, cost: u32) -> Outcome {
    let (window, limit, cost) = (
        u64::from(quota.window_ms.max(1)),
        u64::from(quota.limit.max(1)),
        u64::from(cost),
    );
    let allowed = *current + cost <= limit;
    if allowed {
        *current += cost;
    }
    let reset = match (allowed, *current) {
        (true, 0) => 0,
        (false, _) if cost > limit => u64::MAX,
        _ => window - elapsed,
    };
    (allowed, limit.saturating_sub(*current), reset)
}

fn sliding(elapsed: u64, previous: u64, current: &mut u64, quota: Quota, cost: u32) -> Outcome {
    let (window, limit, cost) = (
        u64::from(quota.window_ms.max(1)),
        u64::from(quota.limit.max(1)),
        u64::from(cost),
    );
    let left = window - elapsed;
    // Counts times the window, so that the share of the last window stays whole.
    let weighed = |current: u64| {
        u128::from(previous) * u128::from(left) + u128::from(current) * u128::from(window)
    };
    let full = u128::from(limit) * u128::from(window);
    let allowed = weighed(*current + cost) <= full;
    if allowed {
        *current += cost;
    }
    let reset = match (allowed, *current, previous) {
        (true, 0, 0) => 0,
        (true, 0, _) => left,
        (true, ..) => left + window,
        (false, ..) if cost > limit => u64::MAX,
        (false, now, _) if now + cost <= limit => {
            left - fading(limit - now - cost, window, previous)
        }
        (false, now, _) => left + window - fading(limit - cost, window, now),
    };
    let remaining = full.saturating_sub(weighed(*current)) / u128::from(window);
    (allowed, u64::try_from(remaining).unwrap_or(u64::MAX), reset)
}

/// How much of the window may be left for `count` of the window before it to weigh no more than `room`.
fn fading(room: u64, window: u64, count: u64) -> u64 {
    (u128::from(room) * u128::from(window))
        .checked_div(u128::from(count))
        .map_or(window, |left| {
            u64::try_from(left).unwrap_or(u64::MAX).min(window)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(algorithm: Algorithm, limit: u32) -> Quota {
        Quota::new(algorithm, limit, Duration::from_secs(1))
    }

    fn take(store: &mut Store, now: u64, quota: Quota, cost: u32) -> (bool, u32, u128) {
        let decision = store.acquire(now, "k", quota, cost).unwrap();
        (
            decision.allowed,
            decision.remaining,
            decision.reset.as_millis(),
        )
    }

    #[test]
    fn a_bucket_starts_full_and_refills_evenly() {
        let (mut store, quota) = (
            Store::default(),
            second(Algorithm::TokenBucket, 10).burst(2),
        );
        assert_eq!(take(&mut store, 0, quota, 2), (true, 0, 200));
        assert_eq!(take(&mut store, 50, quota, 1), (false, 0, 50));
        assert_eq!(take(&mut store, 100, quota, 1), (true, 0, 200));
        assert_eq!(take(&mut store, 90_000, quota, 1), (true, 1, 100));
        assert_eq!(
            take(&mut store, 90_000, quota, 3),
            (false, 1, u128::from(u32::MAX))
        );
    }

    #[test]
    fn a_fixed_window_ends_with_the_clock() {
        let (mut store, quota) = (Store::default(), second(Algorithm::FixedWindow, 2));
        assert_eq!(take(&mut store, 900, quota, 2), (true, 0, 100));
        assert_eq!(take(&mut store, 999, quota, 1), (false, 0, 1));
        assert_eq!(take(&mut store, 1000, quota, 1), (true, 1, 1000));
    }

    #[test]
    fn a_sliding_window_weighs_the_last_one() {
        let (mut store, quota) = (Store::default(), second(Algorithm::SlidingWindow, 4));
        assert_eq!(take(&mut store, 500, quota, 4), (true, 0, 1500));
        assert_eq!(take(&mut store, 600, quota, 1), (false, 0, 650));
        assert_eq!(take(&mut store, 1249, quota, 1), (false, 0, 1));
        assert_eq!(take(&mut store, 1250, quota, 1), (true, 0, 1750));
    }

    #[test]
    fn an_increment_keeps_the_end_of_its_window() {
        let mut store = Store::default();
        assert_eq!(store.increment(0, "n", 2, Some(100)), Ok(2));
        assert_eq!(store.increment(90, "n", 1, Some(100)), Ok(3));
        assert_eq!(store.increment(100, "n", 1, Some(100)), Ok(1));
        store.set(0, "t", b"text", None).unwrap();
        assert_eq!(store.increment(0, "t", 1, None), Err(Error::TooLarge));
    }

    #[test]
    fn a_swap_needs_the_present_value() {
        let mut store = Store::default();
        store
            .compare_and_swap(0, "k", None, b"a", Some(10))
            .unwrap();
        assert_eq!(
            store.compare_and_swap(5, "k", None, b"b", None),
            Err(Error::Conflict)
        );
        store
            .compare_and_swap(5, "k", Some(b"a"), b"b", Some(5))
            .unwrap();
        assert_eq!(store.get(9, "k"), Ok(Some(b"b".to_vec())));
        assert_eq!(store.get(10, "k"), Ok(None));
    }

    #[test]
    fn a_long_key_and_a_large_value_are_refused() {
        let mut store = Store::default();
        assert_eq!(
            store.set(0, &"k".repeat(1025), b"", None),
            Err(Error::TooLarge)
        );
        assert_eq!(
            store.set(0, "k", &vec![0; 1024 * 1024 + 1], None),
            Err(Error::TooLarge)
        );
    }
}
