//! The field Forwarded (RFC 7239): as far as trusted proxies wrote it, and what this gateway adds.
//!
//! Proxies add at the end, so it is read from there: what a client wrote before that, sound or not, changes nothing of
//! what is found.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, BytesMut};
use http::header::FORWARDED;
use http::{HeaderMap, HeaderValue};

use crate::message::fields::is_token;
use crate::message::peer::{Address, Proxies};

/// What trusted proxies say of a request, up to the client that the first of them saw.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    /// The nearest address that is no trusted proxy.
    pub(super) address: Address,
    /// Whether that client sees `https`, where it is said.
    pub(super) secure: Option<bool>,
    /// The host that it asked for.
    host: Option<Cow<'a, [u8]>>,
    /// The elements that are believed, the nearest first.
    elements: Vec<&'a [u8]>,
}

/// Reads the field from its end. What names no address ends the walk: an obfuscated identifier, `unknown`, or what is not
/// well formed.
pub(super) fn walk<'a>(headers: &'a HeaderMap, peer: Address, proxies: &Proxies) -> Walk<'a> {
    let mut walk = Walk {
        address: peer,
        secure: None,
        host: None,
        elements: Vec::new(),
    };
    let lines = headers.get_all(FORWARDED).iter().rev();
    for text in lines.flat_map(|line| from_end(line.as_bytes(), b',')) {
        let Some(element) = Element::parse(text) else {
            break;
        };
        // What the peer wrote of its client holds, whether it names an address or not.
        if walk.elements.is_empty() || element.node.is_some() {
            (walk.secure, walk.host) = (element.secure, element.host);
            walk.elements.push(text);
        }
        let Some(node) = element.node else { break };
        walk.address = Address::Ip(node);
        if !proxies.has(walk.address) {
            break;
        }
    }
    walk
}

impl Walk<'_> {
    /// What is believed as one value, in the order of the field.
    pub(super) fn list(&self) -> Option<HeaderValue> {
        let elements: Vec<_> = self.elements.iter().rev().copied().collect();
        let list = HeaderValue::from_bytes(&elements.join(&b", "[..])).ok();
        list.filter(|list| !list.is_empty())
    }

    /// The host that the client asked for, as it is written.
    pub(super) fn host(&self) -> Option<&[u8]> {
        self.host.as_deref()
    }
}

/// One element, and the parameters that count.
#[derive(Debug, Default)]
struct Element<'a> {
    node: Option<IpAddr>,
    secure: Option<bool>,
    host: Option<Cow<'a, [u8]>>,
}

impl<'a> Element<'a> {
    /// None if it is not well formed, or says one thing twice (RFC 7239, section 4). Around `;` and `=` is no white space.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let (mut element, mut node) = (Self::default(), None);
        for pair in split_from_end(text, b';').filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (&pair[..equals], unquoted(&pair[equals + 1..])?);
            if !is_token(name) {
                return None;
            }
            let again = if name.eq_ignore_ascii_case(b"for") {
                node.replace(value).is_some()
            } else if name.eq_ignore_ascii_case(b"host") {
                element.host.replace(value).is_some()
            } else if name.eq_ignore_ascii_case(b"proto") {
                let secure = value.eq_ignore_ascii_case(b"https");
                element.secure.replace(secure).is_some()
            } else {
                false
            };
            if again {
                return None;
            }
        }
        if let Some(node) = node {
            element.node = parse_node(&node)?;
        }
        Some(element)
    }
}

/// An address as members of X-Forwarded-For have it, perhaps with a port: `1.2.3.4:5`, `::1`, `[::1]:5`.
pub(super) fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    let bare = std::str::from_utf8(entry).ok()?.parse();
    let address: Option<IpAddr> = bare.ok().or_else(|| parse_node(entry)?);
    address.map(|address| address.to_canonical())
}

/// Who a node is (RFC 7239, section 6); none inside where it does not say, none where it is not well formed.
fn parse_node(node: &[u8]) -> Option<Option<IpAddr>> {
    let node = std::str::from_utf8(node).ok()?;
    let end = if node.starts_with('[') {
        node.find(']')? + 1
    } else {
        node.find(':').unwrap_or(node.len())
    };
    let (name, port) = node.split_at(end);
    let port_is_sound = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| {
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            (1..=5).contains(&port.len()) && is_number || is_obfuscated(port)
        });
    if !port_is_sound {
        return None;
    }
    if name.eq_ignore_ascii_case("unknown") || is_obfuscated(name) {
        return Some(None);
    }
    let address: IpAddr = match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.into(),
        None => name.parse::<Ipv4Addr>().ok()?.into(),
    };
    Some(Some(address.to_canonical()))
}

/// RFC 7239, section 6.3.
fn is_obfuscated(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() > 1 && text.starts_with('_') && text.bytes().all(is_part)
}

/// The members of a list from its end, without those that are empty.
fn from_end(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let members = split_from_end(list, separator).map(<[u8]>::trim_ascii);
    members.filter(|member| !member.is_empty())
}

/// What stands between separators, from the end. Inside quotes a separator is text.
fn split_from_end(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let mut quoted = false;
        let at = (0..list.len()).rev().find(|at| {
            let escapes = list[..*at].iter().rev().take_while(|byte| **byte == b'\\');
            quoted ^= list[*at] == b'"' && escapes.count() % 2 == 0;
            !quoted && list[*at] == separator
        });
        let member = at.map_or(list, |at| &list[at + 1..]);
        rest = at.map(|at| &list[..at]);
        Some(member)
    })
}

