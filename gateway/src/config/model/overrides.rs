//! What a route says in the place of its listener, its upstream and the server, and of itself.

use std::time::Duration;

use crate::message::path::PathRules;

/// What a route says in the place of its listener, its upstream and the server, and of itself.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `limits.body`: the most bytes of a request's body, in the place of the listener's; 0: no limit.
    pub body: Option<u64>,
    /// `timeouts`, where one is given.
    pub timeouts: Option<Box<RouteTimeouts>>,
    /// `access_log`.
    pub access_log: RouteLog,
    /// `tags`: by name, in the order of the file.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// `encoded_slashes` and `path_parameters`.
    pub paths: PathRules,
}

/// `routes.timeouts`, each in the place of the upstream's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// For a connection, and before that for a place in a full pool.
    pub connect: Option<Duration>,
    /// From the request sent to the head of the response.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the body of the response.
    pub idle: Option<Duration>,
    /// Between two pieces of what goes through a tunnel.
    pub tunnel: Option<Duration>,
}

/// Which exchanges of a route the access log has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RouteLog {
    /// Those that the server's `access_log` has.
    #[default]
    All,
    /// Those at which the gateway or the upstream failed.
    Failures,
    /// None.
    Off,
}
