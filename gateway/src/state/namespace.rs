//! What one plugin may do with the store.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::StateError;
use super::amount::Amount;
use super::entry::{Kind, Value};
use super::limiter::{Decision, Quota};
use super::memory::Memory;
use super::slot::{Halt, Slot};
use super::space::Space;

const MAX_KEY: usize = 1 << 10;
const MAX_VALUE: usize = 1 << 20;

/// The keys and limits of one plugin.
#[derive(Debug, Clone)]
pub struct Namespace {
    store: Arc<Memory>,
    space: Arc<Space>,
}

impl Namespace {
    /// The namespace of this name; a new one, if the store has none.
    pub fn new(store: &Arc<Memory>, name: &Arc<str>) -> Self {
        Self {
            store: store.clone(),
            space: store.space(name),
        }
    }

    /// The value under a key, unless it has expired.
    ///
    /// # Errors
    /// If the key is too large.
    pub fn get(&self, key: &str) -> Result<Option<Arc<[u8]>>, StateError> {
        self.with(Kind::Value, key, |slot| {
            Ok(slot.value().and_then(Value::bytes))
        })
    }

    /// Stores a value; without `ttl` until it is evicted.
    ///
    /// # Errors
    /// If key or value are too large, or both together for the namespace's share.
    pub fn set(
        &self,
        key: &str,
        value: Arc<[u8]>,
        ttl: Option<Duration>,
    ) -> Result<(), StateError> {
        check(&value)?;
        let mut value = value;
        self.with(Kind::Value, key, |slot| store(slot, &mut value, ttl))
    }

    /// Removes a key.
    ///
    /// # Errors
    /// If the key is too large.
    pub fn delete(&self, key: &str) -> Result<(), StateError> {
        self.with(Kind::Value, key, |slot| {
            slot.remove();
            Ok(())
        })
    }

    /// Adds to a decimal number; a missing one counts as 0, and only then `ttl` is set.
    ///
    /// # Errors
    /// If the key is too large, or the value is no number or would leave 64 bits.
    pub fn increment(&self, key: &str, by: i64, ttl: Option<Duration>) -> Result<i64, StateError> {
        self.with(Kind::Value, key, |slot| {
            slot.ensure(0)?;
            let present = slot.value().map(Value::number);
            let number = present.unwrap_or(Some(0)).ok_or(StateError::TooLarge)?;
            let sum = number.checked_add(by).ok_or(StateError::TooLarge)?;
            match present {
                None => slot.put(Value::Number(sum), ttl),
                Some(_) => slot.replace(Value::Number(sum)),
            }
            Ok(sum)
        })
    }

    /// Stores a value if the present one is `expected`.
    ///
    /// # Errors
    /// [`StateError::Conflict`] if it is not; or as for [`Self::set`].
    pub fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: Arc<[u8]>,
        ttl: Option<Duration>,
    ) -> Result<(), StateError> {
        check(&value)?;
        let mut value = value;
        self.with(Kind::Value, key, |slot| {
            if slot.value().and_then(Value::bytes).as_deref() != expected {
                return Err(StateError::Conflict.into());
            }
            store(slot, &mut value, ttl)
        })
    }

    /// Takes `cost` from the quota of a key in one step. Limits and values do not share keys, nor do the
    /// limits of two algorithms.
    ///
    /// # Errors
    /// If the key is too large.
    pub fn acquire(&self, key: &str, quota: &Quota, cost: u32) -> Result<Decision, StateError> {
        self.with(quota.into(), key, |slot| {
            slot.ensure(0)?;
            let mut usage = match slot.value() {
                Some(Value::Usage(usage)) => *usage,
                _ => Default::default(),
            };
            // Read under the lock: a later caller then has the later time.
            let clock = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = u64::try_from(clock.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
            let decision = usage.acquire(quota, cost, now);
            slot.put(Value::Usage(usage), Some(kept(quota)));
            Ok(decision)
        })
    }

    /// Does one operation under the lock of its shard. Where it needs room it is done again once there is some: making
    /// it takes the locks of others.
    fn with<T>(
        &self,
        kind: Kind,
        key: &str,
        mut act: impl FnMut(&mut Slot<'_>) -> Result<T, Halt>,
    ) -> Result<T, StateError> {
        if key.len() > MAX_KEY {
            return Err(StateError::TooLarge);
        }
        let wanted = self.store.wanted(kind, key);
        let mut room = Amount::NONE;
        let result = loop {
            let acted = {
                let mut shard = self.space.shard(wanted.hash);
                // Read under the lock, as the time of day is.
                let now = self.store.now();
                act(&mut Slot::new(&mut shard, wanted, now, &mut room))
            };
            let needs = match acted {
                Ok(value) => break Ok(value),
                Err(Halt::Refused(error)) => break Err(error),
                Err(Halt::Needs(needs)) => needs,
            };
            if needs.entry > self.store.largest() {
                break Err(StateError::TooLarge);
            }
            self.store.reserve(&self.space, needs.more);
            room = room.plus(needs.more);
        };
        if room != Amount::NONE {
            self.store.release(&self.space, room);
        }
        result
    }
}

/// Puts a value where there is room for it; only then it is taken.
fn store(slot: &mut Slot<'_>, value: &mut Arc<[u8]>, ttl: Option<Duration>) -> Result<(), Halt> {
    slot.ensure(value.len())?;
    slot.put(Value::Bytes(mem::take(value)), ttl);
    Ok(())
}

/// How long a use counts: two windows and a full bucket later it is forgotten anyhow.
fn kept(quota: &Quota) -> Duration {
    let limit = u64::from(quota.limit.max(1));
    let depth = u64::from(quota.burst).max(limit).div_ceil(limit);
    Duration::from_millis(u64::from(quota.window_ms).saturating_mul(depth + 1))
}

fn check(value: &[u8]) -> Result<(), StateError> {
    if value.len() > MAX_VALUE {
        Err(StateError::TooLarge)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
