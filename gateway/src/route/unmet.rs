//! Why a request is not what a predicate wants, for people.

use std::fmt::{self, Display};
use std::time::SystemTime;

use super::matcher::{self, Predicate};
use super::subject::Subject;
use crate::config::{
    Match, PathPattern, Predicates, ValuePattern, VersionPattern, VersionSource, Versions,
};
use crate::message::peer::UNIX;
use crate::message::query;
use crate::message::text::Quoted;
use crate::message::version::ApiVersion;

/// What stands for a value that is not shown.
const HIDDEN: &str = "***";

/// The most that is shown of a value, bytes.
const SHOWN: usize = 100;

/// A predicate that a request does not meet: `headers.x-canary: wanted "1", the request has none`.
///
/// What came from outside of the files, and what has a name that sounds like a credential, is `***`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// The key below `match`.
    pub key: String,
    /// What it wants.
    pub wanted: String,
    /// What the request has.
    pub has: String,
}

impl Unmet {
    /// The first predicate that does not hold, in the order methods, headers, cookies, query, client, time, version. A
    /// version in the path is looked for in the parameters of `subject`.
    pub fn first(predicates: &Predicates, subject: Subject<'_>) -> Option<Self> {
        Self::first_of(predicates, subject, &[])
    }

    /// The first predicate of a route that does not hold for a request whose host and path match.
    pub fn first_of_route(matcher: &Match, subject: Subject<'_>) -> Option<Self> {
        Self::first_of(&matcher.predicates, subject, &matcher.paths)
    }

    fn first_of(
        predicates: &Predicates,
        subject: Subject<'_>,
        paths: &[PathPattern],
    ) -> Option<Self> {
        let predicate = matcher::first_unmet(predicates, subject, paths)?;
        Some(match predicate {
            Predicate::Methods => {
                let methods: Vec<_> = predicates.methods.iter().map(|m| m.as_str()).collect();
                Self::new("methods", methods.join(" or "), subject.method)
            }
            Predicate::Header(index) => {
                let (name, pattern) = &predicates.headers[index];
                let key = format!("headers.{name}");
                Self::of_value(predicates, key, pattern, matcher::header(subject, name))
            }
            Predicate::Cookie(index) => {
                let (name, pattern) = &predicates.cookies[index];
                let key = format!("cookies.{name}");
                Self::of_value(predicates, key, pattern, matcher::cookie(subject, name))
            }
            Predicate::Query(index) => {
                let (name, pattern) = &predicates.query[index];
                let value = query::first(subject.query, name);
                let value = value.as_deref().map(str::as_bytes);
                Self::of_value(predicates, format!("query.{name}"), pattern, value)
            }
            Predicate::Client => {
                let clients = predicates.client.told().join(" or ");
                let wanted = match clients == UNIX {
                    true => clients,
                    false => format!("an address in {clients}"),
                };
                Self::new("client", wanted, subject.client)
            }
            Predicate::After => Self::of_time("after", "a time from", predicates.after, subject),
            Predicate::Before => {
                Self::of_time("before", "a time before", predicates.before, subject)
            }
            Predicate::Version => {
                let pattern = predicates.version.as_ref();
                Self::of_version(pattern.expect("it does not hold"), subject, paths)
            }
        })
    }

    fn new(key: &str, wanted: impl Into<String>, has: impl Display) -> Self {
        Self {
            key: key.to_owned(),
            wanted: wanted.into(),
            has: has.to_string(),
        }
    }

    fn of_value(
        predicates: &Predicates,
        key: String,
        pattern: &ValuePattern,
        value: Option<&[u8]>,
    ) -> Self {
        let is_hidden = predicates.unshown.contains(&key);
        let has = match value {
            None => "none".to_owned(),
            Some(_) if is_hidden => HIDDEN.to_owned(),
            Some(value) => quoted(&String::from_utf8_lossy(value)),
        };
        Self::new(&key, wanted(pattern, is_hidden), has)
    }

    fn of_time(key: &str, wanted: &str, time: Option<SystemTime>, subject: Subject<'_>) -> Self {
        let time = time.expect("it does not hold");
        let wanted = format!("{wanted} {}", humantime::format_rfc3339_seconds(time));
        let now = humantime::format_rfc3339_seconds(subject.moment.time());
        Self::new(key, wanted, now)
    }

    fn of_version(pattern: &VersionPattern, subject: Subject<'_>, paths: &[PathPattern]) -> Self {
        let place = place(&pattern.source);
        let has = match matcher::version(&pattern.source, subject, paths) {
            None => match pattern.default {
                Some(default) => format!("none, which stands for {default}"),
                None => "none".to_owned(),
            },
            Some(said) if ApiVersion::parse(&said).is_none() => {
                format!("{}, which is no version", quoted(&said))
            }
            Some(said) => quoted(&said),
        };
        let wanted = format!("{} in {place}", versions(&pattern.versions));
        Self::new("version", wanted, has)
    }
}

