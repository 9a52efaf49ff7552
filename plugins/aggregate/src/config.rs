//! The plugin's `config` table as it is written.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_plugin_sdk::{ConfigDuration, ConfigError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// What is wrong with a duration of zero.
pub(crate) const NO_TIME: &str = "is zero, in which nothing can be answered";

/// The parts of an answer and how they become one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long all of it may take, within the time that the gateway gives the plugin: `250ms`, `2s`.
    #[serde(default = "two_seconds")]
    #[schemars(extend("x-within" = "timeout"))]
    pub(crate) deadline: ConfigDuration,
    /// What to fetch.
    pub(crate) parts: Vec<PartConfig>,
    /// How the parts become one document.
    #[serde(default)]
    pub(crate) merge: MergeMode,
    /// What becomes of an array that two parts have.
    #[serde(default)]
    pub(crate) arrays: Arrays,
    /// Whether `_errors` says which parts are missing, and why.
    #[serde(default)]
    pub(crate) report: bool,
}

/// One part: a request to an upstream, and what to take from its answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartConfig {
    /// Its name: letters, digits, `-` and `_`.
    pub(crate) name: String,
    /// The upstream, which the grants of the plugin name.
    pub(crate) upstream: String,
    /// The method: `GET` unless given, and `POST` with a body.
    pub(crate) method: Option<String>,
    /// Path and query; may have templates.
    pub(crate) path: String,
    /// The host that it names in place of the endpoint's address; may have templates.
    pub(crate) host: Option<String>,
    /// The body that goes with it; none unless given.
    pub(crate) body: Option<BodySource>,
    /// The fields of the client's request to pass on.
    #[serde(default)]
    pub(crate) headers: Vec<String>,
    /// Fields to set; may have templates.
    #[serde(default)]
    pub(crate) set_headers: BTreeMap<String, String>,
    /// How long it may take, within the deadline.
    pub(crate) timeout: Option<ConfigDuration>,
    /// Whether there is no answer without it.
    #[serde(default = "yes")]
    pub(crate) required: bool,
    /// What stands in for it when it is missing.
    pub(crate) fallback: Option<Value>,
    /// The field of its answer to take.
    pub(crate) take: Option<String>,
    /// The only fields to keep.
    pub(crate) allow: Option<Vec<String>>,
    /// The fields to leave out.
    #[serde(default)]
    pub(crate) deny: Vec<String>,
    /// Fields to move.
    #[serde(default)]
    pub(crate) rename: BTreeMap<String, String>,
    /// Where it goes in the document; with `merge = "group"` its name by default, else the top.
    pub(crate) into: Option<String>,
    /// Whether its own 4xx or 5xx is the answer's when it is required and missing.
    #[serde(default)]
    pub(crate) pass_status: bool,
}

/// Where the body of a part's request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BodySource {
    /// It is that of the client's request, with its `content-type`.
    Client,
}

/// How the parts become one document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MergeMode {
    /// Each under its own name.
    #[default]
    Group,
    /// Objects into each other; a later part wins.
    Deep,
    /// As `deep`, but two values in one place are an error.
    Error,
}

/// What becomes of an array that two parts have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Arrays {
    /// The later one is taken.
    #[default]
    Replace,
    /// The later one's items come after those of the earlier one.
    Append,
}

const fn two_seconds() -> ConfigDuration {
    ConfigDuration(Duration::from_secs(2))
}

/// The methods whose requests have no body (RFC 9110, sections 9.3.1, 9.3.2 and 9.3.8).
const WITHOUT_BODY: [&str; 3] = ["GET", "HEAD", "TRACE"];

impl PartConfig {
    /// The method, as it is given or as the body has it.
    pub(crate) fn method(&self) -> &str {
        match (&self.method, self.body) {
            (Some(method), _) => method,
            (None, Some(_)) => "POST",
            (None, None) => "GET",
        }
    }

    /// What is wrong with the body, if anything.
    pub(crate) fn body_fault(&self) -> Option<String> {
        let method = self.method();
        (self.body.is_some() && WITHOUT_BODY.contains(&method))
            .then(|| format!("goes with no `{method}`; `method = \"POST\"` has a body"))
    }
}

const fn yes() -> bool {
    true
}

/// Checks that the places of the parts fit the merge.
pub(crate) fn check_places(config: &Config, faults: &mut Vec<ConfigError>) {
    if config.merge == MergeMode::Group {
        let place = |part: &PartConfig| part.into.clone().unwrap_or_else(|| part.name.clone());
        for (index, part) in config.parts.iter().enumerate() {
            let here = place(part);
            let inside = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}."));
            let other = config.parts[..index].iter().find(|other| {
                let there = place(other);
                other.name != part.name && (inside(&here, &there) || inside(&there, &here))
            });
            if let Some(other) = other {
                let fault = format!(
                    "`{here}` is the place of the part `{}`, or inside it; in a group each has its own",
                    other.name
                );
                faults.push(ConfigError::new(format!("parts[{index}].into"), fault));
            }
        }
        return;
    }
    for (index, part) in config.parts.iter().enumerate() {
        let loose = part
            .fallback
            .as_ref()
            .is_some_and(|value| !value.is_object());
        if part.into.is_none() && loose {
            let fault =
                "is no object, so it has no place at the top of the document; `into` gives it one";
            faults.push(ConfigError::new(format!("parts[{index}].fallback"), fault));
        }
    }
}
