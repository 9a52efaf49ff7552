//! The query of a request target as pairs (the URL Standard's `application/x-www-form-urlencoded`).

use percent_encoding::percent_decode;

/// The first value of a name, decoded; `+` is a space, and bytes that are no UTF-8 become U+FFFD.
pub(super) fn first(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let same = if key.contains(['%', '+']) {
                decode(key) == name
            } else {
                key == name
            };
            same.then(|| decode(value))
        })
}

fn decode(text: &str) -> String {
    let spaced: Vec<u8> = text
        .bytes()
        .map(|b| if b == b'+' { b' ' } else { b })
        .collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_and_the_first_wins() {
        let query = "a=1&&b%20c=x%2By+z&a=2&empty=&bare&e=%ff";
        assert_eq!(first(query, "a").as_deref(), Some("1"));
        assert_eq!(first(query, "b c").as_deref(), Some("x+y z"));
        assert_eq!(first(query, "empty").as_deref(), Some(""));
        assert_eq!(first(query, "bare").as_deref(), Some(""));
        assert_eq!(first(query, "e").as_deref(), Some("\u{fffd}"));
        assert_eq!(first(query, "c"), None);
    }
}
