//! `upstreams.NAME.endpoints` by the names of hosts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A name of hosts: an endpoint at each address that the DNS has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name, as it is looked up; it may end in a dot.
    pub host: Arc<str>,
    /// The port of every endpoint.
    pub port: u16,
    /// How long an answer is believed; as long as its TTL says, unless given.
    pub refresh: Option<Duration>,
    /// The share of each endpoint (1).
    pub weight: u16,
    /// Whether they are for when no other can be asked (false).
    pub backup: bool,
}

impl Named {
    /// The name without the dot that ends it.
    pub fn bare(&self) -> &str {
        self.host.strip_suffix('.').unwrap_or(&self.host)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bare(), self.port)
    }
}
