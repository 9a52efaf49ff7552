//! Whom an item of a list of clients or proxies stands for: those of a network, or those without an address.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::item::Item;
use super::model::Networks;
use super::reason::Reason;
use super::socket_path::is_in_capitals;
use super::tree::Value;
use crate::message::peer;

/// Whom an item stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Clients {
    /// Those in a network.
    Of(IpNet),
    /// Those of unix sockets, which have no address.
    Unix,
}

impl FromIterator<Clients> for Networks {
    fn from_iter<I: IntoIterator<Item = Clients>>(all: I) -> Self {
        let (mut networks, mut unix) = (Vec::new(), false);
        for clients in all {
            match clients {
                Clients::Of(network) => networks.push(network),
                Clients::Unix => unix = true,
            }
        }
        Self::new(networks, unix)
    }
}

/// A network, one address, or `unix:`.
pub(super) fn clients(item: &Item<'_>) -> Option<Clients> {
    match &item.node.value {
        Value::Text(text) if is_unix(text) => {
            item.may_show(Some(peer::UNIX));
            Some(Clients::Unix)
        }
        Value::Text(text) if is_in_capitals(item, text) => None,
        _ => network(item).map(Clients::Of),
    }
}

/// Whether a text stands for peers of unix sockets, as logs and nginx write them.
fn is_unix(text: &str) -> bool {
    text == peer::UNIX || Some(text) == peer::UNIX.strip_suffix(':')
}

/// A network, or one address.
fn network(item: &Item<'_>) -> Option<IpNet> {
    let text = item.text_as("a network such as \"10.0.0.0/8\"")?;
    let parsed = IpNet::from_str(text).ok();
    let parsed = parsed.or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)));
    let Some(network) = parsed else {
        item.mismatch("a network such as \"10.0.0.0/8\" or an address such as \"10.0.0.1\"");
        return None;
    };
    if let IpNet::V6(v6) = network
        && let Some(address) = v6.addr().to_ipv4_mapped()
    {
        let reason = match v6.prefix_len().checked_sub(96) {
            Some(length) => Reason::repeating(
                "never matches: addresses of IPv4 are looked at as such; write \"{}/{}\"",
                [&address, &length],
            ),
            None => "never matches: addresses of IPv4 are looked at as such".into(),
        };
        item.fault(format!("{} {}", item.quoted(), item.told(&reason)));
        return None;
    }
    if network.trunc() != network {
        let reason = Reason::repeating(
            "has bits set beyond its prefix; write \"{}\" for the network, or \"{}\" for the one address",
            [&network.trunc(), &network.addr()],
        );
        item.fault(format!("{} {}", item.quoted(), item.told(&reason)));
        return None;
    }
    item.may_show(Some(text));
    Some(network)
}
