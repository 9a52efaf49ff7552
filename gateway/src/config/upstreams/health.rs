//! `upstreams.NAME.health`.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::super::description::{Shape, Words};
use super::super::item::Item;
use super::super::model::{Check, Health, HttpCheck};
use super::super::patterns;
use super::super::reason::Reason;
use super::super::table::{Default, Table};
use super::super::tree::Value;
use crate::message::fields;

static WORDS: Words = Words {
    about: "How the endpoints are asked whether they are well. One that is not gets no requests, until it is again.",
    keys: &[
        (
            "kind",
            "What is asked: `http`, a request in the protocol of the upstream; `tcp`, whether it takes a connection; \
             `grpc`, `grpc.health.v1.Health/Check` over HTTP/2.",
        ),
        ("method", "Of `http`: the method of the request."),
        (
            "path",
            "Of `http`, which needs one: the path of the request, and its query.",
        ),
        (
            "host",
            "Of `http` and `grpc`: the `Host` or `:authority`. Unless given, the address that is asked.",
        ),
        ("headers", "Of `http` and `grpc`: more fields."),
        (
            "expect",
            "Of `http`: the statuses of an endpoint that is well, each a number or a class such as `2xx`.",
        ),
        (
            "service",
            "Of `grpc`: the service whose health is asked. Unless given, that of the whole server.",
        ),
        (
            "port",
            "The port that is asked in the place of the endpoint's.",
        ),
        (
            "interval",
            "From the beginning of a check to that of the next, give or take a tenth; at least `50ms`.",
        ),
        (
            "timeout",
            "How long a check may take, at least `50ms`. One that takes longer than `interval` delays the next.",
        ),
        (
            "healthy_after",
            "So many checks in a row that pass bring an endpoint back.",
        ),
        (
            "unhealthy_after",
            "So many checks in a row that fail take an endpoint out. The first is enough where none has passed yet.",
        ),
    ],
    example: "",
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Tcp,
    Grpc,
}

/// How endpoints are asked; none where that is at fault.
pub(super) fn health(table: &mut Table<'_>) -> Option<Health> {
    table.words(&WORDS);
    let kind = table.or("kind", Default::Text("http"), |item| {
        let words = [
            ("http", Kind::Http),
            ("tcp", Kind::Tcp),
            ("grpc", Kind::Grpc),
        ];
        item.choice(&words, &[])
    });
    let check = check(table, kind);
    let count = |item: &Item<'_>| u32::try_from(item.integer(1..=1000)?).ok();
    let health = Health {
        port: table.optional("port", |item| u16::try_from(item.integer(1..=65_535)?).ok()),
        interval: table.or("interval", Default::Text("2s"), duration),
        timeout: table.or("timeout", Default::Text("1s"), duration),
        healthy_after: table.or("healthy_after", Default::Integer(2), count),
        unhealthy_after: table.or("unhealthy_after", Default::Integer(3), count),
        check: check?,
    };
    Some(health)
}

/// No endpoint is asked more often, and none has less time: a unit that was mistaken asks a thousand times a second.
const SHORTEST: Duration = Duration::from_millis(50);

fn duration(item: &Item<'_>) -> Option<Duration> {
    let duration = item.duration()?;
    if duration < SHORTEST {
        item.fault("is less than 50 ms, the shortest; write \"50ms\"");
        return None;
    }
    Some(duration)
}

fn check(table: &mut Table<'_>, kind: Kind) -> Option<Check> {
    const HTTP: &[Kind] = &[Kind::Http];
    const REQUESTS: &[Kind] = &[Kind::Http, Kind::Grpc];
    let of_http = |item: &Item<'_>| is_of(item, kind, HTTP, "`kind = \"http\"`");
    let requests = "`kind = \"http\"` and `kind = \"grpc\"`";
    let of_requests = |item: &Item<'_>| is_of(item, kind, REQUESTS, requests);
    let is_http = kind == Kind::Http;
    let method = if is_http {
        table.or("method", Default::Text("GET"), method)
    } else {
        table.optional("method", |item| of_http(item).then_some(()));
        Method::GET
    };
    let path = table.optional("path", |item| of_http(item).then(|| path(item))?);
    let host = table.optional("host", |item| of_requests(item).then(|| host(item))?);
    let headers = table.item_unshown("headers").map(|item| {
        table.show("headers", item.node.masked_by_name());
        let headers = of_requests(&item).then(|| headers(&item));
        headers.unwrap_or_default()
    });
    let expect = if is_http {
        table.item_or_json("expect", serde_json::json!([200]))
    } else {
        table.item("expect").filter(&of_http)
    };
    let expect = expect.map_or_else(|| vec![200..=200], |item| statuses(&item));
    let service = table.optional("service", |item| {
        let is = is_of(item, kind, &[Kind::Grpc], "`kind = \"grpc\"`");
        is.then(|| service(item))?
    });
    let headers = headers.unwrap_or_default();
    Some(match kind {
        Kind::Tcp => Check::Tcp,
        Kind::Grpc => Check::Grpc {
            service: service.unwrap_or_default(),
            host,
            headers,
        },
        Kind::Http => {
            if !table.has("path") {
                table.fault_here(
                    "needs a path to ask for; add path = \"/healthz\", or kind = \"tcp\"",
                );
            }
            Check::Http(Box::new(HttpCheck {
                method,
                path: path?,
                host,
                headers,
                expect,
            }))
        }
    })
}

