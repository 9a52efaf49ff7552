//! The names of request fields, as the tables of every scheme give them.

use gateway_plugin_sdk::{ConfigError, fields};

/// Lower case, or a fault at `key` if it is no field that a plugin can edit.
pub(crate) fn field_name(name: &str, key: &str, faults: &mut Vec<ConfigError>) -> String {
    fields::editable(name).unwrap_or_else(|fault| {
        faults.push(ConfigError::new(key, fault));
        name.to_ascii_lowercase()
    })
}
