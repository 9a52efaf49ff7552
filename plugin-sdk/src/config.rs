//! From the JSON of the `config` table to the plugin's own type, with the key of every fault.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// More faults than a person reads at once are not looked for.
const MOST_FAULTS: usize = 16;

/// A fault in a plugin's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The key as a dotted path below the plugin's `config` table; empty for the table itself.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl ConfigError {
    /// A fault of the value at `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.key, self.message)
        }
    }
}

impl std::error::Error for ConfigError {}

/// The configuration of a plugin that has none: any key is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a configuration; nothing and `null` stand for the empty table.
pub(crate) fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Vec<ConfigError>> {
    let mut table: Value = if json.trim().is_empty() {
        Value::Null
    } else {
        serde_json::from_str(json)
            .map_err(|e| vec![ConfigError::new("", format!("is not JSON: {e}"))])?
    };
    if table.is_null() {
        table = Value::Object(serde_json::Map::new());
    }
    read(table)
}

/// Serde stops at the first fault. To find the others, the value at fault is taken out and the rest read again.
fn read<T: DeserializeOwned>(mut table: Value) -> Result<T, Vec<ConfigError>> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&table) {
            Ok(config) if faults.is_empty() => return Ok(config),
            Ok(_) => return Err(faults),
            Err(error) => error,
        };
        let fault = fault(&error);
        let known = !seen.insert(fault.key.clone());
        let removed = !known && remove(&mut table, &error);
        if !known {
            faults.push(fault);
        }
        if !removed || faults.len() == MOST_FAULTS {
            return Err(faults);
        }
    }
}

fn fault(error: &serde_path_to_error::Error<serde_json::Error>) -> ConfigError {
    let message = error.inner().to_string();
    let path = error.path().to_string();
    let path = if path == "." { "" } else { path.as_str() };
    let quoted = |prefix: &str| {
        message
            .strip_prefix(prefix)
            .and_then(|rest| rest.split('`').next())
    };
    if let Some(field) = quoted("missing field `") {
        return ConfigError::new(below(path, field), "is missing");
    }
    if let Some(field) = quoted("unknown field `") {
        let known = message
            .split_once("`, ")
            .map_or("no key is known here", |(_, known)| known);
        return ConfigError::new(below(path, field), format!("is no known key; {known}"));
    }
    ConfigError::new(path, message)
}

/// The key of `field` in the table at `path`, which may already end with it.
fn below(path: &str, field: &str) -> String {
    match path.strip_suffix(field) {
        Some(parent) if parent.is_empty() || parent.ends_with('.') => path.to_owned(),
        _ if path.is_empty() => field.to_owned(),
        _ => format!("{path}.{field}"),
    }
}

/// Takes the value at fault out of its table; false if there is none to take out.
fn remove(table: &mut Value, error: &serde_path_to_error::Error<serde_json::Error>) -> bool {
    use serde_path_to_error::Segment;

    let mut segments: Vec<_> = error.path().iter().collect();
    let Some(Segment::Map { key: last }) = segments.pop() else {
        return false;
    };
    let parent = segments
        .into_iter()
        .try_fold(table, |value, segment| match segment {
            Segment::Map { key } => value.get_mut(key),
            Segment::Seq { index } => value.get_mut(index),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
    parent
        .and_then(Value::as_object_mut)
        .is_some_and(|parent| parent.remove(last).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Config {
        header: String,
        #[serde(default)]
        limits: Vec<Limit>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Limit {
        per_minute: u32,
        #[serde(default)]
        burst: u32,
    }

    fn faults(json: &str) -> Vec<(String, String)> {
        let faults = parse::<Config>(json).unwrap_err();
        faults
            .into_iter()
            .map(|fault| (fault.key, fault.message))
            .collect()
    }

    fn keys(json: &str) -> Vec<String> {
        faults(json).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_missing_field_is_named_with_its_table() {
        assert_eq!(
            faults("{}"),
            [("header".to_owned(), "is missing".to_owned())]
        );
        assert_eq!(
            keys(r#"{ "header": "x", "limits": [{ "burst": 1 }] }"#),
            ["limits[0].per_minute"]
        );
    }

    #[test]
    fn an_unknown_field_is_named_with_what_is_known() {
        let faults = faults(r#"{ "header": "x", "limits": [{ "per_minute": 1, "brst": 2 }] }"#);
        assert_eq!(faults[0].0, "limits[0].brst");
        assert!(
            faults[0].1.contains("`per_minute` or `burst`"),
            "{}",
            faults[0].1
        );
    }

    #[test]
    fn every_fault_is_found_and_each_once() {
        let keys = keys(
            r#"{ "a": 1, "b": 2, "header": 7, "limits": [{ "per_minute": 1, "burst": -1 }] }"#,
        );
        for key in ["a", "b", "header", "limits[0].burst"] {
            assert_eq!(
                keys.iter().filter(|k| *k == key).count(),
                1,
                "{key} in {keys:?}"
            );
        }
    }

    #[test]
    fn nothing_and_null_are_the_empty_table() {
        for json in ["", "null", "{}"] {
            assert_eq!(parse::<NoConfig>(json), Ok(NoConfig {}));
        }
        assert_eq!(parse::<NoConfig>(r#"{ "a": 1 }"#).unwrap_err()[0].key, "a");
    }
}
