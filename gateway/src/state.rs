//! Placeholder of the host branch: the ops branch's module takes its place.
#![allow(missing_docs, reason = "a placeholder")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

type Entries = HashMap<(Arc<str>, Vec<u8>), Bytes>;

#[derive(Debug, Default)]
pub struct Memory(Mutex<Entries>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateError {
    TooLarge,
    Conflict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    TokenBucket,
    SlidingWindow,
    FixedWindow,
}

#[derive(Debug, Clone, Copy)]
pub struct Quota {
    pub algorithm: Algorithm,
    pub limit: u32,
    pub window_ms: u32,
    pub burst: u32,
}

#[derive(Debug, Clone, Copy)]
pub struct Decision {
    pub allowed: bool,
    pub remaining: u32,
    pub reset_ms: u32,
}

impl Memory { /// x
 pub fn new(_: usize) -> Arc<Self> { Arc::default() } /// x
 pub fn resize(&self, _: usize) {}
    pub fn get(&self, ns: &Arc<str>, key: &[u8]) -> Option<Bytes> {
        self.0.lock().get(&(ns.clone(), key.to_vec())).cloned()
    }
    pub fn set(
        &self,
        ns: &Arc<str>,
        key: &[u8],
        value: Bytes,
        _ttl: Option<Duration>,
    ) -> Result<(), StateError> {
        self.0.lock().insert((ns.clone(), key.to_vec()), value);
        Ok(())
    }
    pub fn delete(&self, ns: &Arc<str>, key: &[u8]) {
        self.0.lock().remove(&(ns.clone(), key.to_vec()));
    }
    pub fn increment(
        &self,
        _ns: &Arc<str>,
        _key: &[u8],
        by: i64,
        _ttl: Option<Duration>,
    ) -> Result<i64, StateError> {
        Ok(by)
    }
    pub fn compare_and_swap(
        &self,
        _ns: &Arc<str>,
        _key: &[u8],
        _expected: Option<&[u8]>,
        _value: Bytes,
        _ttl: Option<Duration>,
    ) -> Result<(), StateError> {
        Err(StateError::Conflict)
    }
    pub fn acquire(&self, _ns: &Arc<str>, _key: &[u8], quota: &Quota, _cost: u32) -> Decision {
        Decision {
            allowed: true,
            remaining: quota.limit,
            reset_ms: quota.window_ms,
        }
    }
}
