//! What holds requests back from an upstream that cannot take them.
//!
//! Closed, it counts how requests end. Once too many of them failed it opens: nothing is sent. After a while it is half
//! open: one request goes out, and how that ends closes or opens it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::Mutex;

use super::outcome::{Outcome, is_its_own};
use super::window::Window;
use crate::clock;
use crate::config::{self, Trip};
use crate::message::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;

/// The breaker of an upstream, over all workers.
#[derive(Debug)]
pub(super) struct Breaker {
    /// The name of the upstream.
    name: Arc<str>,
    pub(super) config: config::Breaker,
    metrics: Arc<UpstreamMetrics>,
    under_way: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed(Box<Window>),
    Open {
        until: Instant,
    },
    /// `probing`: the one request is under way.
    HalfOpen {
        probing: bool,
    },
}

/// In which state a breaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests go out.
    Closed,
    /// None does.
    Open,
    /// One does, to see.
    HalfOpen,
}

/// Why a request may not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The breaker is open for so long.
    Open(Duration),
    /// So many are under way as may be.
    Full(usize),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(left) => write!(f, "its breaker is open for {left:?} more"),
            Self::Full(most) => write!(
                f,
                "{most} requests are under way, as many as `breaker.max_requests` allows"
            ),
        }
    }
}

/// The right to send one request. It is under way until this is dropped.
pub struct Pass {
    of: Arc<Breaker>,
    since: Instant,
    /// It is the one that goes out half open.
    probe: bool,
    told: AtomicBool,
}

impl Breaker {
    pub(super) fn new(
        name: Arc<str>,
        config: config::Breaker,
        metrics: Arc<UpstreamMetrics>,
    ) -> Self {
        Self {
            name,
            state: Mutex::new(State::closed(config.trip.as_ref(), Instant::now())),
            config,
            metrics,
            under_way: AtomicUsize::new(0),
        }
    }

    /// In which state it is.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match *self.state.lock() {
            State::Closed(_) => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Until when it is open, if it is.
    pub(super) fn open_until(&self, now: Instant) -> Option<Instant> {
        match *self.state.lock() {
            State::Open { until } if now < until => Some(until),
            _ => None,
        }
    }

    /// Lets a request out.
    ///
    /// # Errors
    /// If it may not go out now.
    pub(super) fn admit(self: &Arc<Self>, now: Instant) -> Result<Arc<Pass>, Held> {
        let most = self.config.max_requests.unwrap_or(usize::MAX);
        let room = |count| (count < most).then_some(count + 1);
        if self.under_way.fetch_update(Relaxed, Relaxed, room).is_err() {
            self.metrics.held_back("max_requests");
            return Err(Held::Full(most));
        }
        // From here on the request is under way, and no more once this is dropped.
        let mut pass = Pass {
            of: self.clone(),
            since: now,
            probe: false,
            told: AtomicBool::new(false),
        };
        if self.config.trip.is_none() {
            // It never opens.
            return Ok(Arc::new(pass));
        }
        let mut state = self.state.lock();
        match &mut *state {
            State::Closed(_) => {}
            State::Open { until } if now < *until => {
                let left = *until - now;
                drop(state);
                self.metrics.held_back("breaker_open");
                return Err(Held::Open(left));
            }
            State::HalfOpen { probing: true } => {
                drop(state);
                self.metrics.held_back("breaker_open");
                return Err(Held::Open(Duration::ZERO));
            }
            half_open @ (State::Open { .. } | State::HalfOpen { .. }) => {
                *half_open = State::HalfOpen { probing: true };
                pass.probe = true;
            }
        }
        drop(state);
        Ok(Arc::new(pass))
    }

