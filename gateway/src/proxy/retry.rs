//! `retry` of a route: what is sent again where the upstream does not answer as it should.

use std::time::Duration;

use super::answer::Answer;
use super::attempt::{Try, Undelivered, Way};
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
/// answer of the upstream is worth more than none: where a later attempt fails, the last answer stands.
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
    way.upstream.goes_out();
    loop {
        let this = Try::of_several(body, &mut tried, retry.per_try);
        let mut outcome = way.attempt(exchange, this).await;
        let pause = pause(retry.backoff, attempt);
        let another = repeated(retry, exchange, &mut outcome, held.as_ref()).filter(|_| {
            attempt < retry.attempts
                && is_in_time(exchange, pause)
                && way.upstream.may_go_out_again(retry.budget)
        });
        let Some(another) = another else {
            return outcome.or_else(|failed| last_answer.ok_or(failed));
        };
        last_answer = outcome.ok().or(last_answer);
        tokio::time::sleep(pause).await;
        body = another;
        attempt += 1;
        exchange.record.attempts = attempt;
    }
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
