//! Who learns how an attempt at an endpoint ended: its counters, what ejects it, and the breaker of its upstream.

use std::time::Duration;

use super::endpoint::{Endpoint, Picked};
use super::outcome::{Outcome, is_its_own};
use crate::message::error::ErrorKind;

impl Endpoint {
    /// An attempt at it ended so.
    #[inline]
    pub(super) fn ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Answered(status) => {
                self.counts.answered(status);
                if self.of.judge.counts() {
                    match status.is_server_error() {
                        true => self.failed(&self.failures.requests, status.as_str()),
                        false => self.failures.requests.end(),
                    }
                }
            }
            Outcome::Failed(kind) if is_its_own(kind) => {
                self.counts.failure(kind);
                match kind {
                    ErrorKind::Connect
                    | ErrorKind::ConnectTimeout
                    | ErrorKind::BadGateway
                    | ErrorKind::UpstreamTimeout => {
                        self.failed(&self.failures.requests, kind.name())
                    }
                    ErrorKind::ResponseBroken => self.failed(&self.failures.bodies, kind.name()),
                    // That the gateway's own limits end it does not say whose fault it is.
                    _ => {}
                }
            }
            Outcome::Failed(_) => {}
        }
    }

    /// The head of an answer took so long.
    #[inline]
    pub(super) fn took(&self, latency: Duration) {
        self.counts.took(latency);
    }

    /// The exchange was over before it answered a request that it had whole.
    #[cold]
    pub(super) fn was_late(&self) {
        self.failed(&self.failures.requests, ErrorKind::Deadline.name());
    }

    /// An answer of it came whole.
    #[inline]
    pub(super) fn finished(&self) {
        if self.of.judge.counts() {
            self.failures.bodies.end();
        }
    }
}

impl Picked {
    /// The attempt ended so.
    pub(super) fn ended(&self, outcome: Outcome) {
        self.endpoint().ended(outcome);
        if let Some(pass) = self.pass() {
            pass.ended(outcome);
        }
    }
}
