//! When things happen to a request, and how long each may take.

mod silence;
mod timer;

use std::time::{Duration, Instant};

use http::StatusCode;

use super::error::SendError;
use crate::config::{RouteTimeouts, Upstream};
use crate::message::error::ErrorKind;

pub(super) use silence::{Follows, Silence};
pub(super) use timer::Timer;

/// When things happen.
#[derive(Debug, Clone, Copy)]
pub struct Times<'a> {
    /// Now.
    pub now: Instant,
    /// When the exchange as a whole must be over.
    pub deadline: Option<Instant>,
    /// When this attempt must have the head of its answer.
    pub patience: Option<Instant>,
    /// What the route says in the place of the upstream's `timeouts`.
    pub own: Option<&'a RouteTimeouts>,
}

/// When an attempt is over, whatever the endpoint does, and what it is then.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) at: Instant,
    /// A deadline, or an answer that is late for this attempt.
    pub(super) kind: ErrorKind,
}

impl Times<'_> {
    /// From now on, with no limits but those of the upstream.
    pub fn new(now: Instant) -> Self {
        Self {
            now,
            deadline: None,
            patience: None,
            own: None,
        }
    }

    /// The same, for an attempt that is over then.
    pub fn until(self, patience: Instant) -> Self {
        let patience = Some(patience);
        Self { patience, ..self }
    }

    /// When it is over, by the deadline of the exchange or the patience of this attempt.
    #[inline]
    pub(super) fn end(&self) -> Option<End> {
        let kind = ErrorKind::Deadline;
        let deadline = self.deadline.map(|at| End { at, kind });
        match (deadline, self.patience) {
            (Some(deadline), Some(at)) if deadline.at <= at => Some(deadline),
            (_, Some(at)) => Some(End {
                at,
                kind: ErrorKind::UpstreamTimeout,
            }),
            (deadline, None) => deadline,
        }
    }

    /// Which end of it is over by now.
    pub(super) fn over(&self) -> Option<ErrorKind> {
        let end = self.end().filter(|end| end.at <= Instant::now());
        end.map(|end| end.kind)
    }

    /// The same from now on, as a body has begun: the time that its client took for that is none of the endpoint's.
    pub(super) fn begun(self, now: Instant) -> Self {
        let taken = now.saturating_duration_since(self.now);
        let patience = self.patience.map(|patience| patience + taken);
        Self {
            now,
            patience,
            ..self
        }
    }

    /// How long the head of an answer may take, from when the request is out or last moved, over a connection that is
    /// there since then; and when it is over however the request moves. Where a body streams, each piece of it may be
    /// late by its client's doing.
    #[inline]
    pub(super) fn answer(
        &self,
        upstream: &Upstream,
        since: Instant,
        streams: bool,
    ) -> (Duration, Option<End>) {
        let limit = self.first_byte(upstream);
        match self.patience {
            Some(patience) if streams => {
                let without = Times {
                    patience: None,
                    ..*self
                };
                let left = patience.saturating_duration_since(since);
                (limit.min(left), without.end())
            }
            _ => (limit, self.end()),
        }
    }

    /// A failure to connect, by one that waited for its place in the pool before: what was left of its time was less than
    /// an endpoint has.
    #[cold]
    pub(super) fn excused(&self, error: SendError) -> SendError {
        match self.over() {
            Some(_) if error.kind == ErrorKind::ConnectTimeout => error.blameless(),
            _ => error,
        }
    }

    /// Whether a failure of this kind is what a limit of the route makes of an attempt, whatever the endpoint did.
    pub(super) fn cut_off(&self, kind: ErrorKind) -> bool {
        let is_over = || self.patience.is_some_and(|over| over <= Instant::now());
        kind == ErrorKind::Deadline || kind == ErrorKind::UpstreamTimeout && is_over()
    }

    /// How long a request waits for a connection.
    pub(super) fn connect(&self, upstream: &Upstream) -> Duration {
        let own = self.own.and_then(|own| own.connect);
        own.unwrap_or(upstream.connect_timeout)
    }

    /// How long it waits for the head of the response.
    pub fn first_byte(&self, upstream: &Upstream) -> Duration {
        let own = self.own.and_then(|own| own.first_byte);
        own.unwrap_or(upstream.first_byte_timeout)
    }

    /// How long it waits for the next piece of the body of the response.
    pub(super) fn idle(&self, upstream: &Upstream) -> Duration {
        let own = self.own.and_then(|own| own.idle);
        own.unwrap_or(upstream.idle_timeout)
    }

    /// How long what follows the head of an answer may pause: its body, or the tunnel behind a 101.
    #[inline]
    pub(super) fn pause(&self, status: StatusCode, upstream: &Upstream) -> Duration {
        match status {
            StatusCode::SWITCHING_PROTOCOLS => self.tunnel(upstream),
            _ => self.idle(upstream),
        }
    }

    /// How long a tunnel may be without a byte either way: as long as a response, unless it has a time of its own.
    #[cold]
    fn tunnel(&self, upstream: &Upstream) -> Duration {
        let own = self.own.and_then(|own| own.tunnel);
        own.or(upstream.tunnel_timeout)
            .unwrap_or_else(|| self.idle(upstream))
    }
}
