//! What holds requests back from an upstream that cannot take them.
//!
//! Closed, it counts how requests end. Once too many of them failed it opens: nothing is sent. After a while it is half
//! open: one request goes out, the probe, and how that ends closes or opens it.

mod budget;
mod held;
mod pass;
mod under_way;
mod window;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::{self, Trip};
use crate::telemetry::metrics::UpstreamMetrics;
use window::Window;

pub(super) use budget::Budget;
pub use held::{BreakerState, Held};
pub use pass::Pass;
pub(super) use under_way::UnderWay;

/// How long a probe may keep all others waiting, at most: a client may send its body, or read the answer, as slowly as
/// it likes.
const PROBE: Duration = Duration::from_secs(10);

/// The breaker of an upstream, over all workers.
#[derive(Debug)]
pub(super) struct Breaker {
    /// The name of the upstream.
    name: Arc<str>,
    pub(super) config: config::Breaker,
    metrics: Arc<UpstreamMetrics>,
    /// Of the upstream: it is counted on by the breaker that a reload puts in the place of this one.
    under_way: Arc<UnderWay>,
    /// How many probes there were.
    probes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed(Box<Window>),
    Open {
        until: Instant,
    },
    /// With the probe, if it is under way.
    HalfOpen(Option<Probe>),
    /// No configuration has it any more: requests of before go out, and count no more.
    Retired,
}

/// The request that is let through.
#[derive(Debug)]
struct Probe {
    number: u64,
    since: Instant,
    /// Whether its body is its client's to send.
    streams: bool,
    /// Whether it has the head of an answer that is no failure.
    is_well: bool,
}

impl Breaker {
    pub(super) fn new(
        name: Arc<str>,
        config: config::Breaker,
        metrics: Arc<UpstreamMetrics>,
        under_way: Arc<UnderWay>,
    ) -> Self {
        Self {
            name,
            state: Mutex::new(State::closed(config.trip.as_ref(), Instant::now())),
            config,
            metrics,
            under_way,
            probes: AtomicU64::new(0),
        }
    }

