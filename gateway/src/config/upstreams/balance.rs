//! `balance`, `hash_on` and `sticky` of an upstream.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::super::client_key;
use super::super::description::Words;
use super::super::item::Item;
use super::super::model::{Balance, HashOn, SameSite, Sticky, Upstream};
use super::super::reason::Reason;
use super::super::sections::Sections;
use super::super::table::{Default, Table};
use super::super::tree::Value;

/// What `hash_on` may be.
const SOURCES: [&str; 5] = [
    "header:NAME",
    "cookie:NAME",
    "query:NAME",
    "attribute:NAME",
    "client_address",
];

/// What nginx, HAProxy and Envoy call ways to balance.
const ELSEWHERE: [(&str, &str); 7] = [
    ("least_conn", "least_request"),
    ("leastconn", "least_request"),
    ("least_connections", "least_request"),
    ("ip_hash", "hash"),
    ("source", "hash"),
    ("ring_hash", "hash"),
    ("maglev", "hash"),
];

/// Browsers take cookies of such names over TLS alone (RFC 6265bis, section 4.1.3).
const OVER_TLS: [&str; 2] = ["__Secure-", "__Host-"];

static STICKY: Words = Words {
    about: "A cookie that keeps a client on its endpoint. It is set where a client has none, or where its endpoint is gone or takes \
            no requests: then the client gets another. It goes by `HttpOnly` and `Path=/`, and its value tells no address.",
    keys: &[
        (
            "cookie",
            "Its name. Upstreams that one client asks have cookies of different names.",
        ),
        (
            "ttl",
            "How long a client keeps it from when it was set (`Max-Age`), in whole seconds. `0s`: for its session.",
        ),
        (
            "secure",
            "Whether clients send it over TLS alone. Unless given: where the client asked over TLS.",
        ),
        (
            "same_site",
            "Whether it comes with requests that other sites cause: `strict`: never, `lax`: with links that are followed, `none`: always.",
        ),
    ],
    example: "",
};

/// How requests are spread, and what keeps a client where it is.
pub(super) fn balance(table: &mut Table<'_>) -> (Balance, Option<Box<Sticky>>) {
    let words = [
        ("round_robin", Way::RoundRobin),
        ("random", Way::Random),
        ("least_request", Way::LeastRequest),
        ("hash", Way::Hash),
    ];
    let way = table.or("balance", Default::Text("round_robin"), |item| {
        item.choice_known_as(&words, &[], &ELSEWHERE)
    });
    let hashes = way == Way::Hash;
    let on = if hashes || table.scope.description().is_some() {
        Some(table.or("hash_on", Default::Text("client_address"), hash_on))
    } else {
        table.optional("hash_on", |item| {
            item.fault("goes with `balance = \"hash\"` alone; write that, or leave `hash_on` out");
            None
        })
    };
    let sticky = table.optional_sub("sticky", sticky).flatten();
    if hashes && table.has("sticky") {
        table.fault(
            "sticky",
            "keeps clients on their endpoints, as `balance = \"hash\"` does by their keys; choose one of them",
        );
    }
    let balance = match (way, on) {
        (Way::Hash, Some(on)) => Balance::Hash(on),
        (Way::Random, _) => Balance::Random,
        (Way::LeastRequest, _) => Balance::LeastRequest,
        (Way::RoundRobin | Way::Hash, _) => Balance::RoundRobin,
    };
    (balance, sticky.map(Box::new))
}

/// Two upstreams with cookies of one name: a client of both has its place at one of them alone.
pub(super) fn check_together(sections: &Sections<'_>, upstreams: &IndexMap<Arc<str>, Upstream>) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for section in sections.given("upstreams") {
        let Value::Table(_) = section.node.value else {
            continue;
        };
        for (entry, item) in section.fields("a table").unwrap_or_default() {
            let upstream = upstreams.get(&*entry.key);
            let Some(sticky) = upstream.and_then(|upstream| upstream.sticky.as_ref()) else {
                continue;
            };
            match seen.iter().find(|(cookie, _)| *cookie == sticky.cookie) {
                Some((_, other)) => {
                    let (at, key) = item.place_of("sticky");
                    let message = format!(
                        "upstream `{other}` has a cookie of this name, too: each takes a client of both from its endpoint of the other; give it another name"
                    );
                    item.scope.warn(at, &key, message);
                }
                None => seen.push((&sticky.cookie, &entry.key)),
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    RoundRobin,
    Random,
    LeastRequest,
    Hash,
}

fn hash_on(item: &Item<'_>) -> Option<HashOn> {
    client_key::read(item, &SOURCES, HashOn::Client, |name| match name {
        "" => Err("a name is missing; write for example \"attribute:auth.subject\"".into()),
        name => Ok(HashOn::Attribute(name.into())),
    })
}

fn sticky(table: &mut Table<'_>) -> Option<Sticky> {
    table.words(&STICKY);
    let cookie = table.required("cookie", "cookie = \"gw\"", cookie);
    let ttl = table.or("ttl", Default::Text("0s"), seconds);
    let secure = table.optional("secure", |item| item.bool());
    let sites = [
        ("strict", SameSite::Strict),
        ("lax", SameSite::Lax),
        ("none", SameSite::None),
    ];
    let same_site = table.or("same_site", Default::Text("lax"), |item| {
        item.choice(&sites, &[])
    });
    let named = cookie
        .as_ref()
        .and_then(|name| OVER_TLS.iter().find(|prefix| name.starts_with(**prefix)));
    let why = match (named, same_site) {
        (Some(prefix), _) => Some(format!("a name that begins with `{prefix}`")),
        (None, SameSite::None) => Some("`same_site = \"none\"`".to_owned()),
        (None, _) => None,
    };
    if let (Some(why), Some(false)) = (&why, secure) {
        table.fault(
            "secure",
            format!("browsers take no cookie of {why} without it; write `secure = true`"),
        );
    }
    Some(Sticky {
        cookie: cookie?,
        ttl: Some(ttl).filter(|ttl| !ttl.is_zero()),
        secure: secure.or(why.map(|_| true)),
        same_site,
    })
}

fn cookie(item: &Item<'_>) -> Option<String> {
    let name = item.text_as("the name of a cookie")?;
    if name.is_empty() || !name.bytes().all(client_key::is_of_token) {
        let reason = Reason::from("no cookie has such a name (RFC 6265, section 4.1.1)");
        item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
        return None;
    }
    Some(name.to_owned())
}

fn seconds(item: &Item<'_>) -> Option<Duration> {
    let ttl = item.duration_or_zero()?;
    if ttl.subsec_nanos() > 0 {
        item.fault(
            "cookies last for whole seconds (RFC 6265, section 5.2.2); write for example \"1s\"",
        );
        return None;
    }
    Some(ttl)
}
