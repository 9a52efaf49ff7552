//! Header fields that belong to a connection, and those that tell the upstream who asks.
//!
//! The order matters: first [`strip`], then [`forward`], so that a client cannot name the gateway's own fields in
//! Connection and have them removed.

use std::borrow::Cow;
use std::io::Write;
use std::net::IpAddr;

use bytes::BytesMut;
use http::header::{CONNECTION, FORWARDED, HeaderName, TE, UPGRADE};
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// `x-request-id`
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `x-forwarded-for`
pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `x-forwarded-proto`
pub static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `x-forwarded-host`
pub static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How deep in sub-requests of gateways a request stands; see [`MAX_DEPTH`](super::MAX_DEPTH).
pub static DEPTH: HeaderName = HeaderName::from_static("x-gateway-depth");

/// The longest request id that is believed.
const MAX_REQUEST_ID: usize = 128;

/// Removes what belongs to one connection (RFC 9110, 7.6.1): Connection and the fields it names, Keep-Alive,
/// Proxy-Connection, Transfer-Encoding, Upgrade, HTTP2-Settings, Proxy-Authenticate, Proxy-Authorization, and TE but
/// for `trailers`. `upgrading` keeps Upgrade, and a Connection that names it alone. For both directions.
///
/// Connection cannot remove Host, Content-Length, X-Forwarded-*, Forwarded or X-Request-Id: no honest client
/// names them, and others rely on them.
pub fn strip(headers: &mut HeaderMap, upgrading: bool) {
    // One look at each name, and removals only of what is there: most messages carry Connection or nothing.
    let mut present = [false; OF_CONNECTION.len()];
    let mut any = false;
    for name in headers.keys() {
        if let Some(index) = of_connection(name.as_str()) {
            (present[index], any) = (true, true);
        }
    }
    if !any {
        return;
    }
    let trailers = headers
        .get_all(TE)
        .iter()
        .flat_map(options)
        .any(|option| option.eq_ignore_ascii_case(b"trailers"));
    let switches = upgrading && headers.contains_key(UPGRADE);
    remove_named(headers, upgrading);
    for (name, _) in OF_CONNECTION.iter().zip(present).filter(|(_, here)| *here) {
        if !(switches && *name == UPGRADE.as_str()) {
            headers.remove(*name);
        }
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if switches {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// What belongs to one connection.
const OF_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "proxy-authenticate",
    "proxy-authorization",
];

/// The place of a name in [`OF_CONNECTION`].
fn of_connection(name: &str) -> Option<usize> {
    OF_CONNECTION.iter().position(|of| *of == name)
}

/// Removes Connection and what it names.
fn remove_named(headers: &mut HeaderMap, upgrading: bool) {
    let more = headers
        .get_all(CONNECTION)
        .iter()
        .skip(1)
        .cloned()
        .collect::<Vec<_>>();
    let Some(first) = headers.remove(CONNECTION) else {
        return;
    };
    for option in std::iter::once(&first).chain(&more).flat_map(options) {
        // The three options that stand in nearly every Connection name no field, or one that is treated apart.
        let common = [&b"close"[..], b"keep-alive", b"te"]
            .iter()
            .any(|common| option.eq_ignore_ascii_case(common));
        if common || (upgrading && option.eq_ignore_ascii_case(b"upgrade")) {
            continue;
        }
        let Ok(name) = HeaderName::from_bytes(option) else {
            continue;
        };
        if !is_protected(name.as_str()) {
            headers.remove(name);
        }
    }
}

fn is_protected(name: &str) -> bool {
    matches!(
        name,
        "host" | "content-length" | "forwarded" | "x-request-id"
    ) || name.starts_with("x-forwarded-")
}

/// The members of a comma-separated list.
fn options(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|option| !option.is_empty())
}

/// Who asks, after trusted proxies were looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The nearest address that is no trusted proxy.
    pub address: IpAddr,
    /// Whether the client sees `https`.
    pub secure: bool,
    /// Whether the peer is a trusted proxy, so that its fields are believed.
    pub trusted: bool,
}

/// Finds the client: the peer, or, if the peer is trusted, the last address in X-Forwarded-For that is not. What is
/// no address ends the walk. `secure` is whether the peer's connection is TLS.
pub fn client(headers: &HeaderMap, peer: IpAddr, secure: bool, proxies: &[IpNet]) -> Client {
    let mut address = peer.to_canonical();
    let is_proxy = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    if proxies.is_empty() || !is_proxy(&address) {
        return Client {
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
    Client {
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

/// Tells the upstream who asks. X-Forwarded-For is continued if `trusted`, else begun; X-Forwarded-Proto and -Host
/// are set unless a trusted peer did; Forwarded (RFC 7239) goes unless it came from a trusted peer. `peer` is
/// [`address_value`], made once per connection. `authority` is empty where an HTTP/1.0 client named no host: then
/// there is none to tell.
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
        headers.remove(FORWARDED);
    }
    if !(trusted && headers.contains_key(&X_FORWARDED_PROTO)) {
        headers.insert(
            &X_FORWARDED_PROTO,
            HeaderValue::from_static(if secure { "https" } else { "http" }),
        );
    }
    if !(trusted && headers.contains_key(&X_FORWARDED_HOST)) {
        if authority.is_empty() {
            headers.remove(&X_FORWARDED_HOST);
        } else {
            headers.insert(&X_FORWARDED_HOST, authority.clone());
        }
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
    use super::*;

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn fields_of_the_connection_go_and_others_stay() {
        let mut headers = map(&[
            ("connection", "close, X-Hop"),
            ("connection", "x-other,, bad name"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("proxy-authorization", "x"),
            ("proxy-authenticate", "x"),
            ("trailer", "x-sum"),
            ("accept", "*/*"),
        ]);
        strip(&mut headers, false);
        assert_eq!(
            headers,
            map(&[("te", "trailers"), ("trailer", "x-sum"), ("accept", "*/*")])
        );
    }

    #[test]
    fn connection_cannot_remove_what_others_rely_on() {
        let kept = [
            ("host", "a"),
            ("content-length", "3"),
            ("x-forwarded-for", "1.2.3.4"),
            ("forwarded", "for=x"),
            ("x-request-id", "7"),
        ];
        let mut headers = map(&kept);
        let named = "Host, Content-Length, X-Forwarded-For, Forwarded, X-Request-Id";
        headers.insert(CONNECTION, named.parse().unwrap());
        strip(&mut headers, false);
        assert_eq!(headers, map(&kept));
    }

    #[test]
    fn an_upgrade_keeps_its_two_fields_only_when_it_happens() {
        let fields = [
            ("connection", "keep-alive, Upgrade, x-hop"),
            ("upgrade", "websocket"),
            ("x-hop", "1"),
        ];
        let mut headers = map(&fields);
        strip(&mut headers, true);
        assert_eq!(
            headers,
            map(&[("connection", "upgrade"), ("upgrade", "websocket")])
        );
        let mut headers = map(&fields);
        strip(&mut headers, false);
        assert!(headers.is_empty());
    }

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
            ("forwarded", "for=1.2.3.4"),
        ];
        let mut headers = map(&sent);
        let peer: IpAddr = "5.6.7.8".parse().unwrap();
        let found = client(&headers, peer, false, &["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(
            found,
            Client {
                address: peer,
                secure: false,
                trusted: false
            }
        );
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
