//! `upstreams.NAME.health`.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};

/// How the endpoints of an upstream are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is asked.
    pub check: Check,
    /// From the beginning of a check to that of the next (2 s).
    pub interval: Duration,
    /// How long one may take (1 s).
    pub timeout: Duration,
    /// Checks in a row that bring an endpoint back (2); at least 1.
    pub healthy_after: u32,
    /// Checks in a row that take an endpoint out (3); at least 1.
    pub unhealthy_after: u32,
    /// The port that is asked in the place of the endpoint's.
    pub port: Option<u16>,
}

/// What an endpoint is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A request, in the protocol of the upstream.
    Http(Box<HttpCheck>),
    /// A connection.
    Tcp,
    /// `grpc.health.v1.Health/Check`.
    Grpc {
        /// The service whose health is asked; empty for that of the whole server.
        service: String,
        /// What stands in `:authority`; none for the address.
        host: Option<HeaderValue>,
        /// Metadata of the call.
        headers: HeaderMap,
    },
}

/// A request that asks for health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// The method (GET).
    pub method: Method,
    /// Path and query.
    pub path: PathAndQuery,
    /// What stands in Host; none for the address.
    pub host: Option<HeaderValue>,
    /// The other fields.
    pub headers: HeaderMap,
    /// The statuses of an endpoint that is well (200).
    pub expect: Vec<RangeInclusive<u16>>,
}
