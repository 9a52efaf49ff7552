//! Where endpoints are, beside IP addresses: names of hosts.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config::item::Item;
use crate::config::reason::Reason;
use crate::config::socket_path::SCHEME;

/// The longest name, and the longest part of one (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A name and a port.
pub(super) fn name(item: &Item<'_>) -> Option<(Arc<str>, u16)> {
    let expected = "a name and a port such as \"products.internal:8080\"";
    let text = item.text_as(expected)?;
    let quoted = item.quoted();
    if text.parse::<SocketAddr>().is_ok() || text.parse::<IpAddr>().is_ok() {
        item.fault(format!(
            "{quoted} is an address, for which nobody need be asked; write it as `address`"
        ));
        return None;
    }
    if text.starts_with(SCHEME) {
        item.fault(format!(
            "{quoted} is a socket, for which nobody need be asked; write it as `address`"
        ));
        return None;
    }
    if let Some((_, rest)) = text.split_once("://") {
        let right = rest.trim_end_matches('/');
        let reason = Reason::repeating("write \"{}\", without a scheme", [&right]);
        item.fault(format!(
            "{quoted} is a URL, expected a name and a port: {}",
            item.told(&reason)
        ));
        return None;
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        match is_host(text) {
            true => {
                let reason = Reason::repeating("write for example \"{}:8080\"", [&text]);
                item.fault(format!("{quoted} has no port; {}", item.told(&reason)));
            }
            false => item.mismatch(expected),
        }
        return None;
    };
    match port.parse::<u16>() {
        Ok(0) => {
            item.fault(format!("{quoted}: nothing can be reached at port 0"));
            None
        }
        Ok(port) if is_host(host) => {
            item.may_show(Some(text));
            Some((host.into(), port))
        }
        Err(_) if has_too_large_a_port(text) => {
            item.fault(format!("{quoted}: a port is at most 65535"));
            None
        }
        _ => {
            item.mismatch(expected);
            None
        }
    }
}

/// Whether it is a host, or what may be one, with a number behind it that no port has.
pub(super) fn has_too_large_a_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_host = host.ends_with(']') || !host.is_empty() && !host.contains(':');
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_host && is_number && port.parse::<u16>().is_err()
}

/// Whether it may be a name of hosts: letters, digits, hyphens and underscores between dots, and not digits alone.
fn is_host(text: &str) -> bool {
    let bare = text.strip_suffix('.').unwrap_or(text);
    let fits = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(allowed)
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let last = bare.rsplit('.').next().unwrap_or_default();
    bare.len() <= LONGEST_NAME && bare.split('.').all(fits) && !is_number(last)
}

#[cfg(test)]
mod tests {
    use super::{has_too_large_a_port, is_host};

    #[test]
    fn a_port_has_at_most_65535() {
        for text in ["127.0.0.1:65536", "[::1]:99999", "a.b:100000"] {
            assert!(has_too_large_a_port(text), "{text}");
        }
        for text in ["127.0.0.1:65535", "::1:99999", ":99999", "a:", "a:b"] {
            assert!(!has_too_large_a_port(text), "{text}");
        }
    }

    #[test]
    fn a_name_has_labels_of_its_letters_between_dots() {
        for name in ["a", "a.b", "a.b.", "_app._tcp.b", "x--y.1a", "10.0.0.a"] {
            assert!(is_host(name), "{name}");
        }
        let long = "a".repeat(64);
        for name in [
            "", ".", "a..b", ".a", "10.0.0.1", "10", "ä.b", "a b", "a:b", &long,
        ] {
            assert!(!is_host(name), "{name}");
        }
    }
}
