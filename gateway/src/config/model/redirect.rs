//! `routes.redirect`: where a client is sent.

use std::sync::Arc;

use http::StatusCode;

use crate::config::{Regex, Template};

/// `routes.redirect`.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// Where to.
    pub to: RedirectTo,
    /// As it is written.
    pub written: String,
    /// 301, 302, 303, 307 or 308 (the default).
    pub status: StatusCode,
}

/// Where a client is sent.
#[derive(Debug, Clone)]
pub enum RedirectTo {
    /// `to` alone: an absolute URL or a path.
    Url(Template<RedirectValue>),
    /// What the client asked for, with some of it changed.
    Changed(RedirectChange),
}

/// What changes of the URL that a client asked for; the rest stays as the client sees it.
#[derive(Debug, Clone, Default)]
pub struct RedirectChange {
    /// `scheme`
    pub scheme: Option<UrlScheme>,
    /// `host`, without a port.
    pub host: Option<String>,
    /// `port`
    pub port: Option<u16>,
    /// `path`, `strip_prefix`, `prefix`, `regex`.
    pub path: RedirectPath,
}

/// What becomes of the path.
#[derive(Debug, Clone, Default)]
pub enum RedirectPath {
    /// It stays.
    #[default]
    Kept,
    /// `path`
    Made(Template<RedirectValue>),
    /// `strip_prefix` and `prefix`. Of a path with another beginning nothing is made.
    Prefix {
        /// What goes.
        strip: String,
        /// What comes in its place (may be empty).
        prefix: String,
    },
    /// `regex` and `to`. Of a path without a match nothing is made.
    Regex {
        /// What is looked for.
        regex: Regex,
        /// What stands for it, `$1` being a group.
        to: String,
    },
}

/// A scheme of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlScheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

/// What stands in a hole of a redirect: that of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectValue {
    /// `{host}`, with its port.
    Host,
    /// `{hostname}`, without it.
    Hostname,
    /// `{path}`
    Path,
    /// `{query}`, without its question mark.
    Query,
    /// `{?query}`: with it, where there is a query.
    MarkedQuery,
    /// `{name}`: a parameter of the path, as one segment.
    Param(Arc<str>),
}

/// What a client asked for.
#[derive(Debug, Clone, Copy)]
pub struct AskedUrl<'a> {
    /// Whether it sees `https`.
    pub secure: bool,
    /// Host and port.
    pub host: &'a [u8],
    /// The path.
    pub path: &'a str,
    /// The query without its question mark, where there is one.
    pub query: Option<&'a str>,
    /// The parameters of the path.
    pub params: &'a [(Arc<str>, String)],
}

impl UrlScheme {
    /// The scheme that a client sees.
    pub fn seen(secure: bool) -> Self {
        match secure {
            true => Self::Https,
            false => Self::Http,
        }
    }

    /// As it stands in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URL need not name (RFC 9110, sections 4.2.1 and 4.2.2).
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl RedirectChange {
    /// Scheme, host and port, where one of them changes. With another scheme the port is that of the scheme, unless
    /// one is given. A port that the scheme has anyway is left out.
    pub fn origin(&self, asked: AskedUrl<'_>) -> Option<Vec<u8>> {
        if self.scheme.is_none() && self.host.is_none() && self.port.is_none() {
            return None;
        }
        let scheme = self.scheme.unwrap_or(UrlScheme::seen(asked.secure));
        let name = hostname(asked.host);
        let kept = || port(&asked.host[name.len()..]).filter(|_| self.scheme.is_none());
        let port = self
            .port
            .or_else(kept)
            .filter(|port| *port != scheme.port());
        let mut origin = format!("{}://", scheme.name()).into_bytes();
        origin.extend_from_slice(self.host.as_ref().map_or(name, |host| host.as_bytes()));
        if let Some(port) = port {
            origin.extend_from_slice(format!(":{port}").as_bytes());
        }
        Some(origin)
    }
}

/// The port behind a host.
fn port(behind: &[u8]) -> Option<u16> {
    let digits = behind.strip_prefix(b":")?;
    str::from_utf8(digits).ok()?.parse().ok()
}

impl AskedUrl<'_> {
    /// Whether a location leads back to what was asked for.
    pub fn is(self, location: &[u8]) -> bool {
        let location = location
            .split(|byte| *byte == b'#')
            .next()
            .unwrap_or_default();
        let scheme = UrlScheme::seen(self.secure);
        let of_this_scheme = [scheme.name(), "://"].concat();
        let behind = match location.strip_prefix(of_this_scheme.as_bytes()) {
            None => location,
            Some(rest) => {
                let slash = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
                let (authority, behind) = rest.split_at(slash.unwrap_or(rest.len()));
                if !same_host(authority, self.host, scheme.port()) {
                    return false;
                }
                behind
            }
        };
        let mut end = behind.splitn(2, |byte| *byte == b'?');
        let path = end.next().filter(|path| !path.is_empty()).unwrap_or(b"/");
        path == self.path.as_bytes() && end.next() == self.query.map(str::as_bytes)
    }
}

