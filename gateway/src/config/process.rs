//! `[server]`, `[admin]`, `[state]` and `[secrets]`.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use serde_json::Value as Json;

use super::log_format::LogTemplate;
use super::model::{AccessLog, AccessLogFormat, AccessLogPath, Admin, Server, State};
use super::suggest;
use super::table::{self, Default, Item, Table};
use super::tree::Value;
use super::units::Secret;

/// `[server]`.
pub(super) fn server(table: &mut Table<'_>) -> Server {
    let workers = table.or("workers", Default::Integer(0), |item| {
        Some(item.integer(0..=1024)?.unsigned_abs())
    });
    let workers = match usize::try_from(workers) {
        Ok(given) if given > 0 => given,
        _ => thread::available_parallelism().map_or(1, NonZero::get),
    };
    let grace = table.or("grace", Default::Text("30s"), |item| {
        item.duration_or_zero()
    });
    let access_log = table.sub("access_log", access_log);
    let compile_cache = compile_cache(table);
    table.later(&["tracing"]);
    Server {
        workers,
        grace,
        access_log,
        compile_cache,
    }
}

fn access_log(table: &mut Table<'_>) -> AccessLog {
    AccessLog {
        format: table.or("format", Default::Text("json"), format),
        path: table.or("path", Default::Text("stdout"), |item| {
            match item.text_as("`stdout`, `stderr` or a path")? {
                "stdout" => Some(AccessLogPath::Stdout),
                "stderr" => Some(AccessLogPath::Stderr),
                _ => item.path().map(AccessLogPath::File),
            }
        }),
        sample: table.or("sample", Default::Float(1.0), |item| item.share()),
    }
}

fn format(item: &Item<'_>) -> Option<AccessLogFormat> {
    let expected = "`json`, `combined`, `off` or a template such as \"{method} {path} {status}\"";
    let text = item.text_as(expected)?;
    match text {
        "json" => return Some(AccessLogFormat::Json),
        "combined" => return Some(AccessLogFormat::Combined),
        "off" => return Some(AccessLogFormat::Off),
        _ => {}
    }
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

fn compile_cache(table: &mut Table<'_>) -> Option<PathBuf> {
    let Some(item) = table.item("compile_cache") else {
        let default = default_cache();
        let shown = default
            .as_ref()
            .map_or(Json::Bool(false), |path| path.to_string_lossy().into());
        table.show("compile_cache", shown);
        return default;
    };
    match &item.node.value {
        Value::Bool(false) => None,
        Value::Text(_) => item.path(),
        _ => {
            item.mismatch("a path, or false");
            None
        }
    }
}

/// The user's cache directory, by the XDG base directory specification.
fn default_cache() -> Option<PathBuf> {
    let given = |name| std::env::var_os(name).map(PathBuf::from);
    let base = given("XDG_CACHE_HOME").or_else(|| Some(given("HOME")?.join(".cache")))?;
    base.is_absolute().then(|| base.join("gateway"))
}

/// `[admin]`.
pub(super) fn admin(table: &mut Table<'_>) -> Option<Admin> {
    let token = table
        .item_unshown("token")
        .and_then(|item| secret_text(&item));
    let has_token = table.has("token");
    if has_token {
        table.show("token", Json::from("***"));
    }
    let address = table.required("address", "address = \"127.0.0.1:9901\"", address)?;
    if !address.ip().to_canonical().is_loopback() && !has_token {
        let message = format!(
            "`{address}` is not loopback: anyone who can reach it could administer the gateway; listen on 127.0.0.1, or set `token`"
        );
        table.fault("address", message);
        return None;
    }
    Some(Admin { address, token })
}

/// `[state]`.
pub(super) fn state(table: &mut Table<'_>) -> State {
    table.or("backend", Default::Text("memory"), |item| {
        let text = item.text_as("`memory`")?;
        if text.starts_with("redis:") || text.starts_with("rediss:") || text == "redis" {
            item.fault(format!("{}; write `memory`", table::later("redis")));
            return None;
        }
        item.choice(&[("memory", ())], &[])
    });
    State {
        max_entries: table.or("max_entries", Default::Integer(1_000_000), |item| {
            item.count(1)
        }),
    }
}

/// One of `[secrets]`.
pub(super) fn secret(item: &Item<'_>, _name: Arc<str>) -> Option<(Option<Secret>, Json)> {
    Some((secret_text(item), Json::from("***")))
}

/// Text that no message may show.
fn secret_text(item: &Item<'_>) -> Option<Secret> {
    match &item.node.value {
        Value::Broken => None,
        Value::Text(text) if text.is_empty() => {
            item.fault("is empty; a secret has to have a value");
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
    let reason = match text.parse() {
        Ok(address) => return Some(address),
        Err(_) if text.starts_with("http") => "an address has no scheme".to_owned(),
        Err(_)
            if text
                .strip_prefix(':')
                .is_some_and(|port| port.parse::<u16>().is_ok()) =>
        {
            format!("write \"0.0.0.0{text}\" to listen everywhere")
        }
        Err(_) => match text.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_err() && !text.ends_with(']') => {
                "the port is a number from 0 to 65535".to_owned()
            }
            Some((host, port)) if host.contains(':') && !host.starts_with('[') => {
                format!("an IPv6 address stands in brackets: \"[{host}]:{port}\"")
            }
            Some(("localhost", port)) => format!("write \"127.0.0.1:{port}\""),
            Some(_) => "a listener has an IP address, not a name".to_owned(),
            None => "the port is missing".to_owned(),
        },
    };
    item.fault(format!(
        "expected {expected}, found {}: {reason}",
        item.quoted()
    ));
    None
}
