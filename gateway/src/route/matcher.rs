//! The predicates of a route beyond host and path.

use std::borrow::Cow;

use super::subject::Subject;
use crate::config::{Predicates, Route, ValuePattern};
use crate::message::query;

/// Whether a route serves where the request came in, and its predicates hold.
pub(super) fn holds(route: &Route, subject: Subject<'_>) -> bool {
    (route.listeners.is_empty() || route.listeners.contains(&subject.listener))
        && all_hold(&route.matcher.predicates, subject)
}

/// Whether all predicates hold.
pub fn all_hold(predicates: &Predicates, subject: Subject<'_>) -> bool {
    (predicates.methods.is_empty() || predicates.methods.contains(subject.method))
        && predicates.headers.iter().all(|(name, pattern)| {
            any(
                subject
                    .headers
                    .get_all(name)
                    .iter()
                    .map(|value| String::from_utf8_lossy(value.as_bytes())),
                pattern,
            )
        })
        && predicates
            .query
            .iter()
            .all(|(name, pattern)| any(query::all(subject.query, name), pattern))
}

/// Whether some value fits, or, for `Present(false)`, there is none.
pub fn any<'a>(mut values: impl Iterator<Item = Cow<'a, str>>, pattern: &ValuePattern) -> bool {
    match pattern {
        ValuePattern::Equals(text) => values.any(|value| value == *text),
        ValuePattern::Regex(regex) => values.any(|value| regex.is_match(&value)),
        ValuePattern::Present(present) => values.next().is_some() == *present,
    }
}
