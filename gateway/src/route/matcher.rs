//! The predicates of a route beyond host and path.

use std::borrow::Cow;

use super::params;
use super::subject::Subject;
use crate::config::{PathPattern, Predicates, Route, ValuePattern, VersionPattern, VersionSource};
use crate::message::version::ApiVersion;
use crate::message::{cookies, query, version};

/// A predicate, by its index where there may be several of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Predicate {
    Methods,
    Header(usize),
    Cookie(usize),
    Query(usize),
    Client,
    After,
    Before,
    Version,
}

/// Whether a route serves where the request came in, and its predicates hold.
pub(super) fn holds(route: &Route, subject: Subject<'_>) -> bool {
    (route.listeners.is_empty() || route.listeners.contains(&subject.listener))
        && first_unmet(&route.matcher.predicates, subject, &route.matcher.paths).is_none()
}

/// Whether all predicates hold. A version in the path is looked for in the parameters of `subject`.
pub fn all_hold(predicates: &Predicates, subject: Subject<'_>) -> bool {
    first_unmet(predicates, subject, &[]).is_none()
}

/// The first predicate that does not hold. A version in the path is looked for in the parameters of `subject`, or where
/// one of `paths` has it.
pub(super) fn first_unmet(
    predicates: &Predicates,
    subject: Subject<'_>,
    paths: &[PathPattern],
) -> Option<Predicate> {
    let Predicates {
        methods,
        headers,
        cookies,
        query,
        client,
        after,
        before,
        version,
        unshown: _,
    } = predicates;
    if !methods.is_empty() && !methods.contains(subject.method) {
        return Some(Predicate::Methods);
    }
    let unmet = |(name, pattern): &(_, _)| !fits(pattern, header(subject, name));
    if let Some(index) = headers.iter().position(unmet) {
        return Some(Predicate::Header(index));
    }
    let unmet = |(name, pattern): &(String, _)| !fits(pattern, cookie(subject, name));
    if let Some(index) = cookies.iter().position(unmet) {
        return Some(Predicate::Cookie(index));
    }
    let unmet = |(name, pattern): &(String, _)| {
        let value = query::first(subject.query, name);
        !fits(pattern, value.as_deref().map(str::as_bytes))
    };
    if let Some(index) = query.iter().position(unmet) {
        return Some(Predicate::Query(index));
    }
    if !client.is_empty() && !client.contain(subject.client) {
        return Some(Predicate::Client);
    }
    if after.is_some_and(|after| subject.moment.time() < after) {
        return Some(Predicate::After);
    }
    if before.is_some_and(|before| subject.moment.time() >= before) {
        return Some(Predicate::Before);
    }
    let version = version.as_ref()?;
    (!is_asked_for(version, subject, paths)).then_some(Predicate::Version)
}

/// The first field of a name.
pub(super) fn header<'a>(subject: Subject<'a>, name: &http::HeaderName) -> Option<&'a [u8]> {
    subject.headers.get(name).map(http::HeaderValue::as_bytes)
}

/// The first cookie of a name.
pub(super) fn cookie<'a>(subject: Subject<'a>, name: &str) -> Option<&'a [u8]> {
    cookies::first(subject.headers, name)
}

/// Whether the first value of a name, or that there is none, is as it must be.
pub fn fits(pattern: &ValuePattern, value: Option<&[u8]>) -> bool {
    match (pattern, value) {
        (ValuePattern::Present(present), value) => value.is_some() == *present,
        (ValuePattern::Not(pattern), value) => !fits(pattern, value),
        (ValuePattern::Equals(_) | ValuePattern::Regex(_), None) => false,
        (ValuePattern::Equals(text), Some(value)) => text.as_bytes() == value,
        (ValuePattern::Regex(regex), Some(value)) => {
            regex.is_match(&String::from_utf8_lossy(value))
        }
    }
}

fn is_asked_for(pattern: &VersionPattern, subject: Subject<'_>, paths: &[PathPattern]) -> bool {
    let version = match version(&pattern.source, subject, paths) {
        Some(text) => ApiVersion::parse(&text),
        None => pattern.default,
    };
    version.is_some_and(|version| pattern.versions.contain(version))
}

/// The version as the request says it. What is no text cannot be read as one.
pub(super) fn version<'a>(
    source: &VersionSource,
    subject: Subject<'a>,
    paths: &[PathPattern],
) -> Option<Cow<'a, str>> {
    match source {
        VersionSource::Header(name) => header(subject, name).map(String::from_utf8_lossy),
        VersionSource::Query(name) => query::first(subject.query, name),
        VersionSource::Path(name) => {
            let known = subject.params.iter().find(|(param, _)| param == name);
            let known = known.map(|(_, value)| value.as_str());
            let text = known.or_else(|| params::of_path(paths, subject.path, name));
            text.map(Cow::Borrowed)
        }
        VersionSource::MediaType(parameter) => {
            version::accepted(subject.headers, parameter).map(Cow::Borrowed)
        }
    }
}
