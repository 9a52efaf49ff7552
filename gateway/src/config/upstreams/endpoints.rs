//! `upstreams.NAME.endpoints`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::place;
use super::sockets::{socket, without_uri};
use crate::config::description::Words;
use crate::config::item::{Form, Item};
use crate::config::model::{Endpoint, Named};
use crate::config::reason::Reason;
use crate::config::socket_path::{SCHEME, is_misspelt};
use crate::config::table::Default;
use crate::message::target::Target;

/// Keys of the contract that are to come, and that say where endpoints are.
pub(super) const DISCOVERY: [&str; 1] = ["srv"];

/// What an endpoint is expected to be.
const ADDRESS: &str = "an address such as \"127.0.0.1:8080\" or \"[::1]:8080\", or a socket such as \"unix:/run/app.sock\"";

/// More often nobody asks.
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

/// An endpoint, or those of a name.
enum Listed {
    Fixed(Endpoint),
    Named(Named),
}

impl Listed {
    fn is_backup(&self) -> bool {
        match self {
            Self::Fixed(endpoint) => endpoint.backup,
            Self::Named(named) => named.backup,
        }
    }

    fn leads_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(one), Self::Fixed(other)) => one.target == other.target,
            (Self::Named(one), Self::Named(other)) => {
                one.bare() == other.bare() && one.port == other.port
            }
            _ => false,
        }
    }
}

/// The list of them.
pub(super) fn endpoints(item: &Item<'_>) -> Option<(Vec<Endpoint>, Vec<Named>)> {
    let items = item.items("a list such as [\"127.0.0.1:8080\"]")?;
    if items.is_empty() {
        item.fault("is empty; an upstream needs at least one endpoint, such as \"127.0.0.1:8080\"");
    }
    let listed: Vec<_> = items.iter().filter_map(endpoint).collect();
    for (at, one) in listed.iter().enumerate() {
        let mut earlier = listed[..at].iter();
        if listed.len() == items.len() && earlier.any(|it| it.leads_as(one)) {
            items[at]
                .warn("is listed twice, and is one endpoint; a larger share is a larger `weight`");
        }
    }
    let all_are_known = listed.len() == items.len() && !items.is_empty();
    if all_are_known && listed.iter().all(Listed::is_backup) {
        item.fault(
            "has backups alone, and no endpoint that they stand in for; leave `backup` out of one",
        );
    }
    let (mut endpoints, mut names) = (Vec::new(), Vec::new());
    for one in listed {
        match one {
            Listed::Fixed(endpoint) => endpoints.push(endpoint),
            Listed::Named(named) => names.push(named),
        }
    }
    Some((endpoints, names))
}

fn endpoint(item: &Item<'_>) -> Option<Listed> {
    item.by_form(|form| match form {
        Form::Table => endpoint_table(item),
        _ => target(item).map(|target| Listed::Fixed(target.into())),
    })
}

static ENDPOINT: Words = Words {
    about: "One endpoint of an upstream.",
    keys: &[
        (
            "address",
            "An IP address and a port; or a socket of this host, `unix:` and its path, relative to this file.",
        ),
        (
            "dns",
            "A name and a port, in the place of `address`: every address that the DNS has for the name, by A and AAAA records, is an endpoint, from its answer until another. While there is no answer, the last good one stays.",
        ),
        (
            "refresh",
            "With `dns`: how long an answer is believed, at least `1s`. Unless given, as long as its TTL says, and at least 1 s.",
        ),
        (
            "weight",
            "Its part of the sum of all weights: how many of the requests it gets.",
        ),
        (
            "backup",
            "Whether it gets requests only while every endpoint that is no backup is unhealthy, ejected or drained, or was tried for the request.",
        ),
    ],
    example: "",
};

