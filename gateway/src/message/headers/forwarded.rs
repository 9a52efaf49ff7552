//! Who asks: the client behind trusted proxies, and the fields that tell the upstream.

use std::borrow::Cow;
use std::io::Write;
use std::net::IpAddr;

use bytes::BytesMut;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use crate::message::fields::tells_client;

/// `x-request-id`
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `x-forwarded-for`
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `x-forwarded-proto`
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `x-forwarded-host`
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The longest request id that is believed.
const MAX_REQUEST_ID: usize = 128;

/// Who asks, after trusted proxies were looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The nearest address that is no trusted proxy.
    pub address: IpAddr,
    /// Whether the client sees `https`.
    pub secure: bool,
    /// Whether the peer is a trusted proxy, so that its fields are believed.
    pub trusted: bool,
}

/// Finds the client: the peer, or, if the peer is trusted, the last address in X-Forwarded-For that is not. What is
/// no address ends the walk. `secure` is whether the peer's connection is TLS.
pub fn client(headers: &HeaderMap, peer: IpAddr, secure: bool, proxies: &[IpNet]) -> Identity {
    let mut address = peer.to_canonical();
    let is_proxy = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    if proxies.is_empty() || !is_proxy(&address) {
        return Identity {
            address,
            secure,
            trusted: false,
        };
    }
    let mut fields = headers.get_all(&X_FORWARDED_FOR).iter();
    'fields: while let Some(field) = fields.next_back() {
        for entry in field.as_bytes().rsplit(|byte| *byte == b',') {
            let Some(before) = parse_address(entry.trim_ascii()) else {
                break 'fields;
            };
            address = before;
            if !is_proxy(&address) {
                break 'fields;
            }
        }
    }
    let secure = match headers.get(&X_FORWARDED_PROTO) {
        Some(proto) => proto.as_bytes().eq_ignore_ascii_case(b"https"),
        None => secure,
    };
    Identity {
        address,
        secure,
        trusted: true,
    }
}

/// An address, perhaps with a port as some proxies write it: `1.2.3.4:5`, `[::1]`, `[::1]:5`.
fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?;
    let bare = match entry.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match entry.split_once(':') {
            Some((v4, port)) if !port.contains(':') => v4,
            _ => entry,
        },
    };
    bare.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

/// Removes every field that says who asks: upstreams believe them, so a stranger may not send them.
pub fn forget_client(headers: &mut HeaderMap) {
    super::remove_where(headers, |name| tells_client(name.as_str()));
}

/// Tells the upstream who asks. X-Forwarded-For is continued if `trusted`, else begun; X-Forwarded-Proto and -Host
/// are set unless a trusted peer did. What a peer that is not `trusted` sent is gone already ([`forget_client`]).
/// `peer` is [`address_value`], made once per connection. `authority` is empty where an HTTP/1.0 client named no
/// host: then there is none to tell.
pub fn forward(
    headers: &mut HeaderMap,
    peer: &HeaderValue,
    secure: bool,
    authority: &HeaderValue,
    trusted: bool,
) {
    if trusted {
        continue_forwarded_for(headers, peer);
    } else {
        headers.insert(&X_FORWARDED_FOR, peer.clone());
    }
    if !(trusted && headers.contains_key(&X_FORWARDED_PROTO)) {
        headers.insert(
            &X_FORWARDED_PROTO,
            HeaderValue::from_static(if secure { "https" } else { "http" }),
        );
    }
    if !(authority.is_empty() || trusted && headers.contains_key(&X_FORWARDED_HOST)) {
        headers.insert(&X_FORWARDED_HOST, authority.clone());
    }
}

fn continue_forwarded_for(headers: &mut HeaderMap, peer: &HeaderValue) {
    let mut list = BytesMut::new();
    for value in headers.get_all(&X_FORWARDED_FOR).iter().chain(Some(peer)) {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(value.as_bytes());
    }
    let joined = HeaderValue::from_maybe_shared(list.freeze()).unwrap_or_else(|_| peer.clone());
    headers.insert(&X_FORWARDED_FOR, joined);
}

