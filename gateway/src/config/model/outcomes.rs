//! Outcomes of a request to an upstream that `fallback` and `retry` are for.

use std::fmt;

use http::StatusCode;

use crate::message::error::{ErrorKind, Side};

/// A status, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failed {
    /// `502`
    Status(u16),
    /// `5xx`, as 5.
    Class(u16),
}

impl Failed {
    /// Whether a status is meant.
    pub fn is(self, status: StatusCode) -> bool {
        match self {
            Self::Status(code) => code == status.as_u16(),
            Self::Class(class) => class == status.as_u16() / 100,
        }
    }
}

/// An outcome of a request to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `connect`: no connection, or no endpoint to make one to.
    Connect,
    /// `reset`: it broke before the answer, or what came was no answer.
    Reset,
    /// `timeout`: no connection or no answer in time.
    Timeout,
    /// `breaker`: the upstream has as many requests as it may, or its breaker is open.
    Breaker,
    /// This status, of the upstream's answer or of the gateway's own in its place.
    Status(Failed),
}

impl fmt::Display for Outcome {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Reset => f.write_str("reset"),
            Self::Timeout => f.write_str("timeout"),
            Self::Breaker => f.write_str("breaker"),
            Self::Status(Failed::Status(code)) => write!(f, "{code}"),
            Self::Status(Failed::Class(class)) => write!(f, "{class}xx"),
        }
    }
}

/// `on`: a list of outcomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcomes(pub Vec<Outcome>);

impl Outcomes {
    /// Whether an answer of the upstream with this status is one of them.
    pub fn has_status(&self, status: StatusCode) -> bool {
        let is_it = |on: &Outcome| matches!(on, Outcome::Status(failed) if failed.is(status));
        self.0.iter().any(is_it)
    }

    /// As they are written.
    pub fn told(&self) -> String {
        let told: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        told.join(", ")
    }

    /// Whether a failure of the upstream, or of the way to it, is one of them, for which the gateway has this status.
    pub fn has_failure(&self, kind: ErrorKind, status: StatusCode) -> bool {
        let is_of_upstream = kind.side() == Side::Upstream || kind == ErrorKind::Deadline;
        let is_it = |on: &Outcome| match on {
            Outcome::Connect => matches!(
                kind,
                ErrorKind::Connect
                    | ErrorKind::ConnectTimeout
                    | ErrorKind::Tls
                    | ErrorKind::NoEndpoint
            ),
            Outcome::Reset => kind == ErrorKind::BadGateway,
            Outcome::Timeout => matches!(
                kind,
                ErrorKind::ConnectTimeout | ErrorKind::UpstreamTimeout | ErrorKind::Deadline
            ),
            Outcome::Breaker => matches!(kind, ErrorKind::Saturated | ErrorKind::BreakerOpen),
            Outcome::Status(failed) => failed.is(status),
        };
        is_of_upstream && self.0.iter().any(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_known_by_its_kind_or_by_its_status() {
        let has = |on, kind, status| {
            Outcomes(vec![on]).has_failure(kind, StatusCode::from_u16(status).unwrap())
        };
        let status = Outcome::Status(Failed::Class(5));
        assert!(has(Outcome::Connect, ErrorKind::ConnectTimeout, 504));
        assert!(has(Outcome::Connect, ErrorKind::Tls, 502));
        assert!(has(Outcome::Connect, ErrorKind::NoEndpoint, 503));
        assert!(!has(Outcome::Connect, ErrorKind::BadGateway, 502));
        assert!(has(Outcome::Timeout, ErrorKind::Deadline, 504));
        assert!(has(Outcome::Breaker, ErrorKind::Saturated, 503));
        assert!(has(Outcome::Breaker, ErrorKind::BreakerOpen, 503));
        assert!(has(status, ErrorKind::BadGateway, 502));
        // What is not the upstream's doing is none of its business.
        assert!(!has(status, ErrorKind::Plugin, 500));
        assert!(Outcomes(vec![status]).has_status(StatusCode::BAD_GATEWAY));
        assert!(!Outcomes(vec![status]).has_status(StatusCode::NOT_FOUND));
    }
}
