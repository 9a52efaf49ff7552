//! What answers where an upstream does not: `fallback` of a route. It comes after the attempts.

use std::sync::Arc;

use super::answer::Answer;
use super::attempt::{Hop, Undelivered};
use super::forward;
use super::kept::Kept;
use super::passage::Passage;
use super::report::report_of;
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
    let answer = match &fallback.to {
        FallbackTo::Respond(configured) => {
            let answer = respond::respond(configured, passage)?;
            // No endpoint answered.
            passage.record.endpoint = None;
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
                Err(failed) => return first.stands(passage, failed),
            };
            if let First::Failed(failed, _) = &first {
                report_of(passage, &failed.error, "; the fallback answers");
            }
            return Ok(answers(passage, cause, answer));
        }
    };
    if let Err(failed) = &first {
        report_of(passage, &failed.error, "; the fallback answers");
    }
    Ok(answers(passage, cause, answer))
}

/// It is the fallback that answers.
fn answers(passage: &mut Passage, cause: Cause, answer: Answer) -> Answer {
    passage.record.fallback = Some(cause);
    passage.route.metrics.fallback();
    answer
}

/// The first outcome, while another upstream is asked.
enum First {
    Answered(Option<Kept>),
    /// At this endpoint, if at any.
    Failed(Box<Undelivered>, Option<Target>),
}

impl First {
    async fn of(first: Result<Answer, Box<Undelivered>>, passage: &Passage) -> Self {
        match first {
            Ok(answer) => Self::Answered(Kept::of(answer, &passage.exchange).await),
            Err(failed) => Self::Failed(failed, passage.record.endpoint.clone()),
        }
    }

    /// The other has no answer.
    fn stands(self, passage: &mut Passage, other: Box<Undelivered>) -> Result<Answer, Box<Error>> {
        match self {
            Self::Answered(None) => Err(other.into()),
            Self::Answered(Some(kept)) => {
                report_of(passage, &other.error, " by the fallback, too");
                Ok(kept.stands(&mut passage.exchange))
            }
            Self::Failed(first, endpoint) => {
                report_of(passage, &other.error, " by the fallback, too");
                passage.record.endpoint = endpoint;
                Err(first.into())
            }
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
