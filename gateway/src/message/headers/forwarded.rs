//! Who asks: the client behind trusted proxies, and the fields that tell the upstream.

use std::borrow::Cow;
use std::io::Write;

use bytes::BytesMut;
use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::rfc7239::{self, parse_address};
use crate::message::fields::tells_client;
use crate::message::host::{self, OwnPort};
use crate::message::peer::{Address, Proxies};

/// `x-forwarded-for`
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `x-forwarded-proto`
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `x-forwarded-host`
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `x-real-ip`
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// By which field a listener finds the client behind trusted proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientFrom {
    /// X-Forwarded-For, and X-Forwarded-Proto for the scheme.
    #[default]
    XForwardedFor,
    /// Forwarded (RFC 7239).
    Forwarded,
}

/// Whom a listener believes.
#[derive(Debug, Clone, Copy)]
pub struct Believed<'a> {
    /// Peers whose fields are believed.
    pub proxies: &'a Proxies,
    /// The field that they add to.
    pub from: ClientFrom,
}

/// Who asks, after trusted proxies were looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The nearest address that is no trusted proxy.
    pub address: Address,
    /// Whether the client sees `https`.
    pub secure: bool,
    /// Whether the peer is a trusted proxy, so that its fields are believed.
    pub trusted: bool,
}

/// Finds the client: the peer, or, if the peer is trusted, the last address in the believed field that is not. What is
/// no address ends the walk. `secure` is whether the peer's connection is TLS.
pub fn client(
    headers: &HeaderMap,
    peer: Address,
    secure: bool,
    believed: Believed<'_>,
) -> Identity {
    let address = peer.to_canonical();
    if believed.proxies.is_empty() || !believed.proxies.has(address) {
        return Identity {
            address,
            secure,
            trusted: false,
        };
    }
    behind_proxies(headers, address, secure, believed)
}

fn behind_proxies(
    headers: &HeaderMap,
    peer: Address,
    secure: bool,
    believed: Believed<'_>,
) -> Identity {
    let (address, said) = match believed.from {
        ClientFrom::XForwardedFor => {
            let (address, distance) = addresses(headers, peer, believed);
            (address, scheme(headers, distance))
        }
        ClientFrom::Forwarded => {
            let walk = rfc7239::walk(headers, peer, believed.proxies);
            (walk.address, walk.secure)
        }
    };
    Identity {
        address,
        secure: said.unwrap_or(secure),
        trusted: true,
    }
}

/// The client by X-Forwarded-For, and how far from its end it stands; 0: it is the peer.
fn addresses(headers: &HeaderMap, peer: Address, believed: Believed<'_>) -> (Address, usize) {
    let (mut address, mut distance) = (peer, 0);
    for entry in from_end(headers, X_FORWARDED_FOR) {
        let Some(before) = parse_address(entry) else {
            break;
        };
        (address, distance) = (Address::Ip(before), distance + 1);
        if !believed.proxies.has(address) {
            break;
        }
    }
    (address, distance)
}

/// Whether X-Forwarded-Proto says `https` at this distance from its end, where proxies add to a list as they do to that of
/// addresses; at its beginning, where it is shorter.
fn scheme(headers: &HeaderMap, distance: usize) -> Option<bool> {
    let schemes = from_end(headers, X_FORWARDED_PROTO);
    let chosen = schemes.take(distance.max(1)).last()?;
    Some(chosen.eq_ignore_ascii_case(b"https"))
}

/// The members of a list in all lines of a field, from its end. Those that are empty are none (RFC 9110, section 5.6.1).
fn from_end(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).iter().rev();
    let members = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let members = members.map(<[u8]>::trim_ascii);
    members.filter(|member| !member.is_empty())
}

/// The host of X-Forwarded-Host that stands where the client does, as [`scheme`], in its one spelling. None where that is
/// no host.
fn host(
    headers: &HeaderMap,
    peer: Address,
    secure: bool,
    believed: Believed<'_>,
) -> Option<HeaderValue> {
    let (_, distance) = addresses(headers, peer, believed);
    let hosts = from_end(headers, X_FORWARDED_HOST);
    spelled_host(hosts.take(distance.max(1)).last()?, secure)
}

/// A host that a proxy tells, in its one spelling.
fn spelled_host(host: &[u8], secure: bool) -> Option<HeaderValue> {
    let host = HeaderValue::from_bytes(host).ok()?;
    host::spelled(&host, OwnPort::of_scheme(secure)).ok()
}

/// Removes every field that says who asks: upstreams believe them, so a stranger may not send them.
pub fn forget_client(headers: &mut HeaderMap) {
    super::remove_where(headers, |name| tells_client(name.as_str()));
}

/// Removes what a trusted peer says of who asks in other fields than the believed one: proxies add to one of them, so the
/// others are what a client wrote. X-Real-IP becomes the address that is believed, where it came and there is one.
/// X-Forwarded-Host says one host in its one spelling, or is gone. Of Forwarded the elements stay that trusted proxies wrote.
#[cold]
pub fn keep_believed(
    headers: &mut HeaderMap,
    peer: Address,
    identity: &Identity,
    believed: Believed<'_>,
) {
    let has_real_ip = headers.contains_key(X_REAL_IP);
    match believed.from {
        ClientFrom::XForwardedFor => {
            super::remove_where(headers, |name| {
                tells_client(name.as_str()) && !name.as_str().starts_with("x-forwarded-")
            });
            if headers.contains_key(X_FORWARDED_HOST) {
                let host = host(headers, peer.to_canonical(), identity.secure, believed);
                tell(headers, X_FORWARDED_HOST, host);
            }
        }
        ClientFrom::Forwarded => {
            let peer = peer.to_canonical();
            let walk = rfc7239::walk(headers, peer, believed.proxies);
            let host = walk
                .host()
                .and_then(|host| spelled_host(host, identity.secure));
            let list = walk.list();
            forget_client(headers);
            // The client and the peer, for upstreams that read the other fields.
            if identity.address != peer {
                tell(headers, X_FORWARDED_FOR, address_value(identity.address));
            }
            if let Some(list) = list {
                headers.insert(FORWARDED, list);
            }
            tell(headers, X_FORWARDED_HOST, host);
        }
    }
    if has_real_ip {
        tell(headers, X_REAL_IP, address_value(identity.address));
    }
}

