//! `routes.redirect`: where a client is sent.

use http::StatusCode;

use crate::config::Template;

/// `routes.redirect`.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// Where to: an absolute URL or a path.
    pub to: Template<RedirectValue>,
    /// As it is written.
    pub written: String,
    /// 301, 302, 303, 307 or 308 (the default).
    pub status: StatusCode,
}

/// What stands in a hole of a redirect: that of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

impl Template<RedirectValue> {
    /// The location for a request. Behind a `?` or `#` host and path are part of a value: what would end it is
    /// percent-encoded there. The query stands as it came; without one, neither the `?` nor the `&` that would join it
    /// to the rest stands there.
    pub fn location(&self, host: &[u8], path: &str, query: &str) -> Vec<u8> {
        let mut location = Vec::new();
        let mut without_query = Vec::new();
        self.write(&mut location, b"", |to, hole| {
            let value = match hole {
                RedirectValue::Host => host,
                RedirectValue::Hostname => hostname(host),
                RedirectValue::Path => path.as_bytes(),
                RedirectValue::Query | RedirectValue::MarkedQuery => query.as_bytes(),
            };
            match hole {
                RedirectValue::Query if value.is_empty() => without_query.push(to.len()),
                RedirectValue::Query => to.extend_from_slice(value),
                RedirectValue::MarkedQuery if value.is_empty() => {}
                RedirectValue::MarkedQuery => {
                    to.push(b'?');
                    to.extend_from_slice(value);
                }
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
fn hostname(host: &[u8]) -> &[u8] {
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
