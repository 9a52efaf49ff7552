//! What holds for the one form whatever a client asks for; fuzz/ and the test below look for what breaks it.

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use super::{Target, target};
use crate::message::path::{self, Form, Special};

/// A target as it stands in the request line, and after a line end the value of Host.
///
/// # Panics
/// When the form is none: not the same the second time, or with something in it that servers read differently.
pub fn normalised(input: &[u8]) {
    let (uri, host) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &b"a"[..]),
    };
    if let Ok(asked) = PathAndQuery::try_from(uri)
        && let Ok(form) = path::from_client(&asked)
    {
        check_form(&form);
        assert_eq!(form.path.query(), asked.query(), "the query stays");
        let again = path::from_client(&form.path).map(|again| again.path);
        assert_eq!(again.as_ref(), Ok(&form.path), "from {asked}");
    }
    let (Ok(uri), Ok(host)) = (Uri::try_from(uri), HeaderValue::from_bytes(host)) else {
        return;
    };
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        for headers in [
            HeaderMap::new(),
            HeaderMap::from_iter([(HOST, host.clone())]),
        ] {
            for secure in [false, true] {
                if let Ok(asked) = target(&Method::OPTIONS, &uri, &headers, version, secure) {
                    let secure = uri.scheme_str().map_or(secure, |scheme| scheme == "https");
                    check_target(&asked, version, secure);
                }
            }
        }
    }
}

/// The form of a target is asked for in the same way.
fn check_target(asked: &Target, version: Version, secure: bool) {
    let mut headers = HeaderMap::new();
    if !asked.authority.is_empty() {
        let authority = asked.authority.as_bytes();
        assert!(memchr::memchr3(b'@', b'%', b',', authority).is_none());
        headers.insert(HOST, asked.authority.clone());
    }
    let uri = Uri::from(asked.path.clone());
    let again = target(&Method::OPTIONS, &uri, &headers, version, secure);
    // A segment with an escaped slash or a parameter may have gone with a dot segment.
    let special = special(asked.path.path());
    let expected = Target {
        special,
        ..asked.clone()
    };
    assert_eq!(again, Ok(expected));
    assert_eq!(asked.special.rules().take(special), Ok(()), "{asked:?}");
}

fn check_form(form: &Form) {
    let path = form.path.path();
    assert!(path.is_ascii() && path.starts_with('/'), "{path}");
    assert!(!path.contains("//") && !path.contains('\\'), "{path}");
    assert_eq!(form.special.rules().take(special(path)), Ok(()), "{path}");
    for part in path.split('/').flat_map(|segment| segment.split("%2F")) {
        let part = part.replace("%3B", ";");
        let name = part.split(';').next().unwrap_or_default();
        assert!(!matches!(name, "." | ".."), "{path}");
    }
    for segment in path.split('/').filter(|segment| segment.contains("%2F")) {
        assert!(segment.split("%2F").all(|part| !part.is_empty()), "{path}");
    }
    for segment in path.split('/') {
        let name = segment.split(';').next().unwrap_or_default();
        let is_dots = matches!(name, "." | "..") || name.is_empty() && segment.contains(';');
        assert!(!is_dots, "{path}");
    }
    let mut rest = path;
    while let Some((_, behind)) = rest.split_once('%') {
        check_escape(behind, path);
        rest = behind;
    }
}

/// What a form has that not every route takes.
fn special(path: &str) -> Special {
    Special {
        slash: path.contains("%2F"),
        parameter: path.contains(';') || path.contains("%3B"),
    }
}

/// An escape is in upper case, of a byte that must be escaped, and not the beginning of another.
fn check_escape(behind: &str, path: &str) {
    let digits = behind.get(..2).unwrap_or_default();
    let is_upper = digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    assert!(is_upper, "{path}");
    let byte = u8::from_str_radix(digits, 16).ok();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~\\\0".contains(&byte);
    assert!(byte.is_some_and(|byte| !is_plain(byte)), "{path}");
    let next = behind.get(2..4).unwrap_or_default();
    let is_twice = next.len() == 2 && next.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(!(byte == Some(b'%') && is_twice), "{path}");
}

#[cfg(test)]
mod tests {
    use crate::corpora;

    #[test]
    fn the_one_form_is_its_own() {
        corpora::replay("normalise", super::normalised);
    }
}
