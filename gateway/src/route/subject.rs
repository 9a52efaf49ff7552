//! What routing looks at.

use http::{HeaderMap, Method};

/// What routing looks at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Index of the listener.
    pub listener: usize,
    /// Host without port, lower case.
    pub host: &'a str,
    /// The normalised path.
    pub path: &'a str,
    /// The raw query, without `?`.
    pub query: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The header fields.
    pub headers: &'a HeaderMap,
}
