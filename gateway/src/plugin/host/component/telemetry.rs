//! `telemetry` and `secrets`.

use crate::plugin::host::bindings::gateway::plugin::secrets;
use crate::plugin::host::bindings::gateway::plugin::telemetry::{Host, Level};
use crate::plugin::host::guest::Guest;

type Pairs = Vec<(String, String)>;

impl Host for Guest {
    fn log(&mut self, level: Level, message: String, fields: Pairs) -> wasmtime::Result<()> {
        Self::log(self, level, message, &fields)
    }

    fn count(&mut self, name: String, labels: Pairs, by: u64) -> wasmtime::Result<()> {
        Self::count(self, &name, labels, by)
    }

    fn observe(&mut self, name: String, labels: Pairs, value: f64) -> wasmtime::Result<()> {
        Self::observe(self, &name, labels, value)
    }
}

impl secrets::Host for Guest {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.secret(&name)?.map(str::to_owned))
    }
}
