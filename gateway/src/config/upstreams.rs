//! `[upstreams.NAME]`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde_json::Value as Json;

use super::model::{Pool, Protocol, Upstream};
use super::table::{self, Default, Item, Table};
use super::tree::Value;

/// Keys of the contract that are to come.
const LATER: [&str; 9] = [
    "tls",
    "hash_on",
    "sticky",
    "slow_start",
    "health",
    "outlier",
    "breaker",
    "dns",
    "srv",
];

/// One upstream.
pub(super) fn upstream(item: &Item<'_>, name: Arc<str>) -> Option<(Option<Upstream>, Json)> {
    item.table("a table [upstreams.NAME]", |table| {
        let discovered = table.has("dns") || table.has("srv");
        let endpoints = if discovered {
            table.optional("endpoints", endpoints)
        } else {
            table.required("endpoints", "endpoints = [\"127.0.0.1:8080\"]", endpoints)
        };
        let protocol = table.or("protocol", Default::Text("h1"), |item| {
            item.choice(&[("h1", Protocol::H1)], &["h2", "auto"])
        });
        table.or("balance", Default::Text("round_robin"), |item| {
            item.choice(&[("round_robin", ())], &["random", "least_request", "hash"])
        });
        let (connect_timeout, first_byte_timeout, idle_timeout) = table.sub("timeouts", |table| {
            (
                table.or("connect", Default::Text("1s"), |item| item.duration()),
                table.or("first_byte", Default::Text("15s"), |item| item.duration()),
                table.or("idle", Default::Text("60s"), |item| item.duration()),
            )
        });
        let pool = table.sub("pool", pool);
        table.later(&LATER);
        Some(Upstream {
            name,
            protocol,
            endpoints: endpoints?,
            connect_timeout,
            first_byte_timeout,
            idle_timeout,
            pool,
        })
    })
}

fn pool(table: &mut Table<'_>) -> Pool {
    Pool {
        idle_per_worker: table.or("idle_per_worker", Default::Integer(64), |item| {
            item.count(0)
        }),
        idle_timeout: table.or("idle_timeout", Default::Text("60s"), |item| item.duration()),
        max_connections: table.or("max_connections", Default::Integer(1024), |item| {
            item.count(1)
        }),
    }
}

fn endpoints(item: &Item<'_>) -> Option<Vec<SocketAddr>> {
    let items = item.items("a list such as [\"127.0.0.1:8080\"]")?;
    if items.is_empty() {
        item.fault("is empty; an upstream needs at least one endpoint, such as \"127.0.0.1:8080\"");
    }
    Some(items.iter().filter_map(endpoint).collect())
}

fn endpoint(item: &Item<'_>) -> Option<SocketAddr> {
    if !matches!(item.node.value, Value::Table(_)) {
        return address(item);
    }
    let (address, _) = item.table("", |table| {
        let elsewhere = table.has("dns") || table.has("srv");
        table.later(&["dns", "srv"]);
        if elsewhere {
            // Known with `dns`, and worth no fault of its own.
            table.item("refresh");
        }
        table.optional("weight", |item| {
            if item.integer(1..=65_535)? != 1 {
                item.fault(format!("{}; all endpoints weigh 1", table::later("weight")));
            }
            Some(())
        });
        if elsewhere {
            return table.optional("address", address);
        }
        table.required("address", "address = \"127.0.0.1:8080\"", address)
    })?;
    address
}

fn address(item: &Item<'_>) -> Option<SocketAddr> {
    let expected = "an address such as \"127.0.0.1:8080\" or \"[::1]:8080\"";
    let text = item.text_as(expected)?;
    let quoted = item.quoted();
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => {
            item.fault(format!("{quoted}: nothing can be reached at port 0"));
            return None;
        }
        Ok(address) => return Some(address),
        Err(_) => {}
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let reason = match scheme {
            "https" => table::later("tls"),
            _ => format!("write \"{}\", without a scheme", rest.trim_end_matches('/')),
        };
        item.fault(format!("{quoted} is a URL, expected an address: {reason}"));
    } else if text.parse::<IpAddr>().is_ok() {
        let right = match text.contains(':') {
            true => format!("[{text}]:8080"),
            false => format!("{text}:8080"),
        };
        item.fault(format!(
            "{quoted} has no port; write for example \"{right}\""
        ));
    } else if is_name(text) {
        item.fault(format!(
            "{quoted} is a name, expected an IP address and a port; names need `{{ dns = .. }}`, which is not in this version yet"
        ));
    } else {
        item.mismatch(expected);
    }
    None
}

fn is_name(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "80"));
    let numeric = host
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b':');
    let named = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    port.parse::<u16>().is_ok() && !host.is_empty() && named && !numeric
}
