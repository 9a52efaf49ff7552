//! `[plugins.NAME]`.

use std::sync::Arc;

use http::HeaderName;
use serde_json::{Map, Value as Json};

use super::model::{BodyOverflow, Grants, HeaderPatterns, Instances, OnError, Plugin};
use super::scope;
use super::sections::Names;
use super::table::{Default, Item, Table};
use super::tree::Value;

/// Why sizes end here: 4 GiB is what a 32-bit memory can have.
const WASM_MEMORY: u64 = 4 << 30;

/// One plugin.
pub(super) fn plugin(
    item: &Item<'_>,
    name: Arc<str>,
    names: &Names,
) -> Option<(Option<Plugin>, Json)> {
    item.table("a table [plugins.NAME]", |table| {
        table.later(&["oci"]);
        let path = if table.has("oci") {
            table.optional("path", artifact)
        } else {
            table.required("path", "path = \"plugins/name.wasm\"", artifact)
        };
        let sha256 = table.optional("sha256", sha256);
        let on_error = table.or("on_error", Default::Text("closed"), |item| {
            item.choice(&[("closed", OnError::Closed), ("open", OnError::Open)], &[])
        });
        let memory = table.or("memory", Default::Text("16MiB"), |item| {
            bytes(item, 64 << 10, "a size from \"64KiB\" to \"4GiB\"")
        });
        let cpu = table.or("cpu", Default::Text("10ms"), |item| item.duration());
        let timeout = table.or("timeout", Default::Text("2s"), |item| item.duration());
        if cpu > timeout {
            let message = format!(
                "{cpu:?} of guest time can never be used up: a call ends after `timeout`, {timeout:?}; raise `timeout`, or lower `cpu`"
            );
            table.fault("cpu", message);
        }
        let body_limit = table.or("body_limit", Default::Text("1MiB"), |item| {
            bytes(item, 0, "a size up to \"4GiB\"")
        });
        let body_overflow = table.or("body_overflow", Default::Text("refuse"), |item| {
            item.choice(
                &[("refuse", BodyOverflow::Refuse), ("skip", BodyOverflow::Skip)],
                &[],
            )
        });
        let instances = table.sub("instances", instances);
        let grants = table.sub("grants", |table| grants(table, names));
        let (config, shown) = match table.item_unshown("config") {
            Some(item) => config(&item),
            None => (Some(Json::Object(Map::new())), Json::Object(Map::new())),
        };
        table.show("config", shown);
        Some(Plugin {
            name,
            path: path?,
            sha256: sha256.flatten(),
            on_error,
            memory,
            cpu,
            timeout,
            body_limit,
            body_overflow,
            instances,
            grants,
            config: config?,
        })
    })
}

/// The configuration of a plugin: any table. What it is, and how it is shown.
pub(super) fn config(item: &Item<'_>) -> (Option<Json>, Json) {
    let shown = item.node.masked_by_name();
    if matches!(item.node.value, Value::Table(_)) {
        (Some(item.node.json()), shown)
    } else {
        item.mismatch("a table, the plugin's configuration");
        (None, shown)
    }
}

fn artifact(item: &Item<'_>) -> Option<std::path::PathBuf> {
    let path = item.path()?;
    item.scope.watch_plugin(&path);
    match std::fs::metadata(&path) {
        Ok(found) if found.is_file() => Some(path),
        Ok(_) => {
            item.fault(format!(
                "{} is not a file; expected a component",
                item.quoted()
            ));
            None
        }
        Err(error) => {
            let shown = path.display();
            let reason = scope::reason(&error);
            item.fault(format!(
                "cannot read {}: {reason} (looked for {shown})",
                item.quoted()
            ));
            None
        }
    }
}

/// 64 hexadecimal digits; the outer option is the reader's, the inner is never empty.
fn sha256(item: &Item<'_>) -> Option<Option<[u8; 32]>> {
    let text = item.text_as("64 hexadecimal digits")?;
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    let mut digest = [0; 32];
    let digits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits {
        let count = text.chars().count();
        item.fault(format!(
            "expected the 64 hexadecimal digits of a SHA-256, found {count} characters"
        ));
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(Some(digest))
}

fn bytes(item: &Item<'_>, low: u64, named: &str) -> Option<usize> {
    usize::try_from(item.size(low..=WASM_MEMORY, named)?).ok()
}

fn instances(table: &mut Table<'_>) -> Instances {
    Instances {
        fresh: table.or("mode", Default::Text("pooled"), |item| {
            item.choice(&[("pooled", false), ("fresh", true)], &[])
        }),
        max: table.or("max", Default::Integer(1000), |item| item.count(1)),
        recycle_after: table.or("recycle_after", Default::Integer(100_000), |item| {
            u64::try_from(item.integer(1..=i64::MAX)?).ok()
        }),
    }
}

fn grants(table: &mut Table<'_>, names: &Names) -> Grants {
    let upstreams = references(table, "upstreams", "an upstream", &names.upstreams);
    let secrets = references(table, "secrets", "a secret", &names.secrets);
    let state = table.or("state", Default::Bool(false), |item| item.bool());
    let (read_request_headers, write_request_headers) = table.sub("request_headers", access);
    let (read_response_headers, write_response_headers) = table.sub("response_headers", access);
    Grants {
        upstreams,
        secrets,
        state,
        read_request_headers,
        write_request_headers,
        read_response_headers,
        write_response_headers,
    }
}

fn references(
    table: &mut Table<'_>,
    key: &'static str,
    kind: &str,
    known: &[Arc<str>],
) -> Vec<Arc<str>> {
    let Some(item) = table.item(key) else {
        table.show(key, Json::Array(Vec::new()));
        return Vec::new();
    };
    let items = item.items("a list of names").unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item.reference(kind, known))
        .collect()
}

fn access(table: &mut Table<'_>) -> (HeaderPatterns, HeaderPatterns) {
    (patterns(table, "read"), patterns(table, "write"))
}

fn patterns(table: &mut Table<'_>, key: &'static str) -> HeaderPatterns {
    let Some(item) = table.item(key) else {
        table.show(key, ["*"].into_iter().collect());
        return HeaderPatterns::All;
    };
    let (mut exact, mut prefixes) = (Vec::new(), Vec::new());
    let mut all = false;
    let expected = "a list of field names such as [\"x-user-*\", \"authorization\"]";
    for item in item.items(expected).unwrap_or_default() {
        let Some(text) = item.text_as("a field name") else {
            continue;
        };
        if text == "*" {
            all = true;
            continue;
        }
        let prefix = text.strip_suffix('*');
        match HeaderName::try_from(prefix.unwrap_or(text)) {
            Ok(name) if prefix.is_some() => prefixes.push(name.as_str().to_owned()),
            Ok(name) => exact.push(name),
            Err(_) => item.fault(format!(
                "{} is no field name; write one such as `x-user`, or a prefix such as `x-user-*`",
                item.quoted()
            )),
        }
    }
    if all {
        HeaderPatterns::All
    } else {
        HeaderPatterns::Some { exact, prefixes }
    }
}