    /// A request ended, or was answered.
    fn ended(&self, failed: bool, probe: bool, now: Instant) {
        let Some(trip) = &self.config.trip else {
            return;
        };
        let mut state = self.state.lock();
        match &mut *state {
            State::Closed(window) => {
                window.add(now, 1, u64::from(failed));
                let (all, failures) = window.counts(now);
                if failed
                    && all >= trip.min_requests
                    && failures as f64 >= all as f64 * trip.failure_ratio
                {
                    *state = self.open(
                        trip,
                        now,
                        format_args!("{failures} of {all} requests failed"),
                    );
                }
            }
            State::HalfOpen { .. } if probe && failed => {
                *state = self.open(
                    trip,
                    now,
                    format_args!("the request that was let through failed"),
                );
            }
            State::HalfOpen { .. } if probe => {
                *state = State::closed(Some(trip), now);
                self.metrics.breaker(false);
                tracing::info!(upstream = %self.name, "the breaker is closed: requests go out");
            }
            // It was sent before.
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
    }

    #[cold]
    fn open(&self, trip: &Trip, now: Instant, why: fmt::Arguments<'_>) -> State {
        self.metrics.breaker(true);
        tracing::warn!(upstream = %self.name, "the breaker opens for {:?}: {why}", trip.open_for);
        State::Open {
            until: now + trip.open_for,
        }
    }
}

impl State {
    fn closed(trip: Option<&Trip>, now: Instant) -> Self {
        let span = trip.map_or(Duration::from_secs(1), |trip| trip.window);
        Self::Closed(Box::new(Window::new(span, now)))
    }
}

impl BreakerState {
    /// As the admin listener names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Pass {
    /// The request ended so, or was answered. What a client or a plugin did wrong says nothing.
    pub(super) fn ended(&self, outcome: Outcome) {
        let now = clock::now();
        let failed = match outcome {
            Outcome::Answered(status) => {
                status >= StatusCode::INTERNAL_SERVER_ERROR || self.is_slow(now)
            }
            Outcome::Failed(ErrorKind::Saturated) => return,
            Outcome::Failed(kind) if is_its_own(kind) || kind == ErrorKind::Deadline => true,
            Outcome::Failed(_) => return,
        };
        self.told.store(true, Relaxed);
        self.of.ended(failed, self.probe, now);
    }

    fn is_slow(&self, now: Instant) -> bool {
        let slow = self.of.config.trip.and_then(|trip| trip.slow);
        slow.is_some_and(|slow| now.saturating_duration_since(self.since) > slow)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.of.under_way.fetch_sub(1, Relaxed);
        if self.probe && !self.told.load(Relaxed) {
            // It says nothing: the next one is let through.
            let mut state = self.of.state.lock();
            if let State::HalfOpen { probing } = &mut *state {
                *probing = false;
            }
        }
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    const OK: Outcome = Outcome::Answered(StatusCode::OK);
    const BROKEN: Outcome = Outcome::Failed(ErrorKind::BadGateway);

    fn breaker(max_requests: Option<usize>) -> Arc<Breaker> {
        let trip = Trip {
            failure_ratio: 0.5,
            window: Duration::from_secs(3600),
            min_requests: 4,
            open_for: Duration::from_secs(5),
            slow: None,
        };
        let config = config::Breaker {
            max_requests,
            trip: Some(trip),
        };
        let metrics = Metrics::new(1).upstream("test");
        Arc::new(Breaker::new("test".into(), config, metrics))
    }

    fn send(breaker: &Arc<Breaker>, outcome: Outcome, now: Instant) {
        breaker.admit(now).unwrap().ended(outcome);
    }

    fn opened(breaker: &Arc<Breaker>, now: Instant) {
        for outcome in [OK, OK, BROKEN] {
            send(breaker, outcome, now);
            assert_eq!(breaker.state(now), BreakerState::Closed);
        }
        send(breaker, BROKEN, now);
        assert_eq!(breaker.state(now), BreakerState::Open);
    }

    #[test]
    fn it_opens_at_the_ratio_probes_once_and_closes_or_opens_again() {
        let now = Instant::now();
        let breaker = breaker(None);
        opened(&breaker, now);
        assert!(matches!(breaker.admit(now), Err(Held::Open(_))));
        let later = Instant::now() + Duration::from_secs(6);
        let probe = breaker.admit(later).unwrap();
        assert_eq!(
            breaker.admit(later).unwrap_err(),
            Held::Open(Duration::ZERO)
        );
        probe.ended(BROKEN);
        assert_eq!(breaker.state(Instant::now()), BreakerState::Open);
        let probe = breaker.admit(later).unwrap();
        probe.ended(OK);
        assert_eq!(breaker.state(later), BreakerState::Closed);
        assert!(breaker.admit(later).is_ok());
    }

    #[test]
    fn a_probe_that_says_nothing_makes_way_for_the_next() {
        let breaker = breaker(None);
        opened(&breaker, Instant::now());
        let later = Instant::now() + Duration::from_secs(6);
        let probe = breaker.admit(later).unwrap();
        probe.ended(Outcome::Failed(ErrorKind::ClientClosed));
        drop(probe);
        send(&breaker, OK, later);
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn no_more_are_under_way_than_may_be() {
        let breaker = breaker(Some(1));
        let now = Instant::now();
        let pass = breaker.admit(now).unwrap();
        assert_eq!(breaker.admit(now).unwrap_err(), Held::Full(1));
        drop(pass);
        assert!(breaker.admit(now).is_ok());
    }
}
