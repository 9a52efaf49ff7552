//! Edits of the request and of its response, which show where they belong: upstream or in the response.

use gateway_plugin_sdk::prelude::*;
use serde_json::{Value, json};

use crate::shown::fields;

/// Edits that only show upstream or in the response; false if `function` is none of them.
pub(crate) fn forward(request: &mut Request, function: &str, upstream: &str) -> Result<bool> {
    match function {
        "set-request-header" => request.set_header("x-probe", "set")?,
        "append-request-header" => {
            request.append_header("x-probe", "one")?;
            request.append_header("x-probe", "two")?;
        }
        "remove-request-header" => request.remove_header("x-probe")?,
        "apply" => several_edits(request)?,
        "set-method" => request.set_method("PUT")?,
        "ask-for-head" => request.set_method("HEAD")?,
        "ask-for-all" => request.set_method("GET")?,
        "set-path" => request.set_path("/probed?by=probe")?,
        "set-upstream" => request.set_upstream(upstream)?,
        "set-request-body" => request.set_body("replaced by the probe"),
        "set-status" => request.response().set_status(418),
        "set-response-header" => request.response().set_header("x-probe", "set")?,
        "append-response-header" => {
            request.response().append_header("x-probe", "one")?;
            request.response().append_header("x-probe", "two")?;
        }
        "remove-response-header" => request.response().remove_header("content-type")?,
        "set-attribute" => request.set_attribute("probe.left", "set"),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Edits are made in order up to the first that is refused, and that one is named.
fn several_edits(request: &mut Request) -> Result<()> {
    request.edit(&[
        Edit::set_header("x-probe", b"one"),
        Edit::append_header("x-probe", b"two"),
        Edit::remove_header("cookie"),
        Edit::set_response_header("x-probe", b"one"),
        Edit::append_response_header("X-Probe", b"two"),
        Edit::remove_response_header("content-type"),
        Edit::set_attribute("probe.left", "set"),
    ])?;
    let stopped = request.edit(&[
        Edit::set_header("x-before", b"made"),
        Edit::set_header("host", b"elsewhere"),
        Edit::set_header("x-after", b"not made"),
    ]);
    let at = stopped.map_err(|error| (error.at, error.why));
    if at == Err((1, HeaderError::Denied))
        && request.header_str("x-probe").as_deref() == Some("one")
        && request.header("cookie").is_none()
        && request.header_str("x-before").as_deref() == Some("made")
        && request.header("x-after").is_none()
        && request.attribute("probe.left").as_deref() == Some("set")
    {
        Ok(())
    } else {
        Err(format!(
            "stopped with {at:?} at fields {:?}",
            fields(request.headers())
        )
        .into())
    }
}

/// What comes of edits that no grant allows.
pub(crate) fn reserved_edits(request: &mut Request) -> Value {
    let names = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "upgrade",
        ":path",
        "a b",
    ];
    names
        .map(|n| json!([n, request.set_header(n, "x").map_err(|e| e.to_string())]))
        .into()
}
