//! The field Upgrade (RFC 9110, section 7.8): what a client asks for, and what an upstream answers to it.

use http::header::UPGRADE;
use http::{HeaderMap, HeaderValue, StatusCode, Version};

use super::fields::is_token;
use super::head::ResponseHead;
use super::headers::options;

/// The protocols that a request asks for, in one list. Another HTTP is none of them: Upgrade to HTTP/2 in clear text was
/// dropped by RFC 9113, section 3.1, and requests in such a tunnel would pass no route and no plugin. Nor is what is no
/// protocol: an upstream might read another HTTP in it.
pub fn asked(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(UPGRADE)?;
    list(headers, |protocol| {
        is_protocol(protocol) && !is_http(protocol)
    })
}

/// Whether the head of a 101 names nothing but protocols that were asked for, and one at least.
pub fn is_answered(asked: &HeaderValue, headers: &HeaderMap) -> bool {
    let is_asked = |protocol: &[u8]| options(asked).any(|one| one.eq_ignore_ascii_case(protocol));
    let mut named = headers.get_all(UPGRADE).iter().flat_map(options).peekable();
    named.peek().is_some() && named.all(is_asked)
}

/// What a client of this version has to know of an answer's Upgrade: what a 101 switches to, and what a 426 requires
/// (RFC 9110, section 15.5.22). HTTP/2 has no such field.
#[inline]
pub fn told(head: &ResponseHead, version: Version) -> Option<HeaderValue> {
    let tells = match head.status {
        StatusCode::SWITCHING_PROTOCOLS => version == Version::HTTP_11,
        StatusCode::UPGRADE_REQUIRED => version <= Version::HTTP_11,
        _ => false,
    };
    match tells {
        true => list(&head.headers, |_| true),
        false => None,
    }
}

/// Whether it is a name, with or without a version (RFC 9110, section 7.8).
fn is_protocol(member: &[u8]) -> bool {
    let mut parts = member.split(|byte| *byte == b'/');
    parts.by_ref().take(2).all(is_token) && parts.next().is_none()
}

/// Whether it names a version of HTTP, or a draft of one, such as `h2c-14`.
fn is_http(protocol: &[u8]) -> bool {
    [&b"h2c"[..], b"h2", b"h3", b"http"].iter().any(|http| {
        let named = protocol.split_at_checked(http.len());
        named.is_some_and(|(name, rest)| {
            let is_over = rest.first().is_none_or(|next| !next.is_ascii_alphabetic());
            is_over && name.eq_ignore_ascii_case(http)
        })
    })
}

/// The members of every line that are meant.
#[cold]
fn list(headers: &HeaderMap, meant: impl Fn(&[u8]) -> bool) -> Option<HeaderValue> {
    let lines = headers.get_all(UPGRADE).iter();
    let members: Vec<_> = lines.flat_map(options).filter(|one| meant(one)).collect();
    let list = members.join(&b", "[..]);
    HeaderValue::from_maybe_shared(bytes::Bytes::from(list))
        .ok()
        .filter(|list| !list.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(UPGRADE, line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn another_http_is_asked_for_in_no_list() {
        for (sent, expected) in [
            (&["websocket"][..], Some("websocket")),
            (&["h2c"], None),
            (&["H2C, h2", "HTTP/2.0", " http/3 , h2c/1"], None),
            (&["a, h2c ,b/2", "", ",h2c,c"], Some("a, b/2, c")),
            (&["h2cx, xh2c"], Some("h2cx, xh2c")),
            (&["h2c-14, H3-29,h3, http2, HTTP-1.1", "h2c/"], None),
            (&["h2c;q=1, \"h2c\"", "\"h2c", "\"a, h2c\""], None),
            (
                &["a b", "a/b/c", "/a", "a/", "a;q=1", "\"a\"", "a / b"],
                None,
            ),
            (
                &["websocket, https/1, TLS/1.0, b@"],
                Some("websocket, https/1, TLS/1.0"),
            ),
            (&[], None),
            (&[" , "], None),
        ] {
            let found = asked(&lines(sent));
            let found = found.as_ref().map(|list| list.to_str().unwrap());
            assert_eq!(found, expected, "{sent:?}");
        }
    }

    #[test]
    fn an_answer_names_what_was_asked_for() {
        let asked = HeaderValue::from_static("a, b/2");
        for (answer, sound) in [
            (&["a"][..], true),
            (&["B/2", "a"], true),
            (&["b"], false),
            (&["a, c"], false),
            (&[], false),
            (&[""], false),
        ] {
            assert_eq!(is_answered(&asked, &lines(answer)), sound, "{answer:?}");
        }
    }
}
