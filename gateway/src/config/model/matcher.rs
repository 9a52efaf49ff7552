//! `routes.match`: which requests a route takes.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderName, Method};

use super::super::regex::Regex;
use super::networks::Networks;
use crate::message::version::ApiVersion;

/// `routes.match`.
#[derive(Debug, Clone)]
pub struct Match {
    /// Hosts; empty: any.
    pub hosts: Vec<HostPattern>,
    /// The paths, of which one must match; never empty.
    pub paths: Vec<PathPattern>,
    /// What must hold besides.
    pub predicates: Predicates,
    /// Above specificity (0).
    pub priority: i32,
}

impl Match {
    /// What every request matches.
    pub fn any() -> Self {
        Self {
            hosts: Vec::new(),
            paths: vec![PathPattern::Any],
            predicates: Predicates::default(),
            priority: 0,
        }
    }

    /// The names of its parameters, those of the host first: every host of it has the same, and every path.
    pub fn params(&self) -> Vec<Arc<str>> {
        let host = self.hosts.first().map_or(&[][..], HostPattern::labels);
        let path = self.paths.first().map_or(&[][..], PathPattern::segments);
        let names = host.iter().chain(path).filter_map(Segment::param);
        names.cloned().collect()
    }
}

/// What is asked of a request beyond host and path: all of it must hold.
#[derive(Debug, Clone, Default)]
pub struct Predicates {
    /// Methods; empty: any.
    pub methods: Vec<Method>,
    /// Header fields, by name.
    pub headers: Vec<(HeaderName, ValuePattern)>,
    /// Cookies, by name.
    pub cookies: Vec<(String, ValuePattern)>,
    /// Parameters of the query; the name decoded.
    pub query: Vec<(String, ValuePattern)>,
    /// Networks of clients; empty: any.
    pub client: Networks,
    /// From this time on.
    pub after: Option<SystemTime>,
    /// Up to this time, which is later than `after`.
    pub before: Option<SystemTime>,
    /// The version that is asked for.
    pub version: Option<VersionPattern>,
    /// The keys of values that no message shows, such as `headers.authorization`: they came from outside of the files,
    /// or their names sound like credentials.
    pub unshown: Vec<String>,
}

/// Where the value is that a predicate asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueOf<'a> {
    /// A header field.
    Header(&'a HeaderName),
    /// A cookie.
    Cookie(&'a str),
    /// A parameter of the query.
    Query(&'a str),
}

impl Predicates {
    /// The exact values that are asked for: of two for one name, a request has one.
    pub fn exact(&self) -> impl Iterator<Item = (ValueOf<'_>, &str)> {
        let Self {
            methods: _,
            headers,
            cookies,
            query,
            client: _,
            after: _,
            before: _,
            version: _,
            unshown: _,
        } = self;
        let headers = headers
            .iter()
            .map(|(name, pattern)| (ValueOf::Header(name), pattern));
        let cookies = cookies
            .iter()
            .map(|(name, pattern)| (ValueOf::Cookie(name), pattern));
        let query = query
            .iter()
            .map(|(name, pattern)| (ValueOf::Query(name), pattern));
        let all = headers.chain(cookies).chain(query);
        all.filter_map(|(of, pattern)| match pattern {
            ValuePattern::Equals(text) => Some((of, text.as_str())),
            _ => None,
        })
    }
}

/// `match.host`: lower case, without port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `api.example.com`
    Exact(String),
    /// `*.example.com`, kept as `.example.com`: one or more labels.
    Suffix(String),
    /// `{tenant}.example.com`, by labels: one for each parameter.
    Template(Vec<Segment>),
}

impl HostPattern {
    /// The labels of a template; of other patterns, none.
    pub fn labels(&self) -> &[Segment] {
        match self {
            Self::Template(labels) => labels,
            Self::Exact(_) | Self::Suffix(_) => &[],
        }
    }
}

/// `match.path`.
#[derive(Debug, Clone)]
pub enum PathPattern {
    /// Nothing given.
    Any,
    /// `{ exact = "/x" }`, or a string without wildcard or parameter.
    Exact(String),
    /// `"/products/**"`, kept as `/products`: that path itself and all below it.
    Prefix(String),
    /// `"/users/{id}/orders"`, possibly ending in `/**`.
    Template {
        /// The segments in order.
        segments: Vec<Segment>,
        /// Whether more segments may follow.
        rest: bool,
    },
    /// `{ regex = "^/v[12]/" }`.
    Regex(Regex),
}

impl PathPattern {
    /// The segments of a template; of other patterns, none.
    pub fn segments(&self) -> &[Segment] {
        match self {
            Self::Template { segments, .. } => segments,
            Self::Any | Self::Exact(_) | Self::Prefix(_) | Self::Regex(_) => &[],
        }
    }
}

/// One segment of a path's template, or one label of a host's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Literal text.
    Literal(String),
    /// `{name}`: any one segment, not empty.
    Param(Arc<str>),
}

