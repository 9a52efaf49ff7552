//! `retry` of a route: what is sent again where the upstream does not answer as it should.

use std::time::Duration;

use super::answer::Answer;
use super::attempt::{Try, Undelivered, Way, in_short};
use super::kept::Kept;
use super::report::attempted;
use crate::clock;
use crate::config::Retry;
use crate::exchange::Parts;
use crate::message::body::Outgoing;
use crate::message::error::ErrorKind;
use crate::upstream::{Again, Tried};

/// How much longer than the first pause the longest is.
const LONGEST: u32 = 10;

/// Sends a request, and again as its route says: to endpoints that it was not sent to, as long as there are any.
///
/// What an endpoint may have seen goes out again only with a method that the route lists and a body that is held. An
/// answer of the upstream is worth more than none: where a later attempt fails, the last answer stands, if it is [`Kept`].
pub(super) async fn send(
    retry: &Retry,
    way: Way<'_>,
    exchange: &mut Parts,
    mut body: Outgoing,
) -> Result<Answer, Box<Undelivered>> {
    let held = body.held();
    let mut tried = Tried::default();
    let mut last_answer = None;
    let mut again: Option<Again<'_>> = None;
    let mut attempt = 1;
    loop {
        let this = Try::of_several(body, &mut tried, retry.per_try);
        let mut outcome = way.attempt(exchange, this).await;
        match (again.take(), went_out(&outcome)) {
            (None, true) => way.upstream.goes_out(),
            (Some(again), false) => again.stays(),
            _ => {}
        }
        let pause = pause(retry.backoff, attempt);
        let another = match repeated(retry, exchange, &mut outcome, held.as_ref()) {
            Ok(_) if attempt >= retry.attempts => Err(Stays::LastAttempt),
            Ok(_) if !is_in_time(exchange, pause) => Err(Stays::OutOfTime),
            Ok(body) => match way.upstream.may_go_out_again(retry.budget) {
                Some(may) => Ok((body, may)),
                None => Err(Stays::BudgetSpent),
            },
            Err(why) => Err(why),
        };
        let (another, mut may) = match another {
            Ok(another) => another,
            Err(why) => {
                if let Some(why) = why.told() {
                    attempted(exchange, attempt, in_short(&outcome), why);
                }
                return match (outcome, last_answer) {
                    (Err(_), Some(kept)) => Ok(Kept::stands(kept, exchange)),
                    (outcome, _) => outcome,
                };
            }
        };
        attempted(exchange, attempt, in_short(&outcome), "it is sent again");
        let pause = tokio::time::sleep(pause);
        match outcome {
            Ok(answer) => {
                let (kept, ()) = tokio::join!(Kept::of(answer, exchange), pause);
                last_answer = kept.or(last_answer);
            }
            Err(_) => pause.await,
        }
        body = another;
        may.goes_out();
        again = Some(may);
        attempt += 1;
        exchange.record.attempts = attempt;
    }
}

/// Whether the upstream was asked, rather than the gateway held the request back.
fn went_out(outcome: &Result<Answer, Box<Undelivered>>) -> bool {
    let Err(failed) = outcome else { return true };
    !matches!(
        failed.error.kind(),
        ErrorKind::NoEndpoint | ErrorKind::Saturated | ErrorKind::BreakerOpen
    )
}

/// Why a request is not sent again.
#[derive(Clone, Copy)]
enum Stays {
    /// Its outcome is none that another attempt is for.
    AsItIs,
    Method,
    Streamed,
    LastAttempt,
    OutOfTime,
    BudgetSpent,
}

impl Stays {
    /// For those who ask why there was no other attempt.
    fn told(self) -> Option<&'static str> {
        Some(match self {
            Self::AsItIs => return None,
            Self::Method => "it is not sent again: its method is none of `methods`",
            Self::Streamed => "it is not sent again: no plugin holds its body",
            Self::LastAttempt => "it is not sent again: that was the last of its `attempts`",
            Self::OutOfTime => "it is not sent again: the `timeout` of the route ends before",
            Self::BudgetSpent => "it is not sent again: the `budget` of retries is spent",
        })
    }
}

/// The body for another attempt.
fn repeated(
    retry: &Retry,
    exchange: &Parts,
    outcome: &mut Result<Answer, Box<Undelivered>>,
    held: Option<&Outgoing>,
) -> Result<Outgoing, Stays> {
    let held = held.and_then(Outgoing::held).ok_or(Stays::Streamed);
    let may_be_seen_twice = retry.methods.contains(&exchange.request.method);
    let seen_twice = |held| match may_be_seen_twice {
        true => held,
        false => Err(Stays::Method),
    };
    match outcome {
        Ok(answer) if retry.on.has_status(answer.head.status) => seen_twice(held),
        Ok(_) => Err(Stays::AsItIs),
        Err(failed) => {
            let (kind, status) = (failed.error.kind(), failed.error.status());
            let is_over = matches!(
                kind,
                ErrorKind::Deadline
                    | ErrorKind::NoEndpoint
                    | ErrorKind::Saturated
                    | ErrorKind::BreakerOpen
            );
            if is_over || !retry.on.has_failure(kind, status) {
                return Err(Stays::AsItIs);
            }
            match failed.sent {
                true => seen_twice(held),
                false => failed.body.take().map_or(held, Ok),
            }
        }
    }
}

/// A random part of a pause that doubles with each attempt, so that requests which failed together do not come back
/// together.
fn pause(backoff: Duration, attempt: u32) -> Duration {
    let factor = 1 << (attempt - 1).min(16);
    backoff.mul_f64(f64::from(LONGEST.min(factor)) * fastrand::f64())
}

/// Whether the exchange lasts longer than a pause.
fn is_in_time(exchange: &Parts, pause: Duration) -> bool {
    let deadline = exchange.deadline();
    deadline.is_none_or(|deadline| clock::now() + pause < deadline)
}
