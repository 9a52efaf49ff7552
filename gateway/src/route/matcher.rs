//! The predicates of a route beyond host and path.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::subject::Subject;
use crate::config::{Route, ValuePattern};

/// Whether listener, method, header and query predicates hold.
pub(super) fn holds(route: &Route, subject: Subject<'_>) -> bool {
    let matcher = &route.matcher;
    (route.listeners.is_empty() || route.listeners.contains(&subject.listener))
        && (matcher.methods.is_empty() || matcher.methods.contains(subject.method))
        && matcher.headers.iter().all(|(name, pattern)| {
            any(
                subject
                    .headers
                    .get_all(name)
                    .iter()
                    .map(|value| String::from_utf8_lossy(value.as_bytes())),
                pattern,
            )
        })
        && matcher
            .query
            .iter()
            .all(|(name, pattern)| any(query_values(subject.query, name), pattern))
}

/// Whether some value fits, or, for `Present(false)`, there is none.
fn any<'a>(mut values: impl Iterator<Item = Cow<'a, str>>, pattern: &ValuePattern) -> bool {
    match pattern {
        ValuePattern::Equals(text) => values.any(|value| value == *text),
        ValuePattern::Regex(regex) => values.any(|value| regex.is_match(&value)),
        ValuePattern::Present(present) => values.next().is_some() == *present,
    }
}

/// The decoded values of one name in a query.
fn query_values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(move |(key, _)| decode(key) == name)
        .map(|(_, value)| decode(value))
}

/// Percent-decodes, `+` being a space (application/x-www-form-urlencoded).
fn decode(text: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned(),
    )
}
