//! `secrets`: those that the grants name.

use crate::plugin::host::bindings::gateway::plugin::secrets::Host;
use crate::plugin::host::guest::Guest;

impl Host for Guest {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.budget.host_call()?;
        if !self
            .shared
            .plugin
            .grants
            .secrets
            .iter()
            .any(|granted| **granted == *name)
        {
            let name = self.shown(&name);
            self.deny(
                "secret",
                format_args!("it reads the secret {name}"),
                format_args!("secrets = [{name}]"),
            );
            return Ok(None);
        }
        let secret = self.shared.services.secrets.get(name.as_str());
        Ok(secret.map(|secret| secret.reveal().to_owned()))
    }
}
