//! The query of a path, as pairs of decoded text (`application/x-www-form-urlencoded`).

/// The pairs of a query in order, percent-decoded, `+` as a space. A name without `=` has an empty value; bytes
/// that are not UTF-8 become the replacement character.
#[derive(Clone, Debug)]
pub struct Query {
    path: String,
    next: usize,
}

impl Query {
    /// Over the query of `path`, a path with or without one.
    pub(crate) fn of(path: String) -> Self {
        let next = path.find('?').map_or(path.len(), |mark| mark + 1);
        Self { path, next }
    }
}

impl Iterator for Query {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.path.get(self.next..).filter(|rest| !rest.is_empty())?;
            let pair = rest.split('&').next().unwrap_or(rest);
            self.next += pair.len() + 1;
            let decoded = form_urlencoded::parse(pair.as_bytes()).into_owned().next();
            if decoded.is_some() {
                return decoded;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(path: &str) -> Vec<(String, String)> {
        Query::of(path.to_owned()).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn pairs_come_in_order_and_decoded() {
        assert_eq!(
            pairs("/a?x=1&y=a+b%26c&x=%C3%A9&flag"),
            [
                pair("x", "1"),
                pair("y", "a b&c"),
                pair("x", "é"),
                pair("flag", "")
            ]
        );
    }

    #[test]
    fn a_broken_escape_stays_as_it_is_and_bad_utf8_is_replaced() {
        assert_eq!(
            pairs("/?a=%zz%4&b=%ff"),
            [pair("a", "%zz%4"), pair("b", "\u{fffd}")]
        );
    }

    #[test]
    fn empty_pairs_are_skipped_and_a_path_may_have_no_query() {
        assert_eq!(pairs("/?&&a=1&"), [pair("a", "1")]);
        assert_eq!(pairs("/"), []);
        assert_eq!(pairs("/?"), []);
    }
}
