//! What answers where an upstream does not: `fallback` of a route. It comes after the attempts.

use std::sync::Arc;

use super::answer::Answer;
use super::attempt::{Hop, Undelivered, in_short};
use super::forward;
use super::kept::Kept;
use super::passage::Passage;
use super::report::{attempted, report_of};
use super::respond;
use crate::config::{Fallback, FallbackTo, UpstreamId};
use crate::error::Error;
use crate::message::body::{Outgoing, Progress};
use crate::message::error::{Cause, Side};
use crate::message::target::Target;

/// Sends the request as [`forward::send`] does; where its outcome is one that the fallback is for, that answers.
///
/// To another upstream goes only what may be sent again: anything where nothing was sent, else a request of an idempotent
/// method (RFC 9110, section 9.2.2) whose body is held. Where that may not be, or has no answer either, the first
/// outcome stands, an answer if it is [`Kept`].
pub(super) async fn send(
    passage: &mut Passage,
    upstream: UpstreamId,
    body: Outgoing,
    hop: Hop<'_>,
    progress: &Arc<Progress>,
) -> Result<Answer, Box<Error>> {
    let route = passage.route.clone();
    let held = body.held();
    let mut first = forward::send(passage, upstream, body, hop, progress).await;
    let Some(fallback) = &route.config.fallback else {
        return first.map_err(Into::into);
    };
    let Some(cause) = cause(fallback, &first) else {
        return first.map_err(Into::into);
    };
    let asked = passage.record.endpoint.clone();
    if first.is_ok() {
        let attempt = passage.record.attempts.max(1);
        attempted(passage, attempt, in_short(&first), "the fallback is asked");
    }
    let answer = match &fallback.to {
        FallbackTo::Respond(configured) => {
            let answer = respond::respond(configured, passage)?;
            // The answer is no upstream's; who was asked is told all the same.
            passage.record.upstream = None;
            answer
        }
        FallbackTo::Upstream(other) if *other == upstream => return first.map_err(Into::into),
        FallbackTo::Upstream(other) => {
            let (unsent, was_sent) = match &mut first {
                Ok(_) => (None, true),
                Err(failed) => (failed.body.take(), failed.sent),
            };
            let body = match was_sent {
                false => unsent.or(held),
                true => held.filter(|_| passage.request.method.is_idempotent()),
            };
            let Some(body) = body else {
                return first.map_err(Into::into);
            };
            let first = First::of(first, passage).await;
            let answer = match forward::again(passage, *other, body, hop, progress).await {
                Ok(answer) => answer,
                // Whatever the upstream was at fault for, this is the client's.
                Err(failed) if failed.error.side() == Side::Client => return Err(failed.into()),
                Err(failed) => return first.stands(passage, failed, asked),
            };
            if let First::Failed(failed) = &first {
                answers_for(passage, failed, asked.as_ref());
            }
            return Ok(answers(passage, cause, answer));
        }
    };
    if let Err(failed) = &first {
        answers_for(passage, failed, asked.as_ref());
    }
    Ok(answers(passage, cause, answer))
}

/// It is the fallback that answers.
fn answers(passage: &mut Passage, cause: Cause, answer: Answer) -> Answer {
    passage.record.fallback = Some(cause);
    passage.route.metrics.fallback();
    answer
}

/// Says for what failure it answers.
fn answers_for(passage: &Passage, failed: &Undelivered, asked: Option<&Target>) {
    report_of(passage, &failed.error, asked, "; the fallback answers");
}

/// The first outcome, while another upstream is asked.
enum First {
    Answered(Option<Box<Kept>>),
    Failed(Box<Undelivered>),
}

impl First {
    async fn of(first: Result<Answer, Box<Undelivered>>, passage: &Passage) -> Self {
        match first {
            Ok(answer) => Self::Answered(Kept::of(answer, &passage.exchange).await.map(Box::new)),
            Err(failed) => Self::Failed(failed),
        }
    }

    /// The other has no answer; `asked` is the endpoint that was asked first.
    fn stands(
        self,
        passage: &mut Passage,
        failed: Box<Undelivered>,
        asked: Option<Target>,
    ) -> Result<Answer, Box<Error>> {
        if let Self::Answered(None) = self {
            return Err(failed.into());
        }
        let other = std::mem::replace(&mut passage.record.endpoint, asked);
        let outcome = " by the fallback, too";
        report_of(passage, &failed.error, other.as_ref(), outcome);
        match self {
            Self::Answered(None) => Err(failed.into()),
            Self::Answered(Some(kept)) => Ok(kept.stands(&mut passage.exchange)),
            Self::Failed(first) => Err(first.into()),
        }
    }
}

/// Why the fallback answers, if it does.
fn cause(fallback: &Fallback, first: &Result<Answer, Box<Undelivered>>) -> Option<Cause> {
    match first {
        Ok(answer) => {
            let status = answer.head.status;
            let follows = fallback.on.has_status(status);
            follows.then_some(Cause::Status(status))
        }
        Err(failed) => {
            let (kind, status) = (failed.error.kind(), failed.error.status());
            let follows = fallback.on.has_failure(kind, status);
            follows.then_some(Cause::Failure(kind))
        }
    }
}
