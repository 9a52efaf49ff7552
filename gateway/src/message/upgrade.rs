//! The field Upgrade (RFC 9110, section 7.8): what a client asks for, and what an upstream answers to it.

use http::header::UPGRADE;
use http::{HeaderMap, HeaderValue, StatusCode, Version};

use super::head::ResponseHead;
use super::headers::options;

/// The protocols that a request asks for, in one list. Another HTTP is none of them: Upgrade to HTTP/2 in clear text was
/// dropped by RFC 9113, section 3.1, and requests in such a tunnel would pass no route and no plugin.
pub fn asked(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(UPGRADE)?;
    list(headers, |protocol| !is_http(protocol))
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

fn is_http(protocol: &[u8]) -> bool {
    let name = protocol.split(|byte| *byte == b'/').next();
    let name = name.unwrap_or_default().trim_ascii();
    [&b"h2c"[..], b"h2", b"http"]
        .iter()
        .any(|http| name.eq_ignore_ascii_case(http))
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