impl Segment {
    /// The name of a parameter.
    pub fn param(&self) -> Option<&Arc<str>> {
        match self {
            Self::Param(name) => Some(name),
            Self::Literal(_) => None,
        }
    }
}

/// What the first value of a header field, cookie or query parameter must be.
#[derive(Debug, Clone)]
pub enum ValuePattern {
    /// Equal.
    Equals(String),
    /// Matched.
    Regex(Regex),
    /// There (`true`) or not there (`false`).
    Present(bool),
    /// Not so: where there is no value, this holds.
    Not(Box<ValuePattern>),
}

/// `match.version`.
#[derive(Debug, Clone)]
pub struct VersionPattern {
    /// Where the version stands.
    pub source: VersionSource,
    /// Which of them match.
    pub versions: Versions,
    /// What a request without one asks for.
    pub default: Option<ApiVersion>,
}

/// Where the version of an API stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionSource {
    /// `header = "x-api-version"`
    Header(HeaderName),
    /// `query = "api-version"`
    Query(String),
    /// `path = "version"`: the parameter `{version}` of the path.
    Path(Arc<str>),
    /// `media_type = "version"`: this parameter of Accept, or the label `v2` of a subtype there.
    MediaType(String),
}

/// Which versions match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Versions {
    /// `equals`
    Equal(ApiVersion),
    /// `at_least` and `below`, one of them or both; not empty.
    Range {
        /// The lowest.
        at_least: Option<ApiVersion>,
        /// The lowest that is too high.
        below: Option<ApiVersion>,
    },
}

impl VersionPattern {
    /// Whether one request can ask for what both match.
    pub fn meets(&self, other: &Self) -> bool {
        let takes_none = |of: &Self| {
            of.default
                .is_some_and(|default| of.versions.contain(default))
        };
        self.source != other.source
            || self.versions.meet(&other.versions)
            || (takes_none(self) && takes_none(other))
    }
}

impl Versions {
    /// Whether a version is one of them.
    pub fn contain(&self, version: ApiVersion) -> bool {
        match self {
            Self::Equal(equal) => version == *equal,
            Self::Range { at_least, below } => {
                at_least.is_none_or(|at_least| version >= at_least)
                    && below.is_none_or(|below| version < below)
            }
        }
    }

    /// Whether both have a version in common.
    pub fn meet(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equal(version), versions) | (versions, Self::Equal(version)) => {
                versions.contain(*version)
            }
            (
                Self::Range { at_least, below },
                Self::Range {
                    at_least: other_at_least,
                    below: other_below,
                },
            ) => {
                let both = |a: &Option<ApiVersion>, b: &Option<ApiVersion>| Some(((*a)?, (*b)?));
                let is_open = |low, high| both(low, high).is_none_or(|(low, high)| low < high);
                let is_alike = |one, other| {
                    both(one, other).is_none_or(|(one, other)| one.partial_cmp(&other).is_some())
                };
                is_open(at_least, other_below)
                    && is_open(other_at_least, below)
                    && is_alike(at_least, other_at_least)
                    && is_alike(below, other_below)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(text: &str) -> Versions {
        match text.split_once("..") {
            None => Versions::Equal(ApiVersion::parse(text).unwrap()),
            Some((low, high)) => Versions::Range {
                at_least: ApiVersion::parse(low),
                below: ApiVersion::parse(high),
            },
        }
    }

    #[test]
    fn versions_meet_where_both_have_one() {
        for (one, other, meet) in [
            ("1", "1.0", true),
            ("1", "2", false),
            ("1.5", "1..2", true),
            ("2", "1..2", false),
            ("..2", "2..", false),
            ("..2.1", "2..", true),
            ("1..3", "2..4", true),
            ("1..2", "..9", true),
            ("1..", "2..", true),
            ("..1", "..2", true),
            ("1..", "2026-01-31..", false),
            ("..1", "..2026-01-31", false),
            ("2026-01-31", "1..", false),
        ] {
            let (a, b) = (versions(one), versions(other));
            assert_eq!((a.meet(&b), b.meet(&a)), (meet, meet), "{one} {other}");
        }
    }

    #[test]
    fn what_says_no_version_may_be_for_two_routes() {
        let pattern = |source: &str, text: &str, default: &str| VersionPattern {
            source: VersionSource::Query(source.to_owned()),
            versions: versions(text),
            default: ApiVersion::parse(default),
        };
        assert!(!pattern("v", "..2", "1").meets(&pattern("v", "2..", "")));
        assert!(!pattern("v", "..2", "1").meets(&pattern("v", "2..", "1")));
        assert!(pattern("v", "..2", "1").meets(&pattern("v", "2..", "2")));
        assert!(pattern("v", "..2", "").meets(&pattern("w", "2..", "")));
    }
}
