//! What a route says in the place of its listener, its upstream and the server: `limits`, `timeouts`, `access_log`,
//! `tags`, `encoded_slashes`, `path_parameters`.

use super::super::description::Words;
use super::super::item::Item;
use super::super::model::{Overrides, RouteLog, RouteTimeouts};
use super::super::table::{self, Table};
use super::super::tree::Value;
use crate::message::path::{EncodedSlashes, PathParameters, PathRules};

/// The most tags that a route may have.
const TAGS: usize = 16;
/// The longest name of a tag, in bytes.
const TAG_NAME: usize = 64;
/// The longest value of a tag, in bytes.
const TAG_VALUE: usize = 256;

static LIMITS: Words = Words {
    about: "What one request may take, in the place of the listener's `limits`. Only the body has a limit of its own here: \
            the head of a request is read before its route is known.",
    keys: &[(
        "body",
        "The size of a request body, more or less than the listener allows. Beyond it 413. `\"0B\"` is no limit. The \
         `body_limit` of a plugin holds besides. Unless given, the listener's.",
    )],
    example: "",
};

static TIMEOUTS: Words = Words {
    about: "How long the gateway waits for an endpoint, in the place of the upstream's `timeouts`.",
    keys: &[
        (
            "connect",
            "For a connection, and before that for a place in a full pool. Unless given, the upstream's.",
        ),
        (
            "first_byte",
            "From the request sent to the head of the response. Unless given, the upstream's.",
        ),
        (
            "idle",
            "Between two pieces of the body of the response. Unless given, the upstream's.",
        ),
        (
            "tunnel",
            "Between two pieces of what goes through a tunnel, in either direction. Unless given, the upstream's.",
        ),
    ],
    example: "",
};

/// What the route says of itself.
pub(super) fn overrides(table: &mut Table<'_>) -> Overrides {
    let body = table.sub("limits", limits);
    let timeouts = table.sub("timeouts", timeouts);
    let access_log = table.or("access_log", table::Default::Bool(true), access_log);
    let tags = table.optional("tags", tags).unwrap_or_default();
    let (refuse, keep) = (EncodedSlashes::Refuse, EncodedSlashes::Keep);
    let slashes = table.or("encoded_slashes", table::Default::Text("refuse"), |item| {
        item.choice(&[("refuse", refuse), ("keep", keep)], &[])
    });
    let (refuse, keep) = (PathParameters::Refuse, PathParameters::Keep);
    let parameters = table.or("path_parameters", table::Default::Text("refuse"), |item| {
        item.choice(&[("refuse", refuse), ("keep", keep)], &[])
    });
    Overrides {
        body,
        timeouts: (timeouts != RouteTimeouts::default()).then(|| Box::new(timeouts)),
        access_log,
        tags,
        paths: PathRules {
            slashes,
            parameters,
        },
    }
}

/// What the table of a route says that it keeps in paths, for readers of its other keys.
pub(super) fn paths(table: &Table<'_>) -> PathRules {
    PathRules {
        slashes: match table.says("encoded_slashes", "keep") {
            true => EncodedSlashes::Keep,
            false => EncodedSlashes::Refuse,
        },
        parameters: match table.says("path_parameters", "keep") {
            true => PathParameters::Keep,
            false => PathParameters::Refuse,
        },
    }
}

/// The limit of a request's body.
pub(super) fn limits(table: &mut Table<'_>) -> Option<u64> {
    table.words(&LIMITS);
    let body = table.optional("body", |item| item.size(0..=1 << 60, "a size up to 1 EiB"));
    let of_head = ["header_bytes", "header_count", "header_timeout"];
    table.misplaced(
        &of_head,
        "belongs to the listener: the head is read before its route is known; write it into the `limits` of [[listeners]]",
    );
    let of_connection = [
        "connections",
        "body_idle",
        "body_rate",
        "idle",
        "h2_streams",
    ];
    table.misplaced(
        &of_connection,
        "belongs to the listener: it holds for a connection, whatever its requests ask for; write it into the `limits` of [[listeners]]",
    );
    body
}

fn timeouts(table: &mut Table<'_>) -> RouteTimeouts {
    table.words(&TIMEOUTS);
    RouteTimeouts {
        connect: table.optional("connect", Item::duration),
        first_byte: table.optional("first_byte", Item::duration),
        idle: table.optional("idle", Item::duration),
        tunnel: table.optional("tunnel", Item::duration),
    }
}

fn access_log(item: &Item<'_>) -> Option<RouteLog> {
    if let Some(word) = item.keyword([("failures", RouteLog::Failures)]) {
        return Some(word);
    }
    if matches!(item.node.value, Value::Text(_)) && !item.is_outside() {
        item.mismatch("true, false or \"failures\"");
        return None;
    }
    Some(match item.bool()? {
        true => RouteLog::All,
        false => RouteLog::Off,
    })
}

fn tags(item: &Item<'_>) -> Option<Vec<(Box<str>, Box<str>)>> {
    let fields = item.fields("a table such as { team = \"shop\" }")?;
    if fields.len() > TAGS {
        item.fault(format!(
            "has {} tags; a route has at most {TAGS}",
            fields.len()
        ));
    }
    let mut tags = Vec::new();
    for (entry, item) in fields {
        let name = entry.key.as_str();
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || name.len() > TAG_NAME || !name.bytes().all(is_of_name) {
            let message =
                format!("is no name of a tag; write up to {TAG_NAME} letters, digits, `-` and `_`");
            item.scope.fault(entry.at, &item.key, message);
            continue;
        }
        let Some(value) = item.text() else { continue };
        if value.len() > TAG_VALUE || value.chars().any(char::is_control) {
            item.fault(format!(
                "{} is no value of a tag; write up to {TAG_VALUE} bytes without control characters",
                item.quoted()
            ));
            continue;
        }
        tags.push((name.into(), value.into()));
    }
    Some(tags)
}
