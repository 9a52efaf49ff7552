//! `[upstreams.NAME]`, and how the rest of a configuration names one.

use std::sync::Arc;
use std::time::Duration;

use super::balance::{Balance, Sticky};
use super::breaker::Breaker;
use super::named::Named;
use super::upstream_tls::UpstreamTls;
use super::{Health, Outlier};
use crate::message::target::Target;

/// An upstream of a configuration, by index into [`Config::upstreams`](crate::config::Config::upstreams).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamId(pub usize);

/// The protocol of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    H1,
    /// HTTP/2 with prior knowledge, or by ALPN over TLS.
    H2,
    /// What the endpoint chooses by ALPN, over TLS.
    Auto,
}

impl Protocol {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::Auto => "auto",
        }
    }
}

/// `[upstreams.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// What is spoken to it.
    pub protocol: Protocol,
    /// TLS; in clear text without.
    pub tls: Option<UpstreamTls>,
    /// Whether its endpoints are gateways of the fleet.
    pub gateway: bool,
    /// Those with addresses; at least one, if there is no name.
    pub endpoints: Vec<Endpoint>,
    /// How requests are spread over them.
    pub balance: Balance,
    /// The cookie that keeps a client on its endpoint, if there is one.
    pub sticky: Option<Box<Sticky>>,
    /// Names of others.
    pub names: Vec<Named>,
    /// Connecting (1 s).
    pub connect_timeout: Duration,
    /// From the request sent to the head of the response (15 s).
    pub first_byte_timeout: Duration,
    /// Between two pieces of the response body (60 s).
    pub idle_timeout: Duration,
    /// Between two pieces of what goes through a tunnel; none: `idle_timeout`.
    pub tunnel_timeout: Option<Duration>,
    /// The keep-alive pool.
    pub pool: Pool,
    /// What holds requests back, beside `max_pending`.
    pub breaker: Option<Breaker>,
    /// Requests that may wait for a connection of a full pool (1,024).
    pub max_pending: usize,
    /// Whether it reads the body of every request to its end, whatever the method (false).
    pub reads_bodies: bool,
    /// How its endpoints are asked whether they are well; none: they are not.
    pub health: Option<Health>,
    /// When an endpoint is ejected; none: never.
    pub outlier: Option<Outlier>,
}

impl Upstream {
    /// Its endpoints as they are configured, for people.
    pub fn places(&self) -> Vec<String> {
        let endpoints = self.endpoints.iter().map(|it| it.target.to_string());
        let names = self.names.iter().map(ToString::to_string);
        endpoints.chain(names).collect()
    }

    /// What stands for its endpoints as a `Host`, for people.
    pub fn hosts(&self) -> String {
        let endpoints = self.endpoints.iter().map(|it| match it.target.tcp() {
            Some(address) => address.to_string(),
            None => "localhost".to_owned(),
        });
        let names = self.names.iter().map(ToString::to_string);
        let mut hosts: Vec<_> = endpoints.chain(names).collect();
        hosts.dedup();
        hosts.join(" or ")
    }
}

/// One of `upstreams.NAME.endpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub target: Target,
    /// Its share of the requests, against those of the others (1).
    pub weight: u16,
    /// Whether it is for when no other can be asked (false).
    pub backup: bool,
}

impl From<Target> for Endpoint {
    /// One like all others.
    fn from(target: Target) -> Self {
        Self {
            target,
            weight: 1,
            backup: false,
        }
    }
}

/// `upstreams.NAME.pool`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Idle connections a worker keeps per endpoint (64).
    pub idle_per_worker: usize,
    /// How long one may idle (60 s).
    pub idle_timeout: Duration,
    /// Open connections over all workers (1,024); beyond it requests wait.
    pub max_connections: usize,
}
