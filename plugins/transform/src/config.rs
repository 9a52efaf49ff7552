//! The plugin's `config` table as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// What to edit, on the way to the upstream and on the way back.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Edits of the request.
    pub(crate) request: RequestConfig,
    /// Edits of the response.
    pub(crate) response: ResponseConfig,
}

/// Edits of the request.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RequestConfig {
    /// Fields to remove.
    remove_headers: Vec<String>,
    /// Fields to give another name; what is there under the new name goes.
    rename_headers: BTreeMap<String, String>,
    /// Fields to set, in place of those of the same name.
    set_headers: BTreeMap<String, String>,
    /// Fields to add to those of the same name.
    add_headers: BTreeMap<String, Values>,
    /// Fields to add where there is none of that name.
    add_headers_if_absent: BTreeMap<String, Values>,
    /// Query parameters to remove.
    remove_query: Vec<String>,
    /// Query parameters to give another name.
    rename_query: BTreeMap<String, String>,
    /// Query parameters to set, in place of those of the same name.
    set_query: BTreeMap<String, String>,
    /// Query parameters to add to those of the same name.
    add_query: BTreeMap<String, Values>,
    /// Another path.
    pub(crate) path: PathConfig,
    /// Another method.
    pub(crate) method: Option<String>,
    /// Edits of a JSON body.
    pub(crate) json: JsonConfig,
}

/// Edits of the response.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ResponseConfig {
    /// Fields to remove.
    remove_headers: Vec<String>,
    /// Fields to give another name; what is there under the new name goes.
    rename_headers: BTreeMap<String, String>,
    /// Fields to set, in place of those of the same name.
    set_headers: BTreeMap<String, String>,
    /// Fields to add to those of the same name.
    add_headers: BTreeMap<String, Values>,
    /// Fields to add where there is none of that name.
    add_headers_if_absent: BTreeMap<String, Values>,
    /// Another status, 200 to 599.
    pub(crate) status: Option<u16>,
    /// Edits of a JSON body.
    pub(crate) json: JsonConfig,
}

/// Another path. The query stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PathConfig {
    /// The whole path; may have templates. Not with the other keys.
    pub(crate) set: Option<String>,
    /// What to take from the beginning, in whole segments.
    pub(crate) strip_prefix: Option<String>,
    /// What to look for in the path; with `to`.
    pub(crate) regex: Option<String>,
    /// What to put in the place of the first match: `$1`, `${name}` are its groups.
    pub(crate) to: Option<String>,
    /// What to put before.
    pub(crate) prefix: Option<String>,
}

/// Edits of a JSON body, by dotted paths.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JsonConfig {
    /// Fields to remove.
    pub(crate) remove: Vec<String>,
    /// Fields to move.
    pub(crate) rename: BTreeMap<String, String>,
    /// Fields to set; a string may have templates.
    pub(crate) set: BTreeMap<String, Value>,
    /// Types of responses that are JSON beside `application/json` and those that end in `+json`.
    pub(crate) types: Vec<String>,
    /// Types of responses that pass as they are.
    pub(crate) pass: Vec<String>,
    /// What becomes of every other body.
    pub(crate) other: Option<Other>,
}

/// What becomes of a body that the edits are not for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Other {
    /// It passes as it is.
    Pass,
    /// A request is answered with 415; at a response the plugin fails.
    Refuse,
}

/// One value or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub(crate) enum Values {
    /// One.
    One(String),
    /// Several, in order.
    Many(Vec<String>),
}

/// The edits of header fields, of either side.
#[derive(Debug)]
pub(crate) struct HeaderConfig {
    pub(crate) remove: Vec<String>,
    pub(crate) rename: BTreeMap<String, String>,
    pub(crate) set: BTreeMap<String, String>,
    pub(crate) add: BTreeMap<String, Values>,
    pub(crate) add_if_absent: BTreeMap<String, Values>,
}

/// The edits of the query.
#[derive(Debug)]
pub(crate) struct QueryConfig<'a> {
    pub(crate) remove: &'a [String],
    pub(crate) rename: &'a BTreeMap<String, String>,
    pub(crate) set: &'a BTreeMap<String, String>,
    pub(crate) add: &'a BTreeMap<String, Values>,
}

impl RequestConfig {
    pub(crate) fn query(&self) -> QueryConfig<'_> {
        QueryConfig {
            remove: &self.remove_query,
            rename: &self.rename_query,
            set: &self.set_query,
            add: &self.add_query,
        }
    }

    pub(crate) fn headers(self) -> HeaderConfig {
        HeaderConfig {
            remove: self.remove_headers,
            rename: self.rename_headers,
            set: self.set_headers,
            add: self.add_headers,
            add_if_absent: self.add_headers_if_absent,
        }
    }
}

impl ResponseConfig {
    pub(crate) fn headers(self) -> HeaderConfig {
        HeaderConfig {
            remove: self.remove_headers,
            rename: self.rename_headers,
            set: self.set_headers,
            add: self.add_headers,
            add_if_absent: self.add_headers_if_absent,
        }
    }
}

impl Values {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::One(value) => std::slice::from_ref(value).iter(),
            Self::Many(values) => values.iter(),
        }
    }
}
