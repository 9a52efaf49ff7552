//! `[plugins.NAME]`.

use std::sync::Arc;

use http::HeaderName;
use serde_json::{Map, Value as Json};

use super::description::Words;
use super::fill;
use super::item::Item;
use super::model::{BodyOverflow, Grants, HeaderPatterns, Instances, OnError, Plugin};
use super::sections::Names;
use super::table::{Default, Table};
use super::written::Written;
use crate::file;

/// The largest component, bytes.
pub const COMPONENT: u64 = 64 << 20;
/// Why sizes end here: 4 GiB is what a 32-bit memory can have.
const WASM_MEMORY: u64 = 4 << 30;

static WORDS: Words = Words {
    about: "A plugin: its component, its budget, and what it may do.",
    keys: &[
        ("path", "The component, a `.wasm` file of at most 64 MiB."),
        (
            "sha256",
            "What the file must hash to; another file is refused. `sha256:` may stand before the digits.",
        ),
        (
            "on_error",
            "What becomes of a request when the plugin fails. `closed`: the client gets 500. `open`: the plugin is \
             skipped.",
        ),
        (
            "memory",
            "The linear memory of one instance; beside it, for a call that holds a body, 32 times the body.",
        ),
        (
            "cpu",
            "The time that one call may compute; beside it, for a call that holds a body, 200 ms for each MiB. At most \
             `timeout`.",
        ),
        (
            "timeout",
            "The time that one call may take, its sub-requests included.",
        ),
        (
            "body_limit",
            "The largest body the plugin may hold, and the largest answer to a sub-request of it. A body that it makes \
             may be as large, or 32 times as large as what it holds.",
        ),
        (
            "body_overflow",
            "What happens to a body over `body_limit`. `refuse`: 413 for a request, 502 for a response. `skip`: the \
             plugin is called without the body.",
        ),
        ("instances", "How instances are kept."),
        ("grants", "What the plugin may do."),
        (
            "config",
            "The configuration of the plugin, which says itself what it takes. A route may give its own. \
             `${secrets.NAME}` in a string stands for a secret. Text from the environment, a file or `[secrets]` that \
             stands where the plugin's schema has a number or a boolean becomes one.",
        ),
    ],
    example: r#"
[plugins.auth]
path = "auth.wasm"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
on_error = "closed"
memory = "16MiB"
cpu = "10ms"
timeout = "2s"
body_limit = "1MiB"
body_overflow = "skip"
instances = { mode = "pooled", max = 1000, recycle_after = 100_000 }
config = { schemes = ["jwt"], jwt = { keys = [{ secret = "${secrets.jwt_key}" }] } }

[plugins.auth.grants]
upstreams = ["idp"]
secrets = ["jwt_key"]
state = true
request_headers = { read = ["*"], write = ["x-user-*", "authorization"] }
response_headers = { read = ["*"], write = ["www-authenticate"] }

[plugins.limit]
path = "limit.wasm"

[plugins.transform]
path = "transform.wasm"
"#,
};

/// One plugin.
pub(super) fn plugin(
    item: &Item<'_>,
    name: Arc<str>,
    names: &Names,
) -> Option<(Option<Plugin>, Json)> {
    item.table("a table [plugins.NAME]", |table| {
        table.words(&WORDS);
        let path = if table.later(&["oci"]) {
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
        let config = match table.item_unshown("config") {
            Some(item) => {
                let (config, _, shown) = config(&item, names);
                table.show("config", shown);
                config
            }
            None => Some(Json::Object(Map::new())),
        };
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

/// The configuration of a plugin: any table. What it is, where it stands, and how it is shown.
pub(super) fn config(item: &Item<'_>, names: &Names) -> (Option<Json>, Written, Json) {
    let filled = fill::secrets(item, &names.secrets);
    let item = Item {
        scope: item.scope,
        node: &filled.node,
        key: item.key.clone(),
    };
    let config = item.open_table("a table, the plugin's configuration");
    let place = Written::table(&item, filled.secrets);
    (config, place, item.node.masked_by_name())
}

fn artifact(item: &Item<'_>) -> Option<std::path::PathBuf> {
    let path = item.path()?;
    item.scope.watch_plugin(&path);
    match file::look(&path, COMPONENT) {
        Ok(()) => Some(path),
        Err(error) => {
            item.fault(item.unreadable(&error));
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

static INSTANCES: Words = Words {
    about: "How instances of a plugin are kept.",
    keys: &[
        (
            "mode",
            "`pooled`: instances serve one exchange after the other. `fresh`: a new one for each exchange.",
        ),
        (
            "max",
            "Instances at once, over all workers and all versions of the plugin. Idle ones make way; a call beyond it fails at once.",
        ),
        (
            "recycle_after",
            "The calls after which an instance is replaced.",
        ),
    ],
    example: "",
};

fn instances(table: &mut Table<'_>) -> Instances {
    table.words(&INSTANCES);
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

static GRANTS: Words = Words {
    about: "What a plugin may do beyond what it computes.",
    keys: &[
        (
            "upstreams",
            "Upstreams that it may send sub-requests and the request itself to.",
        ),
        (
            "secrets",
            "Secrets that it may read by name. What `${secrets.NAME}` puts into its `config` needs no grant.",
        ),
        (
            "state",
            "Whether it may keep entries in the state. A limiter needs no grant.",
        ),
        ("request_headers", "Fields of the client's request."),
        ("response_headers", "Fields of the upstream's response."),
    ],
    example: "",
};

static ACCESS: Words = Words {
    about: "Header fields that a plugin may read and write: names, prefixes such as `x-user-*`, or `*` for all.",
    keys: &[
        ("read", "The fields that it sees."),
        ("write", "The fields that it may set and remove."),
    ],
    example: "",
};

fn grants(table: &mut Table<'_>, names: &Names) -> Grants {
    table.words(&GRANTS);
    let upstreams = references(table, "upstreams", "an upstream", &names.upstreams);
    let secrets = references(table, "secrets", "a secret", &names.secrets.names);
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
    let Some(item) = table.item_or(key, &[]) else {
        return Vec::new();
    };
    let items = item.items("a list of names").unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item.reference(kind, known))
        .collect()
}

fn access(table: &mut Table<'_>) -> (HeaderPatterns, HeaderPatterns) {
    table.words(&ACCESS);
    (patterns(table, "read"), patterns(table, "write"))
}

fn patterns(table: &mut Table<'_>, key: &'static str) -> HeaderPatterns {
    let Some(item) = table.item_or(key, &["*"]) else {
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
            Ok(name) if name.as_str().contains('*') => item.fault(format!(
                "{} is no pattern; `*` stands for what follows a prefix, such as `x-user-*`, or alone for all",
                item.quoted()
            )),
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