    /// In which state it is.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match *self.state.lock() {
            State::Closed(_) | State::Retired => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen(_) => BreakerState::HalfOpen,
        }
    }

    /// Until when it is open, if it is.
    pub(super) fn open_until(&self, now: Instant) -> Option<Instant> {
        match *self.state.lock() {
            State::Open { until } if now < until => Some(until),
            _ => None,
        }
    }

    /// Lets a request out, which is under way until [`Self::leaves`]; its number, if it is a probe. `whole` says that
    /// nothing of it is still to come from its client.
    ///
    /// # Errors
    /// If it may not go out now.
    pub(super) fn admit(&self, now: Instant, whole: bool) -> Result<Option<u64>, Held> {
        let most = self.config.max_requests;
        if !self.under_way.enter(most) {
            self.metrics.held_back("max_requests");
            return Err(Held::Full(most.unwrap_or(usize::MAX)));
        }
        let Some(trip) = &self.config.trip else {
            // It never opens.
            return Ok(None);
        };
        let mut probe = None;
        let mut state = self.state.lock();
        let held = match &mut *state {
            State::Closed(_) | State::Retired => None,
            State::Open { until } if now < *until => Some(Held::Open(*until - now)),
            State::HalfOpen(Some(first)) if !first.makes_way(trip, now, whole) => {
                Some(Held::HalfOpen)
            }
            // Its answer is one that never ends, or that its client does not read.
            State::HalfOpen(Some(first)) if first.is_well => {
                *state = self.close(trip, now);
                None
            }
            half_open @ (State::Open { .. } | State::HalfOpen(_)) => {
                let number = self.probes.fetch_add(1, Relaxed);
                *half_open = State::HalfOpen(Some(Probe {
                    number,
                    since: now,
                    streams: !whole,
                    is_well: false,
                }));
                probe = Some(number);
                None
            }
        };
        drop(state);
        match held {
            None => Ok(probe),
            Some(held) => {
                self.leaves(None);
                self.metrics.held_back("breaker_open");
                Err(held)
            }
        }
    }

    /// A request ended, or was answered. `more` is false where it was counted before, as one that did not fail.
    pub(super) fn ended(&self, failed: bool, more: bool, probe: bool, now: Instant) {
        let Some(trip) = &self.config.trip else {
            return;
        };
        let mut state = self.state.lock();
        match &mut *state {
            State::Closed(window) => {
                window.add(now, u64::from(more), u64::from(failed));
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
            State::HalfOpen(_) if probe && failed => {
                *state = self.open(
                    trip,
                    now,
                    format_args!("the request that was let through failed"),
                );
            }
            State::HalfOpen(_) if probe => *state = self.close(trip, now),
            // It was sent before, or counts no more.
            State::Open { .. } | State::HalfOpen(_) | State::Retired => {}
        }
    }

    /// The probe of this number has the head of an answer that is no failure.
    pub(super) fn is_well(&self, number: u64) {
        if let State::HalfOpen(Some(probe)) = &mut *self.state.lock()
            && probe.number == number
        {
            probe.is_well = true;
        }
    }

    /// A request is under way no more; with the number of the probe that it was, if it says nothing.
    pub(super) fn leaves(&self, silent: Option<u64>) {
        self.under_way.leave();
        let Some(number) = silent else { return };
        let mut state = self.state.lock();
        if let State::HalfOpen(probe) = &mut *state
            && probe.as_ref().is_some_and(|probe| probe.number == number)
        {
            // The next one is let through.
            *probe = None;
        }
    }

    /// Over how long it counts.
    pub(super) fn window(&self) -> Duration {
        self.config.trip.map_or(Duration::ZERO, |trip| trip.window)
    }

    /// From when on an answer is slow.
    pub(super) fn slow(&self) -> Option<Duration> {
        self.config.trip?.slow
    }

    /// No configuration has it any more.
    pub(super) fn retire(&self) {
        let retired = std::mem::replace(&mut *self.state.lock(), State::Retired);
        if matches!(retired, State::Open { .. } | State::HalfOpen(_)) {
            self.metrics.breaker(false);
            tracing::info!(upstream = %self.name, "the breaker is closed: the configuration has it no more");
        }
    }

    fn close(&self, trip: &Trip, now: Instant) -> State {
        self.metrics.breaker(false);
        tracing::info!(upstream = %self.name, "the breaker is closed: requests go out");
        State::closed(Some(trip), now)
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

impl Probe {
    /// Whether another request is let through beside it: it takes too long, or waits for its client, and that one does
    /// not.
    fn makes_way(&self, trip: &Trip, now: Instant, whole: bool) -> bool {
        let patience = trip.open_for.min(PROBE);
        now.saturating_duration_since(self.since) >= patience
            || self.streams && whole && !self.is_well
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

#[cfg(test)]
mod tests {
    use super::pass::Pass;
    use super::*;
    use crate::telemetry::metrics::Metrics;

    const OK: bool = true;
    const BROKEN: bool = false;

    #[test]
    fn who_is_held_back_while_another_tries_is_told_so_and_not_for_how_long() {
        let (open, half) = (
            Held::Open(Duration::from_nanos(4_999_895_558)),
            Held::Open(Duration::ZERO),
        );
        assert_eq!(open.to_string(), "its breaker is open for 5s more");
        assert!(half.to_string().contains("half open"), "{half}");
    }

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
        Arc::new(Breaker::new("test".into(), config, metrics, Arc::default()))
    }

    fn admit(breaker: &Arc<Breaker>, now: Instant) -> Result<Arc<Pass>, Held> {
        Pass::of(breaker, now, true)
    }

    fn end(pass: &Pass, is_ok: bool) {
        match is_ok {
            true => {
                pass.answered(false);
                pass.finished();
            }
            false => pass.failed(),
        }
    }

    fn send(breaker: &Arc<Breaker>, is_ok: bool, now: Instant) {
        end(&admit(breaker, now).unwrap(), is_ok);
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
        assert!(matches!(admit(&breaker, now), Err(Held::Open(_))));
        let later = Instant::now() + Duration::from_secs(6);
        let probe = admit(&breaker, later).unwrap();
        assert_eq!(admit(&breaker, later).unwrap_err(), Held::HalfOpen);
        end(&probe, BROKEN);
        assert_eq!(breaker.state(Instant::now()), BreakerState::Open);
        let probe = admit(&breaker, later).unwrap();
        end(&probe, OK);
        assert_eq!(breaker.state(later), BreakerState::Closed);
        assert!(admit(&breaker, later).is_ok());
    }

    #[test]
    fn a_probe_that_says_nothing_makes_way_for_the_next() {
        let breaker = breaker(None);
        opened(&breaker, Instant::now());
        let later = Instant::now() + Duration::from_secs(6);
        let probe = admit(&breaker, later).unwrap();
        drop(probe);
        send(&breaker, OK, later);
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn no_more_are_under_way_than_may_be() {
        let breaker = breaker(Some(1));
        let now = Instant::now();
        let pass = admit(&breaker, now).unwrap();
        assert_eq!(admit(&breaker, now).unwrap_err(), Held::Full(1));
        drop(pass);
        assert!(admit(&breaker, now).is_ok());
    }

    #[test]
    fn the_whole_answer_of_a_probe_decides_and_one_that_never_ends_by_its_head() {
        let breaker = breaker(None);
        opened(&breaker, Instant::now());
        let later = Instant::now() + Duration::from_secs(6);
        let probe = admit(&breaker, later).unwrap();
        probe.answered(false);
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        probe.failed();
        assert_eq!(breaker.state(Instant::now()), BreakerState::Open);
        let endless = admit(&breaker, later).unwrap();
        endless.answered(false);
        assert_eq!(admit(&breaker, later).unwrap_err(), Held::HalfOpen);
        assert!(admit(&breaker, later + Duration::from_secs(5)).is_ok());
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn a_probe_that_waits_for_its_client_holds_back_no_request_that_is_whole() {
        let breaker = breaker(None);
        opened(&breaker, Instant::now());
        let later = Instant::now() + Duration::from_secs(6);
        let slow = Pass::of(&breaker, later, false).unwrap();
        assert_eq!(
            Pass::of(&breaker, later, false).unwrap_err(),
            Held::HalfOpen
        );
        let whole = admit(&breaker, later).unwrap();
        assert_eq!(admit(&breaker, later).unwrap_err(), Held::HalfOpen);
        // It says nothing, and is not the one that is waited for.
        drop(slow);
        assert_eq!(admit(&breaker, later).unwrap_err(), Held::HalfOpen);
        end(&whole, OK);
        assert_eq!(breaker.state(later), BreakerState::Closed);
        // What takes too long makes way in time.
        opened(&breaker, Instant::now());
        let _slow = Pass::of(&breaker, later, false).unwrap();
        assert!(Pass::of(&breaker, later + Duration::from_secs(5), false).is_ok());
    }

    #[test]
    fn a_broken_body_is_one_outcome() {
        let (breaker, now) = (breaker(None), Instant::now());
        for _ in 0..4 {
            let pass = admit(&breaker, now).unwrap();
            pass.answered(false);
            pass.failed();
            pass.failed();
        }
        assert_eq!(breaker.state(now), BreakerState::Open);
        breaker.retire();
        assert!(admit(&breaker, now).is_ok(), "of before");
    }
}
