//! What is done to the header fields of a connection, and to those that tell the upstream who asks (`forwarded`).
//!
//! The order matters: first [`strip`], then [`forget_client`] where a stranger says who asks, then [`forward`], so
//! that a client cannot name the gateway's own fields in Connection and have them removed.

mod forwarded;
#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;

use http::header::{CONNECTION, EXPECT, HeaderName, TE, UPGRADE};
use http::{HeaderMap, HeaderValue};

use super::fields::{self, OF_CONNECTION};

pub use forwarded::{
    Identity, X_REQUEST_ID, address_value, client, forget_client, forward, host_of, request_id,
};

/// How deep in sub-requests of gateways a request stands; see [`MAX_DEPTH`](super::MAX_DEPTH).
pub static DEPTH: HeaderName = HeaderName::from_static("x-gateway-depth");

/// Removes what belongs to one connection (RFC 9110, 7.6.1): Connection and the fields it names, Keep-Alive,
/// Proxy-Connection, Transfer-Encoding, Upgrade, HTTP2-Settings, Proxy-Authenticate, Proxy-Authorization, and TE but
/// for `trailers`. `upgrading` keeps Upgrade, and a Connection that names it alone. For both directions.
///
/// Connection cannot remove Host, Content-Length, X-Forwarded-*, Forwarded or X-Request-Id: no honest client
/// names them, and others rely on them.
///
/// What else it saw, since it looks at every name anyway.
pub fn strip(headers: &mut HeaderMap, upgrading: bool) -> Seen {
    // One look at each name, and removals only of what is there: most messages carry Connection or nothing.
    let mut present = [false; OF_CONNECTION.len()];
    let (mut any, mut seen) = (false, Seen::default());
    for name in headers.keys().map(HeaderName::as_str) {
        if let Some(index) = fields::of_connection(name) {
            (present[index], any) = (true, true);
        } else {
            seen.identity |= fields::tells_client(name);
            seen.to_gateway |= name == DEPTH.as_str() || name == EXPECT.as_str();
        }
    }
    if !any {
        return seen;
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
    seen
}

/// Fields of a message that are nothing of its connection's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// One that says who asks, as [`forget_client`] removes them.
    pub identity: bool,
    /// One that is for this gateway: [`DEPTH`] or Expect.
    pub to_gateway: bool,
}

/// Has the response end its connection (RFC 9112, 9.6).
pub fn close(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Whether it does.
pub fn closes(headers: &HeaderMap) -> bool {
    headers
        .get(CONNECTION)
        .is_some_and(|value| value.as_bytes() == b"close")
}

/// Removes the fields whose names are meant.
pub fn remove_where(headers: &mut HeaderMap, meant: impl Fn(&HeaderName) -> bool) {
    let found = headers.keys().filter(|name| meant(name));
    for name in found.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
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
        if !fields::is_protected(name.as_str()) {
            headers.remove(name);
        }
    }
}

/// The members of a comma-separated list.
pub(super) fn options(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|option| !option.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
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
}
