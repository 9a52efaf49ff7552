//! The Cookie field as a server reads it (RFC 6265bis, section 4.2).

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The value of the first cookie of a name, as it stands: quotation marks and escapes are part of it. Names count in
/// their case, and white space around name and value does not. A piece without `=` is a cookie without a name.
pub fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let fields = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let mut pairs = fields.flat_map(|field| field.split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let is_named = pair[..at].trim_ascii() == name.as_bytes();
        is_named.then(|| pair[at + 1..].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cookie_of_a_name_counts_as_it_stands() {
        let mut headers = HeaderMap::new();
        for field in ["a=1; b=x=y;c=\"q\" ;bare; a=2", "d = 4 ;e=;a=3;=no;f=%20"] {
            headers.append(COOKIE, HeaderValue::from_static(field));
        }
        for (name, value) in [
            ("a", Some("1")),
            ("b", Some("x=y")),
            ("c", Some("\"q\"")),
            ("d", Some("4")),
            ("e", Some("")),
            ("f", Some("%20")),
            ("A", None),
            ("bare", None),
            ("g", None),
        ] {
            assert_eq!(first(&headers, name), value.map(str::as_bytes), "{name}");
        }
    }
}
