//! Secrets that the configuration grants by name.

use crate::host;

/// The secret of that name, if the configuration has it and the grants allow it. Never log it.
#[must_use]
pub fn get(name: &str) -> Option<String> {
    host::secret(name)
}
