//! `[server]`, `[state]` and `[secrets]`.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::compile_cache;
use super::description::{Shape, Words};
use super::item::Item;
use super::log_format::LogTemplate;
use super::model::{AccessLog, AccessLogFormat, AccessLogPath, Compile, Plugin, Server, State};
use super::plugin_memory;
use super::reason::Reason;
use super::resolver;
use super::scope::Scope;
use super::sections::Sections;
use super::suggest;
use super::table::{self, Default, Table};
use super::tree::Value;
use super::units::Secret;
use crate::message::depth::KEY_BYTES;

static SERVER: Words = Words {
    about: "The process.",
    keys: &[
        (
            "workers",
            "Data threads. `0` is one for each core. A change needs a restart.",
        ),
        (
            "drain_delay",
            "How long connections are still accepted after SIGTERM or SIGINT, while `/readyz` says 503: for load \
             balancers that hear of it late. Each further signal ends what is being waited for: the delay, then the grace.",
        ),
        (
            "grace",
            "How long exchanges may take to end in a drain, before they are cut off.",
        ),
        ("access_log", "One line for each exchange."),
        (
            "compile_cache",
            "The directory of compiled plugins, or `false` for none. Unless given, `gateway` in the user's cache \
             directory (`$XDG_CACHE_HOME`, else `~/.cache`). One that cannot be written, or where others may write, is a \
             warning and is not used. A change needs a restart.",
        ),
        ("compile", "What compiling one plugin may take."),
        (
            "plugin_memory",
            "The linear memory of all instances together, at least 8 MiB for each plugin. Half of it is guaranteed, an \
             equal share for each plugin; the other half is lent to the calls that need it first. A call without room \
             waits for it within its `timeout`; then the client gets 503.",
        ),
        (
            "fleet_key",
            "What the gateways of one fleet share, so that each believes the others how many gateways a request has \
             passed: a string of at least 16 bytes. Empty, or not given, it is one that no other process has.",
        ),
        (
            "resolver",
            "The name servers that are asked for the names of endpoints, by UDP and TCP: an IP address and a port each. Unless given, those of `/etc/resolv.conf`. `/etc/hosts` comes before them.",
        ),
    ],
    example: r#"
[server]
workers = 0
drain_delay = "5s"
grace = "30s"
access_log = { format = "{client} {method} {path} {status} {duration_ms}", path = "stdout", sample = 0.1 }
compile_cache = "cache"
compile = { time = "60s", memory = "1GiB" }
plugin_memory = "1GiB"
fleet_key = "${FLEET_KEY:-}"
resolver = ["127.0.0.1:53"]
"#,
};

/// `[server]`, of a configuration with so many plugins.
pub(super) fn server(table: &mut Table<'_>, plugins: usize) -> Server {
    table.words(&SERVER);
    let workers = table.or("workers", Default::Integer(0), |item| {
        Some(item.integer(0..=1024)?.unsigned_abs())
    });
    let workers = match usize::try_from(workers) {
        Ok(given) if given > 0 => given,
        _ => thread::available_parallelism().map_or(1, NonZero::get),
    };
    let drain_delay = table.or("drain_delay", Default::Text("0s"), |item| {
        item.duration_or_zero()
    });
    let grace = table.or("grace", Default::Text("30s"), |item| {
        item.duration_or_zero()
    });
    let access_log = table.sub("access_log", access_log);
    let compile_cache = compile_cache::read(table, plugins);
    let compile = table.sub("compile", compile);
    let plugin_memory = plugin_memory::read(table, plugins);
    let fleet_key = fleet_key(table);
    let resolver = table.optional("resolver", resolver::resolver);
    table.later(&["tracing"]);
    Server {
        workers,
        drain_delay,
        grace,
        access_log,
        compile_cache,
        compile,
        plugin_memory,
        fleet_key,
        resolver: resolver.unwrap_or_default(),
    }
}

static COMPILE: Words = Words {
    about: "A plugin that is not in the compile cache is compiled by a process of its own, of which four run at once. One \
            that takes more than this is refused, and what is in force stays.",
    keys: &[
        (
            "time",
            "How long it may take. On a busy machine it takes longer: clients come first.",
        ),
        ("memory", "How much memory it may take."),
    ],
    example: "",
};

fn compile(table: &mut Table<'_>) -> Compile {
    table.words(&COMPILE);
    Compile {
        time: table.or("time", Default::Text("60s"), |item| item.duration()),
        memory: table.or("memory", Default::Text("1GiB"), |item| {
            item.size(32 << 20..=1 << 40, "a size from \"32MiB\" to \"1024GiB\"")
        }),
    }
}

