//! `state`: the key-value store, in the plugin's own namespace.

use std::time::Duration;

use crate::plugin::host::bindings::gateway::plugin::state::{Error, Host};
use crate::plugin::host::guest::Guest;
use crate::state::{Namespace, StateError};

impl Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        self.state(|state| Ok(state.get(&key)?.map(|value| value.to_vec())))
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u32>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.state(|state| state.set(&key, value.into(), ttl(ttl_ms)))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Error>> {
        self.state(|state| state.delete(&key))
    }

    fn increment(
        &mut self,
        key: String,
        by: i64,
        ttl_ms: Option<u32>,
    ) -> wasmtime::Result<Result<i64, Error>> {
        self.state(|state| state.increment(&key, by, ttl(ttl_ms)))
    }

    fn compare_and_swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u32>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.state(|state| {
            state.compare_and_swap(&key, expected.as_deref(), value.into(), ttl(ttl_ms))
        })
    }
}

impl Guest {
    /// One operation in the plugin's namespace. (A component that calls `state` without the grant is not loaded;
    /// this is the second lock on the same door.)
    fn state<T>(
        &mut self,
        operation: impl FnOnce(&Namespace) -> Result<T, StateError>,
    ) -> wasmtime::Result<Result<T, Error>> {
        self.budget.host_call()?;
        if !self.shared.plugin.grants.state {
            self.deny(
                "state",
                format_args!("it uses the state"),
                format_args!("state = true"),
            );
            return Ok(Err(Error::Unavailable("not granted".to_owned())));
        }
        Ok(operation(&self.shared.state).map_err(Error::from))
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
