//! `routes.match`: which requests a route takes.

use std::sync::Arc;

use http::{HeaderName, Method};

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
}

/// What is asked of a request beyond host and path: all of it must hold.
#[derive(Debug, Clone, Default)]
pub struct Predicates {
    /// Methods; empty: any.
    pub methods: Vec<Method>,
    /// Header fields, by name.
    pub headers: Vec<(HeaderName, ValuePattern)>,
    /// Parameters of the query; the name decoded.
    pub query: Vec<(String, ValuePattern)>,
}

/// `match.host`: lower case, without port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `api.example.com`
    Exact(String),
    /// `*.example.com`, kept as `.example.com`: one or more labels.
    Suffix(String),
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
    Regex(regex::Regex),
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Literal text.
    Literal(String),
    /// `{name}`: any one segment, not empty.
    Param(Arc<str>),
}

/// What a header or query value must be.
#[derive(Debug, Clone)]
pub enum ValuePattern {
    /// Equal.
    Equals(String),
    /// Matched.
    Regex(regex::Regex),
    /// There (`true`) or not there (`false`).
    Present(bool),
}
