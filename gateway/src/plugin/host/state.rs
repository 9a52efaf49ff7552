//! `state`: the key-value store, in the plugin's own namespace.

use std::sync::Arc;
use std::time::Duration;

use crate::plugin::host::bindings::gateway::plugin::state::Error;
use crate::plugin::host::guest::Guest;
use crate::state::{Namespace, StateError};

type Done<T> = wasmtime::Result<Result<T, Error>>;

impl Guest {
    pub(super) fn state_get(&mut self, key: &str) -> Done<Option<Arc<[u8]>>> {
        self.state(|state| state.get(key))
    }

    pub(super) fn state_set(
        &mut self,
        key: &str,
        value: Arc<[u8]>,
        ttl_ms: Option<u32>,
    ) -> Done<()> {
        self.state(|state| state.set(key, value, ttl(ttl_ms)))
    }

    pub(super) fn state_delete(&mut self, key: &str) -> Done<()> {
        self.state(|state| state.delete(key))
    }

    pub(super) fn state_increment(&mut self, key: &str, by: i64, ttl_ms: Option<u32>) -> Done<i64> {
        self.state(|state| state.increment(key, by, ttl(ttl_ms)))
    }

    pub(super) fn state_compare_and_swap(
        &mut self,
        key: &str,
        expected: Option<&[u8]>,
        value: Arc<[u8]>,
        ttl_ms: Option<u32>,
    ) -> Done<()> {
        self.state(|state| state.compare_and_swap(key, expected, value, ttl(ttl_ms)))
    }

    /// One operation in the plugin's namespace. (A component that calls `state` without the grant is not loaded;
    /// this is the second lock on the same door.)
    fn state<T>(
        &mut self,
        operation: impl FnOnce(&Namespace) -> Result<T, StateError>,
    ) -> wasmtime::Result<Result<T, Error>> {
        self.budget.host_call()?;
        if !self.shared.plugin.grants.state {
            self.deny("state", format_args!("it uses the state"), "state", None);
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
