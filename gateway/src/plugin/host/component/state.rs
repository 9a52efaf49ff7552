//! `state` and `limiter`.

use crate::plugin::host::bindings::gateway::plugin::limiter;
use crate::plugin::host::bindings::gateway::plugin::state::{Error, Host};
use crate::plugin::host::guest::Guest;

type Done<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Guest {
    fn get(&mut self, key: String) -> Done<Option<Vec<u8>>> {
        let found = self.state_get(&key)?;
        Ok(found.map(|value| value.map(|value| value.to_vec())))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u32>) -> Done<()> {
        self.state_set(&key, value.into(), ttl_ms)
    }

    fn delete(&mut self, key: String) -> Done<()> {
        self.state_delete(&key)
    }

    fn increment(&mut self, key: String, by: i64, ttl_ms: Option<u32>) -> Done<i64> {
        self.state_increment(&key, by, ttl_ms)
    }

    fn compare_and_swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u32>,
    ) -> Done<()> {
        self.state_compare_and_swap(&key, expected.as_deref(), value.into(), ttl_ms)
    }
}

impl limiter::Host for Guest {
    fn acquire(
        &mut self,
        key: String,
        quota: limiter::Quota,
        cost: u32,
    ) -> Done<limiter::Decision> {
        Self::acquire(self, &key, quota, cost)
    }
}