/// Has a field say a value, or nothing where there is none.
fn tell(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => headers.insert(name, value),
        None => headers.remove(name),
    };
}

fn scheme_value(secure: bool) -> HeaderValue {
    HeaderValue::from_static(if secure { "https" } else { "http" })
}

/// Tells the upstream who asks. X-Forwarded-For is continued where the peer is trusted, else begun; X-Forwarded-Proto is
/// the scheme that the gateway goes by, and -Host is set unless a trusted peer did; Forwarded is continued where it is the
/// field that the listener believes. What a peer says that is not believed is gone already ([`forget_client`], [`keep_believed`]). `peer` is [`address_value`], made
/// once per connection, and `secure` whether that is TLS. A peer without an address adds none to X-Forwarded-For: those who
/// read it know nothing else. `authority` is empty where an HTTP/1.0 client named no host: then there is none to tell.
pub fn forward(
    headers: &mut HeaderMap,
    peer: Option<&HeaderValue>,
    secure: bool,
    authority: &HeaderValue,
    identity: &Identity,
    from: ClientFrom,
) {
    let trusted = identity.trusted;
    match peer {
        peer if trusted => continue_forwarded_for(headers, peer),
        Some(peer) => {
            headers.insert(X_FORWARDED_FOR, peer.clone());
        }
        None => {}
    }
    headers.insert(X_FORWARDED_PROTO, scheme_value(identity.secure));
    if !(authority.is_empty() || trusted && headers.contains_key(X_FORWARDED_HOST)) {
        headers.insert(X_FORWARDED_HOST, authority.clone());
    }
    if from == ClientFrom::Forwarded {
        rfc7239::add(headers, peer, secure, authority);
    }
}

/// Joins the members of X-Forwarded-For, and the peer behind them where it has an address.
fn continue_forwarded_for(headers: &mut HeaderMap, peer: Option<&HeaderValue>) {
    let mut list = BytesMut::new();
    let lines = headers.get_all(X_FORWARDED_FOR).iter().chain(peer);
    let members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let members = members.map(<[u8]>::trim_ascii);
    for member in members.filter(|member| !member.is_empty()) {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(member);
    }
    let joined = HeaderValue::from_maybe_shared(list.freeze());
    let joined = joined.ok().filter(|list| !list.is_empty());
    tell(headers, X_FORWARDED_FOR, joined.or_else(|| peer.cloned()));
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

/// An address as a field value; none where there is no address.
pub fn address_value(address: Address) -> Option<HeaderValue> {
    let ip = address.ip()?.to_canonical();
    let mut buffer = [0; 64];
    let mut rest = &mut buffer[..];
    let room = rest.len();
    write!(rest, "{ip}").expect("the longest address has 45 characters");
    let len = room - rest.len();
    Some(HeaderValue::from_bytes(&buffer[..len]).expect("an address is visible ASCII"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::map;
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn trusting(networks: &[&str]) -> Proxies {
        let networks = networks.iter().map(|network| network.parse().unwrap());
        networks.collect::<Vec<_>>().into()
    }

    fn by_default(proxies: &Proxies) -> Believed<'_> {
        Believed {
            proxies,
            from: ClientFrom::XForwardedFor,
        }
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        let proxies = trusting(&["10.0.0.0/8", "::1/128"]);
        let peer = address("10.0.0.1");
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
            (&[("x-forwarded-for", "1.2.3.4,")], "1.2.3.4"),
            (&[("x-forwarded-for", "1.2.3.4, , 10.0.0.2,,")], "1.2.3.4"),
            (
                &[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", ",")],
                "1.2.3.4",
            ),
            (&[("x-forwarded-for", "[::1]x")], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            let found = client(&map(fields), peer, false, by_default(&proxies));
            assert_eq!(
                (found.address, found.trusted),
                (address(expected), true),
                "{fields:?}"
            );
        }
        let mapped = address("::ffff:10.0.0.1");
        assert!(client(&map(&[]), mapped, false, by_default(&proxies)).trusted);
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
        let peer = address("5.6.7.8");
        let proxies = trusting(&["10.0.0.0/8"]);
        let found = client(&headers, peer, false, by_default(&proxies));
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
            address_value(peer).as_ref(),
            false,
            &HeaderValue::from_static("a"),
            &found,
            ClientFrom::XForwardedFor,
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
            ("x-forwarded-for", ", 10.0.0.2,,"),
            ("x-forwarded-proto", "HTTPS"),
        ]);
        let (peer, proxies) = (address("10.0.0.1"), trusting(&["10.0.0.0/8"]));
        let found = client(&headers, peer, false, by_default(&proxies));
        assert!(found.secure);
        forward(
            &mut headers,
            address_value(peer).as_ref(),
            false,
            &HeaderValue::from_static("a"),
            &found,
            ClientFrom::XForwardedFor,
        );
        let expected = [
            ("x-forwarded-for", "1.2.3.4, 10.0.0.2, 10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a"),
        ];
        assert_eq!(headers, map(&expected));
    }
}