fn same_host(one: &[u8], other: &[u8], usual: u16) -> bool {
    let apart = |host| {
        let name = hostname(host);
        (name, port(&host[name.len()..]).unwrap_or(usual))
    };
    let ((one, its), (other, port)) = (apart(one), apart(other));
    its == port && one.eq_ignore_ascii_case(other)
}

impl Template<RedirectValue> {
    /// The location for a request. Behind a `?` or `#` host and path are part of a value: what would end it is
    /// percent-encoded there, as in a parameter everywhere. The query stands as it came; without one, neither the `?`
    /// nor the `&` that would join it to the rest stands there.
    pub fn location(&self, asked: AskedUrl<'_>) -> Vec<u8> {
        let mut location = Vec::new();
        let mut without_query = Vec::new();
        let query = asked.query.unwrap_or_default();
        self.write(&mut location, b"", |to, hole| {
            let value = match hole {
                RedirectValue::Host => asked.host,
                RedirectValue::Hostname => hostname(asked.host),
                RedirectValue::Path => asked.path.as_bytes(),
                RedirectValue::Query | RedirectValue::MarkedQuery => query.as_bytes(),
                RedirectValue::Param(name) => {
                    let mut params = asked.params.iter();
                    let value = params.find(|(param, _)| param == name);
                    value.map_or(&b""[..], |(_, value)| value.as_bytes())
                }
            };
            match hole {
                RedirectValue::Query if value.is_empty() => without_query.push(to.len()),
                RedirectValue::Query => to.extend_from_slice(value),
                RedirectValue::MarkedQuery if value.is_empty() => {}
                RedirectValue::MarkedQuery => {
                    to.push(b'?');
                    to.extend_from_slice(value);
                }
                RedirectValue::Param(_) => as_value(value, to),
                _ if is_behind_path(to) => as_value(value, to),
                _ => to.extend_from_slice(value),
            }
            !value.is_empty()
        });
        // From the end, so that the places before stay what they are.
        for at in without_query.into_iter().rev() {
            join(&mut location, at);
        }
        location
    }
}

/// Joins what stands around an empty query: of two marks one stays, and none at the end.
fn join(location: &mut Vec<u8>, at: usize) {
    let before = at.checked_sub(1).map(|at| location[at]);
    if !matches!(before, Some(b'?' | b'&')) {
        return;
    }
    let superfluous = match location.get(at) {
        Some(b'&') => at,
        None | Some(b'#') => at - 1,
        Some(_) => return,
    };
    location.remove(superfluous);
}

/// A host without its port. The colons of an IPv6 address stand in brackets.
pub fn hostname(host: &[u8]) -> &[u8] {
    let end = match host.first() {
        Some(b'[') => memchr::memchr(b']', host).map(|bracket| bracket + 1),
        _ => memchr::memchr(b':', host),
    };
    &host[..end.unwrap_or(host.len())]
}

/// Whether what comes after this is no part of a path any more.
pub fn is_behind_path(location: &[u8]) -> bool {
    location.iter().any(|byte| matches!(byte, b'?' | b'#'))
}

