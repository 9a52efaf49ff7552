//! Times in the configuration of a plugin that are to be less than one of its table: a property of its schema says so by
//! `x-within`.

use serde_json::Value;

use crate::config::{self, parsed_duration};

/// The keyword, beside `type` and the others of a property.
const KEYWORD: &str = "x-within";

/// The key of each time that is not less than what it is to be within, and what is said of it. A default is not meant:
/// the plugin made it.
pub(super) fn exceeding(
    config: &Value,
    schema: &Value,
    plugin: &config::Plugin,
) -> Vec<(String, String)> {
    let Some(properties) = schema["properties"].as_object() else {
        return Vec::new();
    };
    let within = properties
        .iter()
        .filter(|(_, property)| property[KEYWORD] == "timeout");
    let told = within.filter_map(|(key, _)| {
        let time = parsed_duration(config[key].as_str()?)?;
        (time >= plugin.timeout).then(|| {
            let message = format!(
                "{time:?} is not less than `plugins.{}.timeout`, {:?}, which ends the call before; lower it, or raise that",
                plugin.name, plugin.timeout
            );
            (key.clone(), message)
        })
    });
    told.collect()
}
