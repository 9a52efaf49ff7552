//! `retry` of a route: what is sent again where the upstream does not answer as it should.

use std::time::Duration;

use super::answer::Answer;
use super::attempt::{Try, Undelivered, Way};
use super::kept::Kept;
use crate::clock;
use crate::config::Retry;
use crate::exchange::Parts;
use crate::message::body::Outgoing;
use crate::message::error::ErrorKind;
use crate::upstream::Tried;

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
    let mut attempt = 1;
    loop {
        let this = Try::of_several(body, &mut tried, retry.per_try);
        let mut outcome = way.attempt(exchange, this).await;
        if attempt == 1 && went_out(&outcome) {
            way.upstream.goes_out();
        }
        let pause = pause(retry.backoff, attempt);
        let another = repeated(retry, exchange, &mut outcome, held.as_ref()).filter(|_| {
            attempt < retry.attempts
                && is_in_time(exchange, pause)
                && way.upstream.may_go_out_again(retry.budget)
        });
        let Some(another) = another else {
            return match (outcome, last_answer) {
                (Err(_), Some(kept)) => Ok(Kept::stands(kept, exchange)),
                (outcome, _) => outcome,
            };
        };
        let pause = tokio::time::sleep(pause);
        match outcome {
            Ok(answer) => {
                let (kept, ()) = tokio::join!(Kept::of(answer, exchange), pause);
                last_answer = kept.or(last_answer);
            }
            Err(_) => pause.await,
        }
        body = another;
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

/// The body for another attempt; none where there is to be none.
fn repeated(
    retry: &Retry,
    exchange: &Parts,
    outcome: &mut Result<Answer, Box<Undelivered>>,
    held: Option<&Outgoing>,
) -> Option<Outgoing> {
    let held = held.and_then(Outgoing::held);
    let may_be_seen_twice = retry.methods.contains(&exchange.request.method);
    match outcome {
        Ok(answer) => {
            let follows = retry.on.has_status(answer.head.status);
            held.filter(|_| follows && may_be_seen_twice)
        }
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
                return None;
            }
            match failed.sent {
                true => held.filter(|_| may_be_seen_twice),
                false => failed.body.take().or(held),
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
