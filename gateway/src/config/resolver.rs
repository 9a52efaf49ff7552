//! `server.resolver`: whom the gateway asks for the names of endpoints.

use std::net::{IpAddr, SocketAddr};

use super::item::Item;
use super::reason::Reason;

/// The name servers; none where those of the system are asked.
pub(super) fn resolver(item: &Item<'_>) -> Option<Vec<SocketAddr>> {
    let items = item.items("a list such as [\"127.0.0.1:53\"]")?;
    if items.is_empty() {
        item.fault(
            "is empty; name a server such as \"127.0.0.1:53\", or remove it for those of /etc/resolv.conf",
        );
    }
    Some(items.iter().filter_map(server).collect())
}

fn server(item: &Item<'_>) -> Option<SocketAddr> {
    let expected = "an address such as \"127.0.0.1:53\" or \"[::1]:53\"";
    let text = item.text_as(expected)?;
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => {
            item.may_show(Some(text));
            return Some(address);
        }
        Ok(_) => item.fault(format!(
            "{}: nothing can be reached at port 0",
            item.quoted()
        )),
        Err(_) => match text.parse::<IpAddr>() {
            Ok(ip) => {
                let reason = Reason::repeating("write \"{}\"", [&SocketAddr::new(ip, 53)]);
                let (quoted, reason) = (item.quoted(), item.told(&reason));
                item.fault(format!("{quoted} has no port; {reason}"));
            }
            Err(_) => item.mismatch(expected),
        },
    }
    None
}
