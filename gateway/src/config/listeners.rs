//! `[[listeners]]`.

mod limits;

use std::collections::HashMap;
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use serde_json::Value as Json;

use super::certificates;
use super::clients::{self, Clients};
use super::description::Words;
use super::fault::Spot;
use super::item::Item;
use super::listen::{self, Example};
use super::model::{Admin, HalfClose, Listener};
use super::scope::Scope;
use super::sections::Sections;
use super::table::{Default, Table};
use super::tree::Value;
use crate::message::headers::ClientFrom;
use crate::message::names::UnusualNames;
use crate::message::peer::Proxies;
use crate::message::target::Target;
use crate::message::via::Via;

const ADDRESS: Example = Example {
    expected: "an address such as \"0.0.0.0:8080\" or \"unix:/run/gateway/public.sock\"",
    socket: "unix:/run/gateway/public.sock",
};

static WORDS: Words = Words {
    about: "Where clients connect. A reload opens, changes and closes listeners.",
    keys: &[
        (
            "name",
            "What routes, logs and metrics call it. No other listener has it.",
        ),
        (
            "address",
            "Where it listens: an address and a port, of which `0` takes a free one, or a unix socket, whose path is \
             relative to this file. A socket that a process left there which is gone is replaced; one that something \
             listens on, and what is no socket, is left alone.",
        ),
        (
            "mode",
            "The permissions of the unix socket, in octal; `\"0600\"` unless given.",
        ),
        (
            "protocols",
            "HTTP/1.1, HTTP/2 or both. With `tls`, client and gateway agree on one by ALPN. Without, HTTP/2 is h2c by \
             prior knowledge.",
        ),
        (
            "proxy_protocol",
            "Each connection begins with a header of the PROXY protocol, version 1 or 2, in which one of `trusted_proxies` says \
             for whom it connects. Any other connection is closed.",
        ),
        (
            "trusted_proxies",
            "Networks of proxies that are believed about who asks, in what `client_from` says; `unix:` for whoever connects \
             to a unix socket.",
        ),
        (
            "client_from",
            "By what trusted proxies tell the client: `x-forwarded-for`, with the scheme in `X-Forwarded-Proto`, `forwarded` \
             (RFC 7239), or `proxy_protocol`, which it is where the listener takes that, and no field. A field that is not \
             chosen is removed, since clients write it.",
        ),
        (
            "via",
            "The name by which messages through this listener say in `Via` that they came through a gateway, in both \
             directions. Unless given, nothing is said.",
        ),
        (
            "half_close",
            "What the end of a client's side of an HTTP/1 connection means once its request is whole. `abort`: the \
             client has left, its request ends upstream too, and is logged with 499. `answer`: it has said all and waits \
             for the answer. A client that resets its connection has left in any case.",
        ),
        (
            "unusual_names",
            "What becomes of request fields whose names have other characters than letters, digits and `-`, trailers \
             too. Some servers read `x_user` as `x-user`, which a plugin may have set: so such fields are dropped, or \
             the request is refused with 400.",
        ),
        ("tls", "TLS. Without it, connections are plain."),
        ("limits", "What one client may take."),
    ],
    example: r#"
[[listeners]]
name = "public"
address = "0.0.0.0:8443"
protocols = ["h1", "h2"]
proxy_protocol = false
trusted_proxies = ["10.0.0.0/8", "192.0.2.1"]
client_from = "x-forwarded-for"
via = "edge"
half_close = "abort"
unusual_names = "drop"
tls = { certificates = [{ cert = "cert.pem", key = "key.pem" }], min_version = "1.2" }

[listeners.limits]
connections = 10_000
header_bytes = "32KiB"
header_count = 100
body = "10MiB"
header_timeout = "10s"
body_idle = "30s"
body_rate = "240B"
idle = "75s"
h2_streams = 100

[[listeners]]
name = "local"
address = "unix:/run/gateway/public.sock"
mode = "0660"
trusted_proxies = ["unix:"]
"#,
};

