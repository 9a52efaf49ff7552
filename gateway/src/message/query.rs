//! The query of a target as pairs of decoded text (the URL Standard's `application/x-www-form-urlencoded`): `+` is a
//! space, and bytes that are no UTF-8 become U+FFFD.

use std::borrow::Cow;

/// The values of a name, in order.
pub fn all<'a>(query: &'a str, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes())
        .filter(move |(key, _)| key == name)
        .map(|(_, value)| value)
}

/// The first value of a name.
pub fn first<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    all(query, name).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_and_the_first_wins() {
        let query = "a=1&&b%20c=x%2By+z&%61=2&empty=&bare&e=%ff&a=3";
        assert_eq!(first(query, "a").as_deref(), Some("1"));
        assert_eq!(all(query, "a").collect::<Vec<_>>(), ["1", "2", "3"]);
        assert_eq!(first(query, "b c").as_deref(), Some("x+y z"));
        assert_eq!(first(query, "empty").as_deref(), Some(""));
        assert_eq!(first(query, "bare").as_deref(), Some(""));
        assert_eq!(first(query, "e").as_deref(), Some("\u{fffd}"));
        for absent in ["c", ""] {
            assert_eq!(first(query, absent), None);
        }
    }
}