fn fleet_key(table: &mut Table<'_>) -> Option<Secret> {
    let expected = "a string of at least 16 bytes";
    let item = table.item_unshown("fleet_key")?;
    match &item.node.value {
        // A variable may be empty; a file that is has lost what it held.
        Value::Text(text) if text.is_empty() && item.file().is_none() => return None,
        Value::Text(_) => {
            let key = secret_text(&item)?;
            let length = key.reveal().len();
            if length >= KEY_BYTES {
                table.show("fleet_key", Json::from("***"));
                return Some(key);
            }
            item.fault(format!(
                "{}has {length} bytes; write {expected} that nobody guesses, such as `openssl rand -hex 32` prints",
                item.subject()
            ));
        }
        Value::Broken => {
            item.expect(Shape::Text, expected);
        }
        // A number may be the secret.
        _ => item.fault(format!("expected {expected}")),
    }
    None
}

static ACCESS_LOG: Words = Words {
    about: "The access log.",
    keys: &[
        (
            "format",
            "How a line looks. In a template, `{field}` stands for a field of the exchange (the message for a wrong one \
             lists them all), and `{attribute.NAME}` for what a plugin left under this name.",
        ),
        (
            "path",
            "Where the lines go. A file is appended to, or a FIFO. No request waits for it: lines that it does not take \
             are lost and counted.",
        ),
        (
            "sample",
            "The share of exchanges that is logged. Failures are always logged.",
        ),
    ],
    example: "",
};

fn access_log(table: &mut Table<'_>) -> AccessLog {
    table.words(&ACCESS_LOG);
    AccessLog {
        format: table.or("format", Default::Text("json"), format),
        path: table.or("path", Default::Text("stdout"), |item| {
            let word = item.keyword([
                ("stdout", AccessLogPath::Stdout),
                ("stderr", AccessLogPath::Stderr),
            ]);
            let file = || item.path_as("`stdout`, `stderr` or a path");
            word.or_else(|| file().map(AccessLogPath::File))
        }),
        sample: table.or("sample", Default::Float(1.0), |item| item.share()),
    }
}

fn format(item: &Item<'_>) -> Option<AccessLogFormat> {
    let word = item.keyword([
        ("json", AccessLogFormat::Json),
        ("combined", AccessLogFormat::Combined),
        ("off", AccessLogFormat::Off),
    ]);
    if word.is_some() {
        return word;
    }
    let expected = "`json`, `combined`, `off` or a template such as \"{method} {path} {status}\"";
    let text = item.text_as(expected)?;
    if !text.contains('{') {
        match suggest::closest(text, ["json", "combined", "off"]) {
            Some(meant) => item.fault(format!(
                "{} is no format; did you mean `{meant}`?",
                item.quoted()
            )),
            None => item.mismatch(expected),
        }
        return None;
    }
    LogTemplate::or_faults(LogTemplate::parse(text), item).map(AccessLogFormat::Template)
}

static STATE: Words = Words {
    about: "What plugins share between requests: counters of limiters, and entries of those with the grant `state`.",
    keys: &[
        ("backend", "Where the entries are: in this process."),
        (
            "max_entries",
            "The most entries, at least one for each plugin. Each plugin is guaranteed an equal share; what it does not \
             use is lent. Beyond the bound, the least recently used entries of the plugin that is furthest over its share \
             go.",
        ),
        (
            "max_bytes",
            "The most bytes of all entries, at least 4 KiB for each plugin, and shared alike. An entry counts its key, its \
             value and 200 bytes. One that is larger than a share is refused.",
        ),
    ],
    example: r#"
[state]
backend = "memory"
max_entries = 1_000_000
max_bytes = "256MiB"
"#,
};

/// What each plugin's share must at least hold: an entry with the longest key, and some more.
const LEAST_SHARE: usize = 4 << 10;

/// `[state]`, shared by so many plugins.
pub(super) fn state(table: &mut Table<'_>, plugins: usize) -> State {
    table.words(&STATE);
    table.or("backend", Default::Text("memory"), |item| {
        let is_redis = |text: &str| matches!(text.split(':').next(), Some("redis" | "rediss"));
        if matches!(&item.node.value, Value::Text(text) if is_redis(text)) {
            item.fault(format!("{}; write `memory`", table::later("redis")));
            return None;
        }
        item.choice(&[("memory", ())], &[])
    });
    State {
        max_entries: table.or("max_entries", Default::Integer(1_000_000), |item| {
            let entries = item.count(1)?;
            if entries < plugins {
                item.fault(format!(
                    "{entries} is less than one for each of the {plugins} plugins; write at least {plugins}"
                ));
                return None;
            }
            Some(entries)
        }),
        max_bytes: table.or("max_bytes", Default::Text("256MiB"), |item| {
            let bytes = item.size(64 << 10..=1 << 40, "a size from \"64KiB\" to \"1024GiB\"")?;
            let bytes = usize::try_from(bytes).ok()?;
            if bytes / plugins.max(1) < LEAST_SHARE {
                let least = plugins * (LEAST_SHARE >> 10);
                item.fault(format!(
                    "{} is less than 4 KiB for each of the {plugins} plugins; write at least \"{least}KiB\"",
                    item.quoted()
                ));
                return None;
            }
            Some(bytes)
        }),
    }
}