/// One listener.
pub(super) fn listener(item: &Item<'_>) -> Option<(Option<Listener>, Json)> {
    item.table("a [[listeners]] table", |table| {
        table.words(&WORDS);
        let name = table.required("name", "name = \"public\"", Item::name);
        let address = listen::address(table, "address = \"0.0.0.0:8080\"", &ADDRESS);
        let (h1, h2) = protocols(table);
        let said = said_by(table);
        let via = table.optional("via", via);
        let half_close = table.or("half_close", Default::Text("abort"), |item| {
            item.choice(
                &[("abort", HalfClose::Abort), ("answer", HalfClose::Answer)],
                &[],
            )
        });
        let unusual_names = table.or("unusual_names", Default::Text("drop"), |item| {
            item.choice(
                &[
                    ("drop", UnusualNames::Drop),
                    ("keep", UnusualNames::Keep),
                    ("refuse", UnusualNames::Refuse),
                ],
                &[],
            )
        });
        let tls = table.optional_sub("tls", certificates::tls);
        let limits = table.sub("limits", limits::limits);
        Some(Listener {
            name: name?,
            address: address?,
            h1,
            h2,
            proxy_protocol: said.proxy_protocol,
            trusted_proxies: said.trusted_proxies,
            client_from: said.client_from,
            via,
            half_close,
            unusual_names,
            tls: tls.flatten(),
            limits,
        })
    })
}

/// Who is believed about who asks, and where they say it.
struct SaidBy {
    proxy_protocol: Option<Proxies>,
    trusted_proxies: Proxies,
    client_from: ClientFrom,
}

fn said_by(table: &mut Table<'_>) -> SaidBy {
    let by_protocol = table.or("proxy_protocol", Default::Bool(false), |item| item.bool());
    let listed = table.item_or("trusted_proxies", &[]);
    let trusted = listed.as_ref().map(proxies).unwrap_or_default();
    if by_protocol && trusted.is_empty() {
        table.fault(
            "proxy_protocol",
            "needs `trusted_proxies`: anybody could say that it connects for somebody else; name the networks of the proxies that \
             send the header",
        );
    }
    let field = match by_protocol {
        true => "proxy_protocol",
        false => "x-forwarded-for",
    };
    let from = table.or("client_from", Default::Text(field), |item| {
        let from = item.choice(
            &[
                ("x-forwarded-for", Some(ClientFrom::XForwardedFor)),
                ("forwarded", Some(ClientFrom::Forwarded)),
                ("proxy_protocol", None),
            ],
            &[],
        )?;
        if from.is_none() && !by_protocol {
            item.fault("needs `proxy_protocol = true`, which has each connection begin with the header that says it");
        }
        Some(from)
    });
    SaidBy {
        proxy_protocol: by_protocol.then(|| trusted.clone()),
        // With the header alone, no field is believed.
        trusted_proxies: from.map(|_| trusted).unwrap_or_default(),
        client_from: from.unwrap_or_default(),
    }
}

/// A pseudonym, or a host and perhaps a port (RFC 9110, section 7.6.3).
fn via(item: &Item<'_>) -> Option<Via> {
    const EXPECTED: &str = "a name of letters, digits, `-`, `.`, `_` and `:`, such as \"edge\"";
    let name = item.text_as(EXPECTED)?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let via = match !name.is_empty() && name.bytes().all(is_part) {
        true => Via::new(name).ok(),
        false => None,
    };
    if via.is_none() {
        item.mismatch(EXPECTED);
    }
    via
}

fn protocols(table: &mut Table<'_>) -> (bool, bool) {
    let Some(item) = table.item_or("protocols", &["h1", "h2"]) else {
        return (true, true);
    };
    let Some(items) = item.items("a list of `h1` and `h2`") else {
        return (true, true);
    };
    if items.is_empty() {
        item.fault("is empty; write [\"h1\"], [\"h2\"] or [\"h1\", \"h2\"]");
    }
    let mut spoken = [false, false];
    for item in items {
        if let Some(index) = item.choice(&[("h1", 0), ("h2", 1)], &["h3"]) {
            if spoken[index] {
                item.fault(format!("{} is listed twice", item.quoted()));
            }
            spoken[index] = true;
        }
    }
    (spoken[0], spoken[1])
}