/// The host of an authority, without its port, in lower case.
pub fn host_of(authority: &str) -> Cow<'_, str> {
    let host = match authority.rfind(':') {
        // A colon inside brackets is part of an IPv6 address.
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    };
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// An address as a field value.
pub fn address_value(address: IpAddr) -> HeaderValue {
    let mut buffer = [0; 64];
    let mut rest = &mut buffer[..];
    let room = rest.len();
    write!(rest, "{}", address.to_canonical()).expect("the longest address has 45 characters");
    let len = room - rest.len();
    HeaderValue::from_bytes(&buffer[..len]).expect("an address is visible ASCII")
}

/// The id of a request: what a trusted peer gave it, if that is at most 128 visible ASCII characters, else 128
/// random bits in hex.
pub fn request_id(headers: &HeaderMap, trusted: bool) -> HeaderValue {
    if trusted
        && let Some(id) = headers.get(&X_REQUEST_ID)
        && (1..=MAX_REQUEST_ID).contains(&id.len())
        && id.as_bytes().iter().all(u8::is_ascii_graphic)
    {
        return id.clone();
    }
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let random = fastrand::u128(..).to_be_bytes();
    let mut id = [0; 32];
    for (pair, byte) in id.chunks_exact_mut(2).zip(random) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&id).expect("hex digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::super::tests::map;
    use super::*;

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        for (fields, expected) in [
            (
                &[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2")][..],
                "1.2.3.4",
            ),
            (
                &[
                    ("x-forwarded-for", "1.2.3.4"),
                    ("x-forwarded-for", "10.0.0.3"),
                ],
                "1.2.3.4",
            ),
            (
                &[("x-forwarded-for", "1.2.3.4, unknown, 10.0.0.2")],
                "10.0.0.2",
            ),
            (&[("x-forwarded-for", "10.0.0.9")], "10.0.0.9"),
            (&[("x-forwarded-for", "1.2.3.4:567")], "1.2.3.4"),
            (
                &[("x-forwarded-for", "[2001:db8::1]:567, ::1")],
                "2001:db8::1",
            ),
            (&[], "10.0.0.1"),
        ] {
            let found = client(&map(fields), peer, false, &proxies);
            assert_eq!(
                (found.address, found.trusted),
                (expected.parse().unwrap(), true),
                "{fields:?}"
            );
        }
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        assert!(client(&map(&[]), mapped, false, &proxies).trusted);
    }

    #[test]
    fn an_untrusted_peer_says_nothing_about_the_client() {
        let sent = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-port", "444"),
            ("x-forwarded-anything", "1"),
            ("x-real-ip", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x-forwarded_proto", "https"),
            ("x_real_ip", "1.2.3.4"),
        ];
        let mut headers = map(&sent);
        let peer: IpAddr = "5.6.7.8".parse().unwrap();
        let found = client(&headers, peer, false, &["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(
            found,
            Identity {
                address: peer,
                secure: false,
                trusted: false
            }
        );
        assert!(super::super::strip_request(&mut headers).identity);
        forget_client(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
        forward(
            &mut headers,
            &address_value(peer),
            false,
            &HeaderValue::from_static("a"),
            false,
        );
        let expected = [
            ("x-forwarded-for", "5.6.7.8"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a"),
        ];
        assert_eq!(headers, map(&expected));
    }

    #[test]
    fn a_trusted_peer_is_continued() {
        let mut headers = map(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.2.3.4"),
        ]);
        let found = client(
            &headers,
            "10.0.0.1".parse().unwrap(),
            false,
            &["10.0.0.0/8".parse().unwrap()],
        );
        assert!(found.secure);
        forward(
            &mut headers,
            &"10.0.0.1".parse().unwrap(),
            true,
            &HeaderValue::from_static("a"),
            true,
        );
        let expected = [
            ("x-forwarded-for", "1.2.3.4, 10.0.0.2, 10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-host", "a"),
        ];
        assert_eq!(headers, map(&expected));
    }

    #[test]
    fn a_request_id_is_believed_from_trusted_peers_only() {
        let long = "x".repeat(129);
        assert_eq!(request_id(&map(&[("x-request-id", "abc")]), true), "abc");
        for (id, trusted) in [
            ("abc", false),
            ("a b", true),
            ("", true),
            (long.as_str(), true),
        ] {
            let made = request_id(&map(&[("x-request-id", id)]), trusted);
            assert!(
                made.len() == 32 && made.as_bytes().iter().all(u8::is_ascii_hexdigit),
                "{id}"
            );
        }
        assert_ne!(
            request_id(&HeaderMap::new(), false),
            request_id(&HeaderMap::new(), false)
        );
    }
}
