//! How the probe shows what it saw: as JSON, in an answer of its own.

use gateway_plugin_sdk::prelude::*;
use serde_json::{Value, json};

/// What an answer says.
pub(crate) fn told(function: &str, seen: Value) -> Flow {
    Answer::new(200)
        .json(&json!({ "function": function, "saw": seen }))
        .into()
}

pub(crate) fn fields(headers: Vec<(String, Vec<u8>)>) -> Value {
    headers
        .into_iter()
        .map(|(name, value)| json!([name, text(value)]))
        .collect()
}

pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
