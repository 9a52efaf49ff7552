//! `secrets`: those that the grants name.

use crate::plugin::host::guest::Guest;

impl Guest {
    pub(super) fn secret(&mut self, name: &str) -> wasmtime::Result<Option<&str>> {
        self.budget.host_call()?;
        if !self
            .shared
            .plugin
            .grants
            .secrets
            .iter()
            .any(|granted| **granted == *name)
        {
            let name = self.shown(name);
            self.deny(
                "secret",
                format_args!("it reads the secret {name}"),
                "secrets",
                Some(&name),
            );
            return Ok(None);
        }
        let secret = self.shared.services.secrets.get(name);
        Ok(secret.map(|secret| secret.reveal()))
    }
}
