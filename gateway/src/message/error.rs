//! The one vocabulary of failure: in the access log, the metrics and the spans. docs/errors.md has its table.

use std::fmt;

use http::StatusCode;

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client's request or behaviour.
    Client,
    /// The upstream's, or the way to it.
    Upstream,
    /// A plugin's.
    Plugin,
    /// The gateway's own, or its configuration's.
    Gateway,
}

/// Why the fallback of a route answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The upstream had no answer.
    Failure(ErrorKind),
    /// Its answer had this status.
    Status(StatusCode),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure(kind) => f.write_str(kind.name()),
            Self::Status(status) => f.write_str(status.as_str()),
        }
    }
}

/// Why an exchange or a sub-request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request breaks a rule of HTTP, or one of the gateway's guards.
    Refused,
    /// The head of the request is longer than the endpoint says that it takes.
    HeadTooLong,
    /// No route matches.
    NoRoute,
    /// Every plugin of a route without upstream let the request pass.
    NoAnswer,
    /// The route's `rewrite` or `redirect` made what may not leave.
    BadRewrite,
    /// The request body is larger than it may be.
    BodyTooLarge,
    /// The client was too slow with its body.
    BodyTimeout,
    /// The client's body broke off or was not well formed.
    BodyBroken,
    /// The client went away before it had the whole answer.
    ClientClosed,
    /// Requests of gateways to themselves are nested too deep.
    Loop,
    /// No connection to the upstream.
    Connect,
    /// No connection to the upstream in time.
    ConnectTimeout,
    /// No TLS with the upstream: one of both does not accept what the other shows or speaks. Nothing was sent.
    Tls,
    /// No endpoint of the upstream takes requests.
    NoEndpoint,
    /// Every connection that the upstream's pool allows is taken.
    Saturated,
    /// The upstream's breaker is open: too many requests to it failed.
    BreakerOpen,
    /// The upstream's answer was not HTTP, or it closed the connection before it answered.
    BadGateway,
    /// The head of the upstream's answer did not come in time.
    UpstreamTimeout,
    /// The body of the upstream's answer broke off, paused for too long, or was not well formed.
    ResponseBroken,
    /// A response body is larger than a plugin may hold.
    ResponseTooLarge,
    /// The exchange as a whole took too long.
    Deadline,
    /// A plugin failed, and its `on_error` is `closed`.
    Plugin,
    /// There was no memory for a plugin's call in time.
    NoRoom,
    /// A tunnel broke off.
    UpgradeBroken,
    /// Nothing moved in a tunnel for too long.
    Idle,
}

impl ErrorKind {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::Refused,
        Self::HeadTooLong,
        Self::NoRoute,
        Self::NoAnswer,
        Self::BadRewrite,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::BodyBroken,
        Self::ClientClosed,
        Self::Loop,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::NoEndpoint,
        Self::Saturated,
        Self::BreakerOpen,
        Self::BadGateway,
        Self::UpstreamTimeout,
        Self::ResponseBroken,
        Self::ResponseTooLarge,
        Self::Deadline,
        Self::Plugin,
        Self::NoRoom,
        Self::UpgradeBroken,
        Self::Idle,
    ];

    /// Its name in access log, metrics and spans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::HeadTooLong => "head_too_long",
            Self::NoRoute => "no_route",
            Self::NoAnswer => "no_answer",
            Self::BadRewrite => "bad_rewrite",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyBroken => "body_broken",
            Self::ClientClosed => "client_closed",
            Self::Loop => "loop",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::NoEndpoint => "no_endpoint",
            Self::Saturated => "saturated",
            Self::BreakerOpen => "breaker_open",
            Self::BadGateway => "bad_gateway",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::ResponseBroken => "response_broken",
            Self::ResponseTooLarge => "response_too_large",
            Self::Deadline => "deadline",
            Self::Plugin => "plugin",
            Self::NoRoom => "no_room",
            Self::UpgradeBroken => "upgrade_broken",
            Self::Idle => "idle",
        }
    }

    /// Whose fault it is.
    pub const fn side(self) -> Side {
        match self {
            Self::Refused
            | Self::HeadTooLong
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::BodyBroken
            | Self::ClientClosed => Side::Client,
            Self::Connect
            | Self::ConnectTimeout
            | Self::Tls
            | Self::NoEndpoint
            | Self::Saturated
            | Self::BreakerOpen
            | Self::BadGateway
            | Self::UpstreamTimeout
            | Self::ResponseBroken => Side::Upstream,
            Self::ResponseTooLarge | Self::Plugin => Side::Plugin,
            Self::NoRoute
            | Self::NoAnswer
            | Self::BadRewrite
            | Self::Loop
            | Self::Deadline
            | Self::NoRoom
            | Self::UpgradeBroken
            | Self::Idle => Side::Gateway,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_once_by_a_name_of_its_own() {
        for (index, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index);
            let same = ErrorKind::ALL
                .iter()
                .filter(|other| other.name() == kind.name());
            assert_eq!(same.count(), 1, "{kind:?}");
        }
    }

    #[test]
    fn the_documentation_has_a_row_for_every_kind_and_no_other() {
        let page = include_str!("../../../docs/errors.md");
        let row = |line: &str| {
            line.strip_prefix("| `")?
                .split('`')
                .next()
                .map(str::to_owned)
        };
        let rows: Vec<_> = page.lines().filter_map(row).collect();
        let names: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(rows, names);
    }
}