/// Whether a key belongs to the kind of check; `named` are those that it belongs to.
fn is_of(item: &Item<'_>, kind: Kind, kinds: &[Kind], named: &str) -> bool {
    let is = kinds.contains(&kind) || item.is_probe();
    if !is {
        item.fault(format!("is for {named} alone"));
    }
    is
}

fn method(item: &Item<'_>) -> Option<Method> {
    let text = item.text_as("a method such as \"GET\"")?;
    let quoted = item.quoted();
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            let upper = method.as_str().to_ascii_uppercase();
            let reason = Reason::repeating("methods are upper case; write \"{}\"", [&upper]);
            item.fault(format!("{quoted}: {}", item.told(&reason)));
        }
        Ok(Method::CONNECT) => item.fault("`CONNECT` has no path; write \"GET\""),
        Ok(method) => return Some(method),
        Err(_) => item.fault(format!("{quoted} is no method; write one such as \"GET\"")),
    }
    None
}

fn path(item: &Item<'_>) -> Option<PathAndQuery> {
    let text = item.text_as("a path such as \"/healthz\"")?;
    let odd = "it has characters that no request can have; percent-encode them";
    let sound = patterns::starts_with_slash(text).and_then(|()| {
        if text.contains('#') {
            return Err("a fragment never reaches a server".into());
        }
        PathAndQuery::try_from(text).map_err(|_| odd.into())
    });
    match sound {
        Ok(path) => Some(path),
        Err(reason) => {
            item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
            None
        }
    }
}

fn host(item: &Item<'_>) -> Option<HeaderValue> {
    let text = item.text_as("a host such as \"shop.internal\"")?;
    let is_authority = text
        .parse::<http::uri::Authority>()
        .is_ok_and(|authority| !authority.host().is_empty() && !text.contains('@'));
    let value = HeaderValue::from_str(text).ok().filter(|_| is_authority);
    if value.is_none() {
        let quoted = item.quoted();
        item.fault(format!(
            "{quoted} is no host; write one such as \"shop.internal\" or \"shop.internal:8080\""
        ));
    }
    value
}

fn headers(item: &Item<'_>) -> HeaderMap {
    let expected = "a table such as { authorization = \"Bearer ..\" }";
    let mut headers = HeaderMap::new();
    for (entry, item) in item.fields(expected).unwrap_or_default() {
        let value = item.text();
        let name = HeaderName::try_from(entry.key.as_str());
        let reason = match &name {
            _ if item.is_probe() => continue,
            Ok(name) if *name == http::header::HOST => {
                Some("is a key beside `headers`: write `host = \"..\"` there".to_owned())
            }
            Ok(name) if fields::is_own(name.as_str()) => {
                Some(format!("`{name}` is the gateway's own; leave it out"))
            }
            Ok(name) if headers.contains_key(name) => Some(format!(
                "`{name}` is given twice: the case of a field name does not count"
            )),
            Ok(_) => None,
            Err(_) => Some(format!("`{}` is no field name", entry.key)),
        };
        if let Some(reason) = reason {
            item.scope.fault(entry.at, &item.key, reason);
            continue;
        }
        match (name, value.map(HeaderValue::from_str)) {
            (Ok(name), Some(Ok(value))) => {
                headers.insert(name, value);
            }
            (_, Some(Err(_))) => item.fault(format!(
                "{} can be no value of a field: it has control characters",
                item.quoted()
            )),
            _ => {}
        }
    }
    headers
}

fn statuses(item: &Item<'_>) -> Vec<RangeInclusive<u16>> {
    let Some(items) = item.items("a list such as [200, \"3xx\"]") else {
        return Vec::new();
    };
    if item.is_empty_list() {
        item.fault("is empty, so that no endpoint would be well; write [200]");
    }
    items.iter().filter_map(status).collect()
}

/// Classes of statuses, and the first of each.
const CLASSES: [(&str, u16); 4] = [("2xx", 200), ("3xx", 300), ("4xx", 400), ("5xx", 500)];

fn status(item: &Item<'_>) -> Option<RangeInclusive<u16>> {
    let expected = "a status from 200 to 599, or `2xx`, `3xx`, `4xx` or `5xx`";
    if item.is_probe() {
        let classes = CLASSES.map(|(name, _)| name.to_owned());
        item.expect(Shape::Integer(200, 599), expected);
        item.expect(Shape::Words(classes.to_vec()), expected);
        return None;
    }
    let (text, number) = match &item.node.value {
        Value::Text(text) => (text.trim(), text.trim().parse().ok()),
        Value::Integer(number) => ("", u16::try_from(*number).ok()),
        _ => ("", None),
    };
    if let Some((name, first)) = CLASSES.iter().find(|(name, _)| *name == text) {
        item.may_show(Some(*name));
        return Some(*first..=first + 99);
    }
    // A number comes as a text from outside alone, as everywhere.
    let number = number.filter(|number| (200..=599).contains(number));
    match number.filter(|_| text.is_empty() || item.is_outside()) {
        Some(status) => {
            item.may_show(Some(status));
            Some(status..=status)
        }
        None => {
            item.mismatch(expected);
            None
        }
    }
}

fn service(item: &Item<'_>) -> Option<String> {
    let text = item.text_as("the name of a service such as \"shop.Cart\"")?;
    if text.len() > 1024 {
        item.fault("has more than 1,024 bytes; write the name of a service");
        return None;
    }
    Some(text.to_owned())
}
