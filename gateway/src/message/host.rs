//! The one spelling of a host: lower case, without the dot of the root, an IPv6 address in its shortest form
//! (RFC 5952), and a port only where it is not the scheme's own (RFC 3986, section 6.2).

use std::fmt::Write as _;
use std::net::Ipv6Addr;

use http::uri::Authority;
use http::{HeaderValue, Uri};

/// Why there is no spelling.
pub type Reason = &'static str;

/// The port that a URL of the scheme needs not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnPort(u16);

impl OwnPort {
    /// That of the target's scheme, or of the one that the client sees where the target has none.
    ///
    /// # Errors
    /// Where the target has another scheme.
    pub fn of(uri: &Uri, secure: bool) -> Result<Self, Reason> {
        match uri.scheme_str() {
            None => Ok(Self::of_scheme(secure)),
            Some("https") => Ok(Self(443)),
            Some("http") => Ok(Self(80)),
            Some(_) => Err("the scheme of the target is neither http nor https"),
        }
    }

    /// That of `https`, or of `http`.
    pub fn of_scheme(secure: bool) -> Self {
        Self(if secure { 443 } else { 80 })
    }
}

/// Host and port in their one spelling, without user information (RFC 9110, section 4.2.4).
///
/// # Errors
/// What is no host has no spelling.
pub fn spelled(host: &HeaderValue, own: OwnPort) -> Result<HeaderValue, Reason> {
    match is_spelled(host.as_bytes(), own) {
        true => Ok(host.clone()),
        false => respelled(host.as_bytes(), own),
    }
}

/// The same of bytes.
///
/// # Errors
/// As [`spelled`].
#[cold]
pub fn respelled(host: &[u8], own: OwnPort) -> Result<HeaderValue, Reason> {
    const NONE: Reason = "Host is not an authority";
    // Two lines that someone joined have a comma; to others it is part of a name.
    if memchr::memchr3(b'@', b'%', b',', host).is_some() {
        return Err("Host carries user information, escapes or a list");
    }
    let authority = Authority::try_from(host).map_err(|_| NONE)?;
    let name = authority.host();
    let rest = authority.as_str().strip_prefix(name).unwrap_or_default();
    let port = authority.port_u16();
    if !rest.is_empty() && port.is_none() {
        return Err(NONE);
    }
    let mut text = match name.strip_prefix('[') {
        Some(address) => {
            let address = address.strip_suffix(']').ok_or(NONE)?;
            let address: Ipv6Addr = address.parse().map_err(|_| NONE)?;
            format!("[{address}]")
        }
        None if name.bytes().all(is_of_name) => {
            name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
        }
        None => return Err(NONE),
    };
    if text.is_empty() || text.ends_with('.') {
        return Err(NONE);
    }
    if let Some(port) = port.filter(|port| OwnPort(*port) != own) {
        // Writing to a string does not fail.
        let _written = write!(text, ":{port}");
    }
    HeaderValue::try_from(text).map_err(|_| NONE)
}

/// Whether a registered name may have the byte (RFC 3986, section 3.2.2), but for a comma.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte)
}

/// Whether this is a name or an IPv4 address in its one spelling, perhaps with a port: what nearly everybody sends.
fn is_spelled(host: &[u8], own: OwnPort) -> bool {
    let is_part = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
    };
    let length = host.iter().take_while(|byte| is_part(byte)).count();
    let (name, rest) = host.split_at(length);
    let port_is_spelled = match rest {
        [] => true,
        [b':', digits @ ..] => is_port(digits, own),
        _ => false,
    };
    name.last().is_some_and(|last| *last != b'.') && port_is_spelled
}

/// Whether these are the digits of a port that is not the scheme's own.
fn is_port(digits: &[u8], own: OwnPort) -> bool {
    let value = |port: u32, digit: &u8| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        Some(port * 10 + u32::from(digit))
    };
    let is_short = (1..=5).contains(&digits.len()) && digits[0] != b'0';
    let port = digits.iter().take(5).try_fold(0, value);
    let port = port.and_then(|port| u16::try_from(port).ok());
    is_short && port.is_some_and(|port| OwnPort(port) != own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling_and_it_is_its_own() {
        for (host, http, https) in [
            ("a.test", "a.test", "a.test"),
            ("A.Test.", "a.test", "a.test"),
            ("a.test:80", "a.test", "a.test:80"),
            ("a.test.:443", "a.test:443", "a.test"),
            ("a.test:08080", "a.test:8080", "a.test:8080"),
            ("a_b-c:65535", "a_b-c:65535", "a_b-c:65535"),
            ("127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]", "[::1]", "[::1]"),
            ("[0:0::0001]:0080", "[::1]", "[::1]:80"),
            (
                "[2001:DB8::A]:8080",
                "[2001:db8::a]:8080",
                "[2001:db8::a]:8080",
            ),
        ] {
            for (own, expected) in [(OwnPort(80), http), (OwnPort(443), https)] {
                let host = HeaderValue::from_static(host);
                let spelling = spelled(&host, own).unwrap();
                assert_eq!(spelling, expected, "{host:?}");
                assert_eq!(spelled(&spelling, own).unwrap(), expected);
                // The short way says the same as the long one.
                let long = respelled(host.as_bytes(), own).unwrap();
                assert_eq!(long, expected, "{host:?}");
            }
        }
    }

    #[test]
    fn what_is_no_host_has_none() {
        for host in [
            "", ".", "..", "a..", ".:80", "a:", "a:x", "a:65536", "a:99999", "a:100000", ":80",
            "u@a", "a,b", "a%2e", "a b", "0[.:1", "a]", "[::1", "[]", "[v1.a]", "[::1]x", "[::g]",
            "a/b",
        ] {
            let host = HeaderValue::from_static(host);
            assert!(spelled(&host, OwnPort(80)).is_err(), "{host:?}");
        }
    }
}
