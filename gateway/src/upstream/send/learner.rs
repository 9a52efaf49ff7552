//! Who learns how an attempt ends: the endpoint, and the breaker of its upstream.
//!
//! An endpoint answers for the time that it had the whole request and was silent. What its client took to send it, and
//! what it waited for a place in the pool, is not the endpoint's.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;

use super::outcome::{Outcome, is_its_own, is_of_request};
use crate::clock;
use crate::message::error::ErrorKind;
use crate::upstream::breaker::Pass;
use crate::upstream::endpoint::{Endpoint, Picked};
use crate::upstream::error::SendError;
use crate::upstream::times::{Silence, Times};

/// Who learns how an attempt ends. Dropped before, nobody waits for it any more.
pub(super) struct Learner<'a> {
    times: &'a Times<'a>,
    endpoint: Arc<Endpoint>,
    pass: Option<Arc<Pass>>,
    pub(in crate::upstream) silence: Silence,
    told: bool,
}

impl<'a> Learner<'a> {
    #[inline]
    pub(in crate::upstream) fn new(times: &'a Times<'a>, picked: &Picked) -> Self {
        Self {
            times,
            endpoint: picked.endpoint().clone(),
            pass: picked.pass().cloned(),
            silence: Silence::Elsewhere,
            told: false,
        }
    }

    /// The head of an answer came. One that comes before the request is whole has no latency.
    #[inline]
    pub(in crate::upstream) fn answered(mut self, status: StatusCode) {
        self.told = true;
        self.endpoint.ended(Outcome::Answered(status));
        let lasts = self.silence.lasts(clock::now());
        if let Some(took) = lasts {
            self.endpoint.took(took);
        }
        if let Some(pass) = &self.pass
            && !is_of_request(status)
        {
            let is_slow = lasts.is_some_and(|took| pass.is_slow(took));
            pass.answered(status >= StatusCode::INTERNAL_SERVER_ERROR || is_slow);
        }
    }

    /// None will come.
    #[cold]
    pub(in crate::upstream) fn failed(mut self, error: SendError) -> SendError {
        self.told = true;
        self.tell(error.kind, error.sent, error.blameless);
        error
    }

    fn tell(&self, kind: ErrorKind, sent: bool, blameless: bool) {
        let is_cut_off = self.times.cut_off(kind);
        let now = Instant::now();
        let is_blamed = match is_cut_off {
            _ if blameless => false,
            true => sent && self.is_overdue(now),
            false => is_its_own(kind),
        };
        match is_cut_off || blameless {
            true => self.endpoint.cut_off(kind, is_blamed),
            false => self.endpoint.ended(Outcome::Failed(kind)),
        }
        let Some(pass) = &self.pass else { return };
        let lasts = self.silence.lasts(now);
        let is_slow = is_cut_off && lasts.is_some_and(|lasts| pass.is_slow(lasts));
        if (is_blamed || is_slow) && kind != ErrorKind::Saturated {
            pass.failed();
        }
    }

    /// Whether a limit that ends the attempt is one that the endpoint had nearly all of.
    fn is_overdue(&self, now: Instant) -> bool {
        let whole = now.saturating_duration_since(self.times.now);
        let lasts = self.silence.lasts(now);
        lasts.is_some_and(|lasts| lasts * 10 >= whole * 9)
    }

    /// Nobody waits any more: the client left, or the time of who asked is over.
    #[cold]
    fn abandoned(&self) {
        let Some(lasts) = self.silence.lasts(Instant::now()) else {
            return;
        };
        if let Some(kind) = self.times.over() {
            return self.tell(kind, true, false);
        }
        self.endpoint.cut_off(ErrorKind::ClientClosed, false);
        if let Some(pass) = &self.pass
            && pass.is_slow(lasts)
        {
            pass.failed();
        }
    }
}

impl Drop for Learner<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.told {
            self.abandoned();
        }
    }
}