/// Escapes what is not escaped already and could end a value.
fn as_value(value: &[u8], to: &mut Vec<u8>) {
    for byte in value {
        if byte.is_ascii_alphanumeric() || b"-._~/:%".contains(byte) {
            to.push(*byte);
        } else {
            to.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_its_port_is_whole() {
        for (host, name) in [
            ("example.com", "example.com"),
            ("example.com:8080", "example.com"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("[::1]:8080", "[::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("", ""),
        ] {
            assert_eq!(hostname(host.as_bytes()), name.as_bytes(), "{host}");
        }
    }

    fn asked<'a>(secure: bool, host: &'a str, target: &'a str) -> AskedUrl<'a> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        AskedUrl {
            secure,
            host: host.as_bytes(),
            path,
            query,
            params: &[],
        }
    }

    #[test]
    fn what_does_not_change_of_an_origin_stays_and_a_usual_port_is_left_out() {
        let change = |scheme, host: Option<&str>, port| RedirectChange {
            scheme,
            host: host.map(str::to_owned),
            port,
            path: RedirectPath::Kept,
        };
        let (http, https) = (Some(UrlScheme::Http), Some(UrlScheme::Https));
        for (change, secure, host, origin) in [
            (change(https, None, None), false, "a.b", "https://a.b"),
            (change(https, None, None), false, "a.b:80", "https://a.b"),
            (change(https, None, None), false, "a.b:8080", "https://a.b"),
            (
                change(https, None, Some(8443)),
                false,
                "a.b:80",
                "https://a.b:8443",
            ),
            (
                change(https, None, Some(443)),
                false,
                "[::1]:80",
                "https://[::1]",
            ),
            (change(http, None, None), true, "a.b:8443", "http://a.b"),
            (change(None, Some("c.d"), None), true, "a.b", "https://c.d"),
            (
                change(None, Some("c.d"), None),
                false,
                "a.b:8080",
                "http://c.d:8080",
            ),
            (
                change(None, None, Some(80)),
                false,
                "a.b:8080",
                "http://a.b",
            ),
            (change(None, None, Some(80)), true, "a.b", "https://a.b:80"),
        ] {
            let made = change.origin(asked(secure, host, "/"));
            assert_eq!(
                made.as_deref(),
                Some(origin.as_bytes()),
                "{host} {change:?}"
            );
        }
        let nothing = change(None, None, None);
        assert_eq!(nothing.origin(asked(true, "a", "/")), None);
    }

    #[test]
    fn a_location_that_leads_back_is_known_however_it_is_written() {
        let asked = asked(true, "A.b:443", "/x?y=1");
        for back in ["/x?y=1", "https://a.B/x?y=1", "https://a.b:443/x?y=1#z"] {
            assert!(asked.is(back.as_bytes()), "{back}");
        }
        for away in [
            "/x",
            "/x?",
            "/X?y=1",
            "http://a.b/x?y=1",
            "https://a.b:444/x?y=1",
            "https://a.c/x?y=1",
            "https://a.b?y=1",
            "https://a.b",
        ] {
            assert!(!asked.is(away.as_bytes()), "{away}");
        }
        assert!(
            super::AskedUrl {
                path: "/",
                query: None,
                ..asked
            }
            .is(b"https://a.b")
        );
    }

    #[test]
    fn without_a_query_no_mark_stands_alone() {
        for (before, after, joined) in [
            ("/a?", "", "/a"),
            ("/a?", "#x", "/a#x"),
            ("/a?", "&b=1", "/a?b=1"),
            ("/a?b=1&", "", "/a?b=1"),
            ("/a?b=1&", "&c", "/a?b=1&c"),
            ("/a?b=", "", "/a?b="),
            ("/a?b=", "&c", "/a?b=&c"),
            ("/a#", "", "/a#"),
        ] {
            let mut location = [before, after].concat().into_bytes();
            join(&mut location, before.len());
            assert_eq!(location, joined.as_bytes(), "{before}{after}");
        }
    }
}
