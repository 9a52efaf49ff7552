//! What the exchange says of itself.

use std::sync::atomic::{AtomicU32, Ordering};

use gateway_plugin_sdk::prelude::*;
use serde_json::{Value, json};

use crate::shown::{fields, text};

/// Calls of `on_request` that this instance has had.
pub(crate) static CALLS: AtomicU32 = AtomicU32::new(0);

/// What the exchange says; `None` if `function` is none of its readers.
pub(crate) fn facts(request: &Request, function: &str) -> Option<Value> {
    Some(match function {
        "calls" => json!(CALLS.load(Ordering::Relaxed)),
        "id" => json!(request.id()),
        "route" => json!(request.route()),
        "client-address" => json!(request.client_address()),
        "scheme" => json!(request.scheme()),
        "authority" => json!(request.authority()),
        "method" => json!(request.method()),
        "path" => json!(request.path_and_query()),
        "path-param" => json!(request.path_param("name")),
        "query-param" => json!(request.query_param("q")),
        "client-certificate-subject" => json!(request.client_certificate_subject()),
        "remaining-ms" => json!(request.remaining().map(|left| left.as_millis() as u64)),
        "call-remaining-ms" => json!(request.call_remaining().as_millis() as u64),
        "request-header" => json!(request.header("x-probe")),
        "request-headers" => fields(request.headers()),
        "request-body" => json!(request.body().map(text)),
        // A tree of values: what takes most of memory.
        "items" => {
            let opened = serde_json::from_slice(&request.body().unwrap_or_default());
            json!(opened.map_or(0, |items: Vec<Value>| items.len()))
        }
        "attribute" => {
            request.set_attribute("probe.left", "set");
            json!(request.attribute("probe.left"))
        }
        _ => return None,
    })
}