impl Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, wanted, has } = self;
        write!(f, "{key}: wanted {wanted}, the request has {has}")
    }
}

/// What predicates want, a text each: `headers.x-canary: "1"`.
pub(super) fn asked(predicates: &Predicates) -> Vec<String> {
    let mut asked = Vec::new();
    if !predicates.methods.is_empty() {
        let methods: Vec<_> = predicates.methods.iter().map(|it| it.as_str()).collect();
        asked.push(format!("methods: {}", methods.join(" or ")));
    }
    let mut value = |key: String, pattern: &ValuePattern| {
        let is_hidden = predicates.unshown.contains(&key);
        asked.push(format!("{key}: {}", wanted(pattern, is_hidden)));
    };
    for (name, pattern) in &predicates.headers {
        value(format!("headers.{name}"), pattern);
    }
    for (name, pattern) in &predicates.cookies {
        value(format!("cookies.{name}"), pattern);
    }
    for (name, pattern) in &predicates.query {
        value(format!("query.{name}"), pattern);
    }
    if !predicates.client.is_empty() {
        asked.push(format!("client: {}", predicates.client.told().join(" or ")));
    }
    for (key, time) in [("after", predicates.after), ("before", predicates.before)] {
        let time = time.map(humantime::format_rfc3339_seconds);
        asked.extend(time.map(|time| format!("{key}: {time}")));
    }
    if let Some(pattern) = &predicates.version {
        let (wanted, place) = (versions(&pattern.versions), place(&pattern.source));
        asked.push(format!("version: {wanted} in {place}"));
    }
    asked
}

fn place(source: &VersionSource) -> String {
    match source {
        VersionSource::Header(name) => format!("the header {name}"),
        VersionSource::Query(name) => format!("the query's {}", quoted(name)),
        VersionSource::Path(name) => format!("the path's {{{name}}}"),
        VersionSource::MediaType(name) => format!("`{name}` or `.vN` of Accept"),
    }
}

fn wanted(pattern: &ValuePattern, is_hidden: bool) -> String {
    let shown = |text: &str| match is_hidden {
        true => HIDDEN.to_owned(),
        false => quoted(text),
    };
    match pattern {
        ValuePattern::Equals(text) => shown(text),
        ValuePattern::Regex(regex) => format!("a match of {}", shown(regex.as_str())),
        ValuePattern::Present(true) => "any value".to_owned(),
        ValuePattern::Present(false) => "none".to_owned(),
        ValuePattern::Not(pattern) => format!("anything but {}", wanted(pattern, is_hidden)),
    }
}

fn versions(versions: &Versions) -> String {
    match versions {
        Versions::Equal(version) => version.to_string(),
        Versions::Range { at_least, below } => {
            let at_least = at_least.map(|version| format!("at least {version}"));
            let below = below.map(|version| format!("below {version}"));
            let bounds: Vec<_> = at_least.into_iter().chain(below).collect();
            bounds.join(" and ")
        }
    }
}

