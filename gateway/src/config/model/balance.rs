//! How requests are spread over the endpoints of an upstream: `balance`, `hash_on` and `sticky`.

use std::time::Duration;

use super::client_key::ClientKey;

/// `upstreams.NAME.balance`, and what it goes by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Balance {
    /// Each has its turn, as often as its weight says and spread evenly.
    #[default]
    RoundRobin,
    /// Any, as often as its weight says.
    Random,
    /// Of two that are drawn by weight, the one with fewer requests under way for its weight.
    LeastRequest,
    /// The one that the key of a request leads to.
    Hash(HashOn),
}

/// `upstreams.NAME.hash_on`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// What the request says of its client.
    Client(ClientKey),
    /// `attribute:NAME`, which a plugin left.
    Attribute(Box<str>),
}

/// `upstreams.NAME.sticky`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The name of the cookie.
    pub cookie: String,
    /// How long a client keeps it, in whole seconds; `None`: for its session.
    pub ttl: Option<Duration>,
    /// Whether it goes over TLS alone; `None`: where the client asked over TLS.
    pub secure: Option<bool>,
    /// Whether it comes with requests that other sites cause.
    pub same_site: SameSite,
}

/// `SameSite` of a cookie (RFC 6265bis, section 4.1.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// With none.
    Strict,
    /// With those of links that are followed.
    Lax,
    /// With all.
    None,
}
