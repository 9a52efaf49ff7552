//! Bodies through plugins that stream and hold: what each plugin sees, in which order, and how an exchange ends.

mod alone;
mod answers;
mod barrier;
mod ends;
mod failures;
mod trailers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::OnceLock;

use tokio::net::TcpSocket;

use crate::harness::{Gateway, get};

/// Both bodies chunk by chunk.
const STREAM: &str = r#""request-stream", "response-stream""#;
/// Both bodies whole.
const HOLD: &str = r#""request", "request-body", "response", "response-body""#;

/// A probe that ends each body it sees in `<name>`. `more` is more of its table.
fn probe(name: &str, phases: &str, more: &str) -> String {
    format!(
        r#"
[plugins.{name}]
path = "{{plugins}}/guest_probe.wasm"
config = {{ phases = [{phases}], tail = "<{name}>" }}
grants = {{ upstreams = ["unused"], secrets = ["token"], state = true }}
{more}
"#
    )
}

/// An upstream.
fn upstream(name: &str, address: SocketAddr) -> String {
    format!("[upstreams.{name}]\nendpoints = [\"{address}\"]\n")
}

/// A route for a path, named like `name`, whose chain is a list of names. `target` is the rest of its table.
fn route(name: &str, path: &str, chain: &str, target: &str) -> String {
    let chain: Vec<String> = chain.split(' ').map(|each| format!("\"{each}\"")).collect();
    let chain = match &chain[..] {
        [none] if none == "\"\"" => String::new(),
        names => format!("plugins = [{}]", names.join(", ")),
    };
    format!("[[routes]]\nname = \"{name}\"\nmatch = {{ path = \"{path}\" }}\n{chain}\n{target}\n")
}

/// A gateway with these tables, and with the route `here` without plugins at `/here/**`.
fn start(tables: &[String]) -> Gateway {
    let tables = tables.concat();
    Gateway::start(&format!(
        r#"
[server]
workers = 1
access_log = {{ format = "json", path = "stdout" }}
[admin]
address = "127.0.0.1:0"
[secrets]
token = "s3cret"
[[listeners]]
name = "public"
address = "127.0.0.1:0"
[upstreams.unused]
endpoints = ["127.0.0.1:1"]
{tables}
[[routes]]
name = "here"
match = {{ path = "/here/**" }}
respond = {{ status = 200 }}
"#
    ))
}

/// An address that refuses connections: its port is bound, and nothing listens.
pub(crate) fn gone() -> SocketAddr {
    static BOUND: OnceLock<TcpSocket> = OnceLock::new();
    let bound = BOUND.get_or_init(|| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket
    });
    bound.local_addr().unwrap()
}

/// The lines of a family of counters that are not 0, by their labels.
fn counted(gateway: &Gateway, family: &str) -> BTreeMap<String, u64> {
    let text = get(gateway.admin(), "/metrics", &[]).text();
    let lines = text.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(family)?.split_once("} ")?;
        let labels = labels.strip_prefix('{')?.replace('"', "");
        Some((labels, value.parse().ok()?))
    });
    lines.filter(|(_, value)| *value > 0).collect()
}

/// Asserts which exchanges failed so far, by kind.
#[track_caller]
fn assert_errors(gateway: &Gateway, expected: &[(&str, u64)]) {
    assert_counted(gateway, "gateway_errors_total", expected);
}

/// Asserts the lines of a family that are not 0.
#[track_caller]
fn assert_counted(gateway: &Gateway, family: &str, expected: &[(&str, u64)]) {
    let expected: BTreeMap<String, u64> = expected
        .iter()
        .map(|(labels, value)| ((*labels).to_owned(), *value))
        .collect();
    let counted = counted(gateway, family);
    assert_eq!(counted, expected, "{family}\n{}", gateway.text());
}

/// The access log's lines for a path, once an exchange that came later is logged too.
fn lines(gateway: &Gateway, path: &str) -> Vec<String> {
    let path = format!("\"path\":\"{path}\"");
    gateway.wait_for(&path);
    assert_eq!(
        get(gateway.listener("public"), "/here/later", &[]).status,
        200
    );
    gateway.wait_for("\"path\":\"/here/later\"");
    let text = gateway.text();
    let found = text.lines().filter(|line| line.contains(&path));
    found.map(str::to_owned).collect()
}

/// The one line of the access log for a path, which says all of this.
#[track_caller]
fn assert_logged_once(gateway: &Gateway, path: &str, parts: &[&str]) {
    let lines = lines(gateway, path);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in parts {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
}