fn quoted(value: &str) -> String {
    let kept = &value[..value.floor_char_boundary(SHOWN)];
    let cut = if kept.len() < value.len() { "…" } else { "" };
    format!("{}{cut}", Quoted(kept))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::super::Moment;
    use super::super::matcher::all_hold;
    use super::*;

    /// What a POST of `/v1/orders?q=1` does not meet.
    fn unmet(predicates: &Predicates, fields: &[(&'static str, &'static str)]) -> String {
        let field = |(name, value): &(&'static str, &'static str)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        let headers: HeaderMap = fields.iter().map(field).collect();
        let subject = Subject {
            listener: 0,
            host: "a.test",
            path: "/v1/orders",
            query: "q=1",
            method: &Method::POST,
            headers: &headers,
            client: IpAddr::from([192, 0, 2, 1]).into(),
            moment: &Moment::from(SystemTime::UNIX_EPOCH),
            params: &[("version".into(), "v1".to_owned())],
        };
        let unmet = Unmet::first(predicates, subject);
        assert_eq!(unmet.is_none(), all_hold(predicates, subject));
        unmet.map_or_else(String::new, |unmet| unmet.to_string())
    }

    fn equals(text: &str) -> ValuePattern {
        ValuePattern::Equals(text.to_owned())
    }

    fn header(name: &'static str, pattern: ValuePattern) -> Predicates {
        Predicates {
            headers: vec![(HeaderName::from_static(name), pattern)],
            ..Predicates::default()
        }
    }

    #[test]
    fn a_predicate_that_fails_says_what_it_wanted_and_what_came() {
        let canary = |pattern| header("x-canary", pattern);
        let has = |value| [("x-canary", value)];
        let not = |text| ValuePattern::Not(Box::new(equals(text)));
        let regex = ValuePattern::Regex(crate::config::Regex::new("^b").unwrap());
        for (pattern, fields, said) in [
            (equals("1"), &[][..], "wanted \"1\", the request has none"),
            (
                equals("1"),
                &has("2"),
                "wanted \"1\", the request has \"2\"",
            ),
            (
                not("1"),
                &has("1"),
                "wanted anything but \"1\", the request has \"1\"",
            ),
            (
                regex,
                &has("a"),
                "wanted a match of \"^b\", the request has \"a\"",
            ),
            (
                ValuePattern::Present(true),
                &[],
                "wanted any value, the request has none",
            ),
            (
                ValuePattern::Present(false),
                &has(""),
                "wanted none, the request has \"\"",
            ),
        ] {
            let said = format!("headers.x-canary: {said}");
            assert_eq!(unmet(&canary(pattern), fields), said);
        }
        assert_eq!(unmet(&canary(equals("1")), &has("1")), "");
    }

    #[test]
    fn what_is_not_to_be_shown_is_not() {
        let mut predicates = header("authorization", equals("Basic c2VjcmV0"));
        predicates.unshown = vec!["headers.authorization".to_owned()];
        assert_eq!(
            unmet(&predicates, &[("authorization", "Basic b3RoZXI=")]),
            "headers.authorization: wanted ***, the request has ***"
        );
        let said = unmet(&predicates, &[]);
        assert_eq!(
            said,
            "headers.authorization: wanted ***, the request has none"
        );
    }

    #[test]
    fn every_kind_of_predicate_is_named() {
        let default = Predicates::default;
        let year =
            |year: u64| SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(8766 * year);
        let methods = vec![Method::GET, Method::PUT];
        let (named, cookies) = (
            vec![("q".to_owned(), equals("2"))],
            vec![("c".to_owned(), equals("2"))],
        );
        for (predicates, said) in [
            (
                Predicates {
                    methods,
                    ..default()
                },
                "methods: wanted GET or PUT, the request has POST",
            ),
            (
                Predicates {
                    query: named,
                    ..default()
                },
                "query.q: wanted \"2\", the request has \"1\"",
            ),
            (
                Predicates {
                    cookies,
                    ..default()
                },
                "cookies.c: wanted \"2\", the request has \"3\"",
            ),
            (
                Predicates {
                    client: vec!["10.0.0.0/8".parse().unwrap()].into(),
                    ..default()
                },
                "client: wanted an address in 10.0.0.0/8, the request has 192.0.2.1",
            ),
            (
                Predicates {
                    after: Some(year(1)),
                    ..default()
                },
                "after: wanted a time from 1971-01-01T06:00:00Z, the request has 1970-01-01T00:00:00Z",
            ),
            (
                Predicates {
                    before: Some(year(0)),
                    ..default()
                },
                "before: wanted a time before 1970-01-01T00:00:00Z, the request has 1970-01-01T00:00:00Z",
            ),
        ] {
            assert_eq!(
                unmet(&predicates, &[("cookie", "c=3"), ("x-v", "new")]),
                said
            );
        }
    }

    #[test]
    fn a_version_that_is_not_asked_for_is_named_with_its_place() {
        let version = |source, at_least, default| Predicates {
            version: Some(VersionPattern {
                source,
                versions: Versions::Range {
                    at_least: ApiVersion::parse(at_least),
                    below: ApiVersion::parse("9"),
                },
                default,
            }),
            ..Predicates::default()
        };
        let in_header = || VersionSource::Header(HeaderName::from_static("x-v"));
        for (predicates, said) in [
            (
                version(in_header(), "2", None),
                "version: wanted at least 2.0 and below 9.0 in the header x-v, the request has \"new\", which is no version",
            ),
            (
                version(
                    VersionSource::Query("v".to_owned()),
                    "2",
                    ApiVersion::parse("1"),
                ),
                "version: wanted at least 2.0 and below 9.0 in the query's \"v\", the request has none, which stands for 1.0",
            ),
            (
                version(VersionSource::Path("version".into()), "2", None),
                "version: wanted at least 2.0 and below 9.0 in the path's {version}, the request has \"v1\"",
            ),
            (
                version(VersionSource::MediaType("v".to_owned()), "2", None),
                "version: wanted at least 2.0 and below 9.0 in `v` or `.vN` of Accept, the request has none",
            ),
        ] {
            assert_eq!(unmet(&predicates, &[("x-v", "new")]), said);
        }
    }
}
