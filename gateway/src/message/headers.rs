//! What is done to the header fields of a connection, and to those that tell the upstream who asks (`forwarded`).
//!
//! The order matters: first [`strip_request`], then [`forget_client`] where a stranger says who asks, then [`forward`], so
//! that a client cannot name the gateway's own fields in Connection and have them removed.

mod forwarded;
#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;
mod request_id;
mod rfc7239;

use std::collections::HashSet;

use http::header::{CONNECTION, COOKIE, ETAG, HeaderName, TE, UPGRADE};
use http::{HeaderMap, HeaderValue};

use super::fields::{self, OF_CONNECTION};

pub use forwarded::{
    Believed, ClientFrom, Identity, address_value, client, forget_client, forward, host_of,
    keep_believed,
};
pub use request_id::{X_REQUEST_ID, request_id};

/// Removes what belongs to one connection (RFC 9110, 7.6.1): Connection and the fields it names, Keep-Alive,
/// Proxy-Connection, Transfer-Encoding, Upgrade, HTTP2-Settings, Proxy-Authenticate, Proxy-Authorization, and TE but
/// for `trailers`. For both directions.
///
/// Connection cannot remove Host, Content-Length, X-Forwarded-*, Forwarded or X-Request-Id: no honest client
/// names them, and others rely on them.
pub fn strip(headers: &mut HeaderMap) {
    strip_seeing(headers, |_| {});
}

/// As [`strip`]. What else it saw in the request of a client, since it looks at every name anyway.
pub fn strip_request(headers: &mut HeaderMap) -> Seen {
    let mut seen = Seen::default();
    strip_seeing(headers, |name| {
        seen.identity |= fields::tells_client(name);
        seen.ends_here |= fields::ends_here(name);
        seen.unusual |= !fields::is_usual(name);
    });
    seen
}

#[inline]
fn strip_seeing(headers: &mut HeaderMap, mut see: impl FnMut(&str)) {
    // One look at each name, and removals only of what is there: most messages carry Connection or nothing.
    let mut present = [false; OF_CONNECTION.len()];
    let mut any = false;
    for name in headers.keys().map(HeaderName::as_str) {
        if let Some(index) = fields::of_connection(name) {
            (present[index], any) = (true, true);
        } else {
            see(name);
        }
    }
    if any {
        remove_of_connection(headers, present);
    }
}

fn remove_of_connection(headers: &mut HeaderMap, present: [bool; OF_CONNECTION.len()]) {
    let trailers = headers
        .get_all(TE)
        .iter()
        .flat_map(options)
        .any(|option| option.eq_ignore_ascii_case(b"trailers"));
    remove_named(headers);
    for (name, _) in OF_CONNECTION.iter().zip(present).filter(|(_, here)| *here) {
        headers.remove(*name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Fields of a message that are nothing of its connection's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// One that says who asks, as [`forget_client`] removes them.
    pub identity: bool,
    /// One that does not go on from here, as [`end`] removes them.
    pub ends_here: bool,
    /// One with an unusual name: see [`names::Rule`](super::names::Rule).
    pub unusual: bool,
}

/// Puts the fields of Cookie together: HTTP/2 splits them to compress them better (RFC 9113, section 8.2.3), and they
/// are one (RFC 6265, section 5.4). Empty ones add nothing.
#[cold]
pub fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> = headers.get_all(COOKIE).iter().collect();
    if cookies.len() < 2 {
        return;
    }
    let secret = cookies.iter().any(|cookie| cookie.is_sensitive());
    let parts = cookies.into_iter().map(HeaderValue::as_bytes);
    let parts: Vec<&[u8]> = parts.filter(|part| !part.is_empty()).collect();
    // Of values that are fit, joined by what is fit.
    if let Ok(mut joined) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        joined.set_sensitive(secret);
        headers.insert(COOKIE, joined);
    }
}

/// Whether white space stands at an end of a value: HTTP/1 has it removed, HTTP/2 forbids it (RFC 9113, section 8.2.1).
pub fn is_padded(value: &HeaderValue) -> bool {
    let space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = value.as_bytes();
    space(bytes.first()) || space(bytes.last())
}

/// Removes what does not go on from here.
pub fn end(headers: &mut HeaderMap) {
    remove_where(headers, |name| fields::ends_here(name.as_str()));
}

/// The body is another than the one that these fields were written for: what vouches for its bytes goes, and the tag
/// of an equal one says so (RFC 9110, section 8.8.3; RFC 9530 and RFC 3230; RFC 1864).
pub fn edited(headers: &mut HeaderMap) {
    for name in [
        "content-md5",
        "digest",
        "content-digest",
        "repr-digest",
        "accept-ranges",
        "content-range",
    ] {
        headers.remove(name);
    }
    weaken(headers);
}

/// Has a strong ETag say that bytes may differ.
pub fn weaken(headers: &mut HeaderMap) {
    let tag = headers
        .get(ETAG)
        .filter(|tag| tag.as_bytes().starts_with(b"\""));
    let weak = tag.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        headers.insert(ETAG, weak);
    }
}

/// Names Upgrade in Connection, where the response has it (RFC 9110, section 7.8).
#[cold]
pub fn name_upgrade(headers: &mut HeaderMap) {
    if headers.contains_key(UPGRADE) {
        let options = match closes(headers) {
            true => "close, upgrade",
            false => "upgrade",
        };
        headers.insert(CONNECTION, HeaderValue::from_static(options));
    }
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

/// Whether a name is one of these, at a price that does not rise with their number.
pub fn is_among(names: &[HeaderName]) -> impl Fn(&HeaderName) -> bool + '_ {
    const FEW: usize = 32;

    let all = names.iter().map(HeaderName::as_str);
    let many = (names.len() > FEW).then(|| all.collect::<HashSet<_>>());
    move |name| match &many {
        Some(many) => many.contains(name.as_str()),
        None => names.contains(name),
    }
}

/// Removes Connection and what it names.
fn remove_named(headers: &mut HeaderMap) {
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
        if common {
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
    fn what_vouches_for_the_bytes_of_a_body_does_not_outlive_them() {
        let mut headers = map(&[
            ("etag", "\"v1\""),
            ("content-md5", "x"),
            ("repr-digest", "sha-256=:x:"),
            ("accept-ranges", "bytes"),
            ("last-modified", "x"),
        ]);
        edited(&mut headers);
        let weak = map(&[("etag", "W/\"v1\""), ("last-modified", "x")]);
        assert_eq!(headers, weak);
        edited(&mut headers);
        assert_eq!(headers, weak);
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
        strip(&mut headers);
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
        strip(&mut headers);
        assert_eq!(headers, map(&kept));
    }

    #[test]
    fn what_does_not_go_on_is_seen_and_removed() {
        for (name, seen) in [
            ("expect", (true, false, false)),
            ("proxy", (true, false, false)),
            ("x-gateway-depth", (true, false, false)),
            ("x-real-ip", (false, true, false)),
            ("x_real_ip", (false, true, true)),
            ("x.user", (false, false, true)),
            ("x-user", (false, false, false)),
        ] {
            let mut headers = map(&[(name, "1")]);
            let Seen {
                identity,
                ends_here,
                unusual,
            } = strip_request(&mut headers);
            assert_eq!((ends_here, identity, unusual), seen, "{name}");
            end(&mut headers);
            assert_eq!(headers.is_empty(), ends_here, "{name}");
        }
    }
}