fn endpoint_table(item: &Item<'_>) -> Option<Listed> {
    let (endpoint, _) = item.table("{ address = \"127.0.0.1:8080\" }", |table| {
        table.words(&ENDPOINT);
        let elsewhere = table.later(&DISCOVERY);
        let dns = table.optional("dns", place::name);
        let refresh = table.optional("refresh", refresh);
        if table.is_given("dns") && table.is_given("address") {
            table.fault(
                "dns",
                "stands beside `address`; an endpoint has one of them",
            );
        }
        if table.is_given("refresh") && !table.is_given("dns") && !elsewhere {
            table.fault("refresh", "has no effect without `dns`; remove it");
        }
        let address = table.optional("address", target);
        if !elsewhere && !table.is_given("dns") && !table.is_given("address") {
            table.fault("address", "is missing; add address = \"127.0.0.1:8080\"");
        }
        let weight = table.or("weight", Default::Integer(1), |item| {
            u16::try_from(item.integer(1..=65_535)?).ok()
        });
        let backup = table.or("backup", Default::Bool(false), |item| item.bool());
        if let Some((host, port)) = dns {
            return Some(Listed::Named(Named {
                host,
                port,
                refresh,
                weight,
                backup,
            }));
        }
        address.map(|target| {
            Listed::Fixed(Endpoint {
                target,
                weight,
                backup,
            })
        })
    })?;
    endpoint
}

fn refresh(item: &Item<'_>) -> Option<Duration> {
    let refresh = item.duration()?;
    if refresh < SHORTEST_REFRESH {
        item.fault("is less than a second, the shortest; write \"1s\"");
        return None;
    }
    Some(refresh)
}

fn target(item: &Item<'_>) -> Option<Target> {
    let text = item.text_as(ADDRESS)?;
    if let Some(path) = text.strip_prefix(SCHEME) {
        return socket(item, path).map(Target::Unix);
    }
    if is_misspelt(item, text) {
        return None;
    }
    address(item).map(Target::Tcp)
}

fn address(item: &Item<'_>) -> Option<SocketAddr> {
    let text = item.text_as(ADDRESS)?;
    let quoted = item.quoted();
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => {
            item.fault(format!("{quoted}: nothing can be reached at port 0"));
            return None;
        }
        Ok(address) => {
            item.may_show(Some(text));
            return Some(address);
        }
        Err(_) => {}
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let reason = match scheme {
            _ if rest.starts_with(SCHEME) => {
                Reason::repeating("write \"{}\", without a scheme", [&without_uri(rest)])
            }
            "https" => {
                let right = rest.trim_end_matches('/');
                Reason::repeating(
                    "write \"{}\", with its port, and the key `tls` beside `endpoints`",
                    [&right],
                )
            }
            _ => {
                let right = rest.trim_end_matches('/');
                Reason::repeating("write \"{}\", without a scheme", [&right])
            }
        };
        let reason = item.told(&reason);
        item.fault(format!("{quoted} is a URL, expected an address: {reason}"));
    } else if text.parse::<IpAddr>().is_ok() {
        let reason = match text.contains(':') {
            true => Reason::repeating("write for example \"[{}]:8080\"", [&text]),
            false => Reason::repeating("write for example \"{}:8080\"", [&text]),
        };
        item.fault(format!("{quoted} has no port; {}", item.told(&reason)));
    } else if place::has_too_large_a_port(text) {
        item.fault(format!("{quoted}: a port is at most 65535"));
    } else if is_name(text) {
        item.fault(format!(
            "{quoted} is a name, expected an IP address and a port; {}",
            item.told(&by_dns(text))
        ));
    } else {
        item.mismatch(ADDRESS);
    }
    None
}

fn by_dns(name: &str) -> Reason {
    let port = if name.contains(':') { "" } else { ":8080" };
    let (host, given) = name.split_once(':').unwrap_or((name, "8080"));
    if host.eq_ignore_ascii_case("localhost") {
        // A server there often listens on one of the two alone.
        return Reason::from("write ").either(
            format!(
                "\"127.0.0.1:{given}\": by its name the IPv4 and the IPv6 address would take turns"
            ),
            "an address such as \"127.0.0.1:8080\"".to_owned(),
        );
    }
    let right = format!("{name}{port}");
    Reason::repeating("names are looked up by { dns = \"{}\" }", [&right])
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