fn proxies(item: &Item<'_>) -> Proxies {
    let items = item.items("a list of networks such as [\"10.0.0.0/8\"]");
    let mut proxies = Proxies::default();
    for item in items.unwrap_or_default() {
        match clients::clients(&item) {
            Some(Clients::Of(network)) => proxies.networks.push(network),
            Some(Clients::Unix) => proxies.unix = true,
            None => {}
        }
    }
    proxies
}

/// What one listener cannot know of the others.
pub(super) fn check_together(
    scope: &Scope,
    sections: &Sections<'_>,
    listeners: &[Option<Listener>],
    admin: Option<&Option<Admin>>,
) {
    if listeners.is_empty() && sections.given("listeners").is_empty() && scope.is_complete() {
        let message = "there is none; add [[listeners]] with a name and an address";
        sections.fault("listeners", message);
    } else if listeners.is_empty() && scope.is_complete() {
        for item in sections.given("listeners") {
            if matches!(item.node.value, Value::List(_)) {
                item.fault("is empty; a gateway needs at least one listener");
            }
        }
    }
    let items = sections.items("listeners");
    unique_names(scope, &items);
    let mut taken: HashMap<Target, String> = HashMap::new();
    let admin = admin.and_then(Option::as_ref);
    if let Some(admin) = admin {
        taken.insert(admin.address.place(), "[admin]".to_owned());
    }
    let admin = admin.and_then(|admin| admin.address.ip());
    // The admin listener shares its port with none.
    let takes_all = |own: SocketAddr, admin: SocketAddr| {
        let everywhere = own.ip().is_unspecified() || admin.ip().is_unspecified();
        let dual = own.is_ipv6() && own.ip().is_unspecified();
        own.port() == admin.port() && everywhere && (own.is_ipv4() == admin.is_ipv4() || dual)
    };
    for (item, listener) in items.iter().zip(listeners) {
        let Some(listener) = listener else { continue };
        let ip = listener.address.ip();
        if ip.is_some_and(|ip| ip.port() == 0) {
            continue;
        }
        let both = ip.zip(admin).filter(|(own, admin)| takes_all(*own, *admin));
        let place = listener.address.place();
        if let Some(other) = taken.get(&place) {
            let (at, key) = item.place_of("address");
            let message = format!("`{}` is taken by {other} already", listener.address);
            scope.fault(at, &key, message);
        } else if let Some((own, admin)) = both {
            let (at, key) = item.place_of("address");
            let message = format!(
                "`{own}` has the port that [admin] listens at, `{admin}`, and one of the two is every address; choose another \
                 port"
            );
            scope.fault(at, &key, message);
        } else {
            let name = item.named().map_or(String::new(), |name| name.quoted());
            taken.insert(place, format!("the listener {name}"));
        }
    }
}

/// Where the addresses of those that could be read stand.
pub(super) fn places(sections: &Sections<'_>, listeners: &[Option<Listener>]) -> Vec<Spot> {
    let items = sections.items("listeners");
    let read = items.iter().zip(listeners);
    let read = read.filter(|(_, listener)| listener.is_some());
    read.map(|(item, _)| {
        let (at, key) = item.place_of("address");
        item.scope.spot(at, &key)
    })
    .collect()
}

/// Reports every item whose `name` an earlier one has.
pub(super) fn unique_names(scope: &Scope, items: &[Item<'_>]) {
    let mut names = HashMap::with_capacity_and_hasher(items.len(), RandomState::default());
    for name in items.iter().filter_map(Item::named) {
        let Value::Text(text) = &name.node.value else {
            continue;
        };
        if let Some(first) = names.get(text) {
            let first = scope.show(*first);
            name.fault(format!("{} is taken already, in {first}", name.quoted()));
        } else {
            names.insert(text, name.node.at);
        }
    }
}
