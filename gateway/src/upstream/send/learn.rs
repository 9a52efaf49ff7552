//! Who learns how an attempt at an endpoint ended: its counters, what ejects it, and the breaker of its upstream.

use std::time::Duration;

use super::outcome::{Outcome, is_its_own, is_of_request};
use crate::message::error::ErrorKind;
use crate::upstream::endpoint::{Endpoint, Picked};

impl Endpoint {
    /// An attempt at it ended so.
    #[inline]
    pub(in crate::upstream) fn ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Answered(status) => {
                self.counts.answered(status);
                if self.of.judge.counts() && !is_of_request(status) {
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

    /// A limit of the route, or the client, ended an attempt at it, for which it may be to `blame`.
    #[cold]
    pub(in crate::upstream) fn cut_off(&self, kind: ErrorKind, blame: bool) {
        self.counts.failure(kind);
        if blame {
            self.failed(&self.failures.requests, kind.name());
        }
    }

    /// The head of an answer took so long.
    #[inline]
    pub(in crate::upstream) fn took(&self, latency: Duration) {
        self.counts.took(latency);
    }

    /// An answer of it came whole.
    #[inline]
    pub(in crate::upstream) fn finished(&self) {
        if self.of.judge.counts() {
            self.failures.bodies.end();
        }
    }
}

impl Picked {
    /// There is no whole answer.
    #[cold]
    pub(in crate::upstream) fn failed(&self, kind: ErrorKind) {
        self.endpoint().ended(Outcome::Failed(kind));
        if let Some(pass) = self.pass()
            && is_its_own(kind)
        {
            pass.failed();
        }
    }

    /// The answer came whole.
    #[inline]
    pub(in crate::upstream) fn finished(&self) {
        self.endpoint().finished();
        if let Some(pass) = self.pass() {
            pass.finished();
        }
    }
}