/// A token as it stands, or the text of a quoted string (RFC 9110, section 5.6.4).
fn unquoted(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(rest) = value.strip_prefix(b"\"") else {
        return is_token(value).then_some(Cow::Borrowed(value));
    };
    let inner = rest.strip_suffix(b"\"")?;
    if memchr::memchr2(b'"', b'\\', inner).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => text.push(*bytes.next()?),
            b'"' => return None,
            byte => text.push(*byte),
        }
    }
    Some(Cow::Owned(text))
}

/// The element of this gateway: who connected, by which scheme, and for which host, where one is named. A peer without an
/// address is `unknown` (RFC 7239, section 6.2); one that is believed has said all itself, and `unknown` behind that would
/// end the walk of who reads it.
pub(super) fn add(
    headers: &mut HeaderMap,
    peer: Option<&HeaderValue>,
    secure: bool,
    authority: &HeaderValue,
) {
    if peer.is_none() && headers.contains_key(FORWARDED) {
        return;
    }
    let mut list = BytesMut::new();
    for value in headers.get_all(FORWARDED) {
        list.put_slice(value.as_bytes());
        list.put_slice(b", ");
    }
    list.put_slice(b"for=");
    let peer = peer.map_or(&b"unknown"[..], HeaderValue::as_bytes);
    match memchr::memchr(b':', peer) {
        Some(_) => put_quoted(&mut list, &[b"[", peer, b"]"].concat()),
        None => list.put_slice(peer),
    }
    if !authority.is_empty() {
        list.put_slice(b";host=");
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
        match authority.as_bytes().iter().all(is_name) {
            true => list.put_slice(authority.as_bytes()),
            false => put_quoted(&mut list, authority.as_bytes()),
        }
    }
    list.put_slice(if secure {
        b";proto=https"
    } else {
        b";proto=http"
    });
    match HeaderValue::from_maybe_shared(list.freeze()) {
        Ok(list) => headers.insert(FORWARDED, list),
        Err(_) => headers.remove(FORWARDED),
    };
}

fn put_quoted(to: &mut BytesMut, text: &[u8]) {
    to.put_u8(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            to.put_u8(b'\\');
        }
        to.put_u8(*byte);
    }
    to.put_u8(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(list: &str) -> Vec<&str> {
        let members = from_end(list.as_bytes(), b',');
        members.map(|one| str::from_utf8(one).unwrap()).collect()
    }

    #[test]
    fn a_list_is_read_from_its_end_and_quoted_text_has_no_separators() {
        assert_eq!(members("a, b ,, c"), ["c", "b", "a"]);
        assert_eq!(members("a=\"b, c\", d"), ["d", "a=\"b, c\""]);
        assert_eq!(members("a=\"b\\\", c\", d"), ["d", "a=\"b\\\", c\""]);
        assert_eq!(members("\"a, b"), ["b", "\"a"]);
        assert!(members(" , ").is_empty());
    }

    #[test]
    fn a_value_is_a_token_or_a_quoted_string() {
        let text = |value: &str| unquoted(value.as_bytes()).map(Cow::into_owned);
        assert_eq!(text("a.b_c").as_deref(), Some(&b"a.b_c"[..]));
        assert_eq!(text("\"a, \\\"b\\\\\"").as_deref(), Some(&b"a, \"b\\"[..]));
        for unsound in [
            "", "a b", "a:1", "[a]", "a\"", "\"a", "\"", "\"a\"b\"", "\"a\\\"",
        ] {
            assert_eq!(text(unsound), None, "{unsound}");
        }
    }

    #[test]
    fn a_node_is_as_rfc_7239_writes_it() {
        let is = |node: &str| parse_node(node.as_bytes());
        for (node, address) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:567", "1.2.3.4"),
            ("1.2.3.4:_p", "1.2.3.4"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("[2001:db8::1]:1", "2001:db8::1"),
        ] {
            assert_eq!(is(node), Some(Some(address.parse().unwrap())), "{node}");
        }
        for hidden in ["unknown", "Unknown:80", "_gazonk", "_a.b-c:_x"] {
            assert_eq!(is(hidden), Some(None), "{hidden}");
        }
        for unsound in [
            "",
            "_",
            "a",
            "::1",
            "[1.2.3.4]",
            "[::1",
            "[::1]x",
            "[::1]:",
            "1.2.3.4:",
            "1.2.3.4:x",
            "1.2.3.4:123456",
        ] {
            assert_eq!(is(unsound), None, "{unsound}");
        }
    }

    #[test]
    fn what_is_added_can_be_read_again() {
        for (peer, authority) in [
            ("1.2.3.4", "a.test"),
            ("2001:db8::1", "[::1]:80"),
            ("::1", ""),
        ] {
            let mut headers = HeaderMap::new();
            let authority = HeaderValue::from_static(authority);
            let value = peer.parse().unwrap();
            add(&mut headers, Some(&value), true, &authority);
            let far = "10.0.0.1".parse().unwrap();
            let walk = walk(&headers, far, &Proxies::default());
            assert_eq!(walk.address, peer.parse::<Address>().unwrap());
            assert_eq!(walk.secure, Some(true));
            assert_eq!(walk.host().unwrap_or_default(), authority.as_bytes());
            assert_eq!(walk.list().as_ref(), headers.get(FORWARDED));
        }
    }
}
