//! `state`: the key-value store, in the plugin's own namespace.

use std::time::Duration;

use crate::plugin::host::Guest;
use crate::plugin::host::bindings::gateway::plugin::state::{Error, Host};
use crate::state::StateError;

/// The longest key, bytes.
pub(super) const KEY: usize = 1 << 10;
/// The largest value, bytes.
const VALUE: usize = 1 << 20;

impl Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        self.budget.host_call()?;
        Ok(self.state_key(&key, 0).map(|()| {
            let value = self
                .shared
                .services
                .state
                .get(&self.shared.plugin.name, key.as_bytes());
            value.map(|value| value.to_vec())
        }))
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u32>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.budget.host_call()?;
        Ok(self.state_key(&key, value.len()).and_then(|()| {
            let Self { shared, .. } = self;
            let ns = &shared.plugin.name;
            shared
                .services
                .state
                .set(ns, key.as_bytes(), value.into(), ttl(ttl_ms))
                .map_err(Error::from)
        }))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Error>> {
        self.budget.host_call()?;
        Ok(self.state_key(&key, 0).map(|()| {
            self.shared
                .services
                .state
                .delete(&self.shared.plugin.name, key.as_bytes());
        }))
    }

    fn increment(
        &mut self,
        key: String,
        by: i64,
        ttl_ms: Option<u32>,
    ) -> wasmtime::Result<Result<i64, Error>> {
        self.budget.host_call()?;
        Ok(self.state_key(&key, 0).and_then(|()| {
            let Self { shared, .. } = self;
            let ns = &shared.plugin.name;
            shared
                .services
                .state
                .increment(ns, key.as_bytes(), by, ttl(ttl_ms))
                .map_err(Error::from)
        }))
    }

    fn compare_and_swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u32>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.budget.host_call()?;
        Ok(self.state_key(&key, value.len()).and_then(|()| {
            let Self { shared, .. } = self;
            let ns = &shared.plugin.name;
            let state = &shared.services.state;
            state
                .compare_and_swap(
                    ns,
                    key.as_bytes(),
                    expected.as_deref(),
                    value.into(),
                    ttl(ttl_ms),
                )
                .map_err(Error::from)
        }))
    }
}

impl Guest {
    /// Whether key and value are of a size that the store takes, and the grant is there. (A component that calls
    /// `state` without the grant is not loaded; this is the second lock on the same door.)
    fn state_key(&self, key: &str, value: usize) -> Result<(), Error> {
        if !self.shared.plugin.grants.state {
            return Err(Error::Unavailable("not granted".to_owned()));
        }
        if key.len() > KEY || value > VALUE {
            return Err(Error::TooLarge);
        }
        Ok(())
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::TooLarge => Self::TooLarge,
            StateError::Conflict => Self::Conflict,
        }
    }
}

fn ttl(ms: Option<u32>) -> Option<Duration> {
    ms.map(|ms| Duration::from_millis(ms.into()))
}