/// The largest entry that the contract lets a plugin store: a value of 1 MiB under a key of 1 KiB.
const LARGEST_ENTRY: usize = (1 << 20) + (2 << 10);

/// Warns of values that a plugin may have and its share has no room for.
pub(super) fn check_shares(
    scope: &Scope,
    sections: &Sections<'_>,
    state: &State,
    plugins: &IndexMap<Arc<str>, Plugin>,
) {
    let Some(item) = sections.given("state").first() else {
        return;
    };
    let share = state.max_bytes / plugins.len().max(1);
    let stores = plugins.values().any(|plugin| plugin.grants.state);
    if share >= LARGEST_ENTRY || !stores {
        return;
    }
    let at = match &item.node.value {
        Value::Table(entries) => entries.iter().find(|entry| entry.key == "max_bytes"),
        _ => None,
    };
    let at = at.map_or(item.node.at, |entry| entry.at);
    let (share, least) = (share >> 10, plugins.len() * (LARGEST_ENTRY >> 10));
    let message = format!(
        "each plugin's share is {share} KiB: larger values, which may have up to 1 MiB, are refused; \
         \"{least}KiB\" has room for them"
    );
    scope.warn(at, "state.max_bytes", message);
}

/// One of `[secrets]`.
pub(super) fn secret(item: &Item<'_>, _name: Arc<str>) -> Option<(Option<Secret>, Json)> {
    Some((secret_text(item), Json::from("***")))
}

/// Text that no message may show.
pub(super) fn secret_text(item: &Item<'_>) -> Option<Secret> {
    match &item.node.value {
        Value::Broken => {
            item.expect(Shape::Text, "a string");
            None
        }
        Value::Text(text) if text.trim().is_empty() => {
            let what = match text.is_empty() {
                true => "is empty",
                false => "has nothing but white space in it",
            };
            let subject = item.subject();
            item.fault(format!("{subject}{what}; a secret has to have a value"));
            None
        }
        Value::Text(text) => Some(Secret::new(text.as_str())),
        _ => {
            item.fault("expected a string, `\"${NAME}\"` or `{ file = \"..\" }`");
            None
        }
    }
}

/// `IP:port` of something that listens.
pub(super) fn address(item: &Item<'_>) -> Option<SocketAddr> {
    let expected = "an address such as \"0.0.0.0:8080\" or \"[::]:8080\"";
    let text = item.text_as(expected)?;
    let reason: Reason = match text.parse() {
        Ok(address) => {
            item.may_show(Some(text));
            return Some(address);
        }
        Err(_) if text.starts_with("http") => "an address has no scheme".into(),
        Err(_)
            if text
                .strip_prefix(':')
                .is_some_and(|port| port.parse::<u16>().is_ok()) =>
        {
            Reason::repeating("write \"0.0.0.0{}\" to listen everywhere", [&text])
        }
        Err(_) if text.parse::<u16>().is_ok() => Reason::from("the IP address is missing; ")
            .either(
                format!("write \"0.0.0.0:{text}\" to listen everywhere"),
                "write \"0.0.0.0:\" before the port to listen everywhere".to_owned(),
            ),
        Err(_) => match text.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_err() && !text.ends_with(']') => {
                "the port is a number from 0 to 65535".into()
            }
            Some((host, port)) if host.contains(':') && !host.starts_with('[') => {
                Reason::repeating(
                    "an IPv6 address stands in brackets: \"[{}]:{}\"",
                    [&host, &port],
                )
            }
            Some(("*", port)) => Reason::from("").either(
                format!("write \"0.0.0.0:{port}\" to listen everywhere"),
                "write \"0.0.0.0\" in place of `*` to listen everywhere".to_owned(),
            ),
            Some(("localhost", port)) => Reason::repeating("write \"127.0.0.1:{}\"", [&port]),
            Some(_) => "a listener has an IP address, not a name".into(),
            None => "the port is missing".into(),
        },
    };
    item.fault(format!(
        "expected {expected}, found {}: {}",
        item.quoted(),
        item.told(&reason)
    ));
    None
}
