//! Why a request has no answer, and what became of it.

use super::state::{Ended, State};
use super::upload::Follower;
use crate::message::body::{BodyFault, Outgoing};
use crate::upstream::error::SendError;

/// Why there is no answer.
pub(in crate::upstream) struct Unanswered {
    /// With the body, where it was not taken.
    pub(in crate::upstream) error: SendError,
    /// What became of the request.
    pub(in crate::upstream) fate: Fate,
}

/// What became of a request without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Fate {
    /// It never left: the connection ended first.
    Stayed,
    /// The endpoint ends the connection in good order, and did nothing for it.
    LeftOut,
    /// The endpoint did nothing for it.
    Refused,
    /// The connection broke, by no doing of its own: it was kept before, and the endpoint may not have seen this; or the
    /// answer to another request broke it.
    Lost,
    /// The connection broke, maybe by its own doing.
    Broke,
    /// What went wrong would go wrong again.
    Failed,
}

impl From<SendError> for Unanswered {
    fn from(error: SendError) -> Self {
        let fate = Fate::Failed;
        Self { error, fate }
    }
}

/// Why there is no answer, and whether the endpoint can have done something: not where nothing went out, nor where it
/// says so itself by REFUSED_STREAM, or by a GOAWAY that leaves the stream out (RFC 9113, sections 6.8 and 8.7). `kept` is
/// whether the connection had answered before.
pub(super) fn explain(
    (state, kept): (&State, bool),
    error: &h2::Error,
    unsent: Option<Outgoing>,
    follower: Option<&Follower>,
    number: u32,
) -> Unanswered {
    let of_http_2 = Some(error).filter(|error| !error.is_io());
    let is_of_connection = error.is_io() || error.is_go_away();
    let fate = match unsent {
        Some(_) if is_of_connection => Fate::Stayed,
        _ => fate((state, kept), of_http_2, number),
    };
    let is_left_out = error.is_remote() && error.is_go_away();
    let is_unsent = unsent.is_some() || matches!(fate, Fate::Stayed | Fate::Refused);
    let sent = !is_left_out && !is_unsent;
    let taken_back = || follower.filter(|_| !sent).and_then(Follower::take_back);
    let unsent = unsent.or_else(taken_back);
    let is_own = of_http_2
        .is_some_and(|error| error.is_reset() && !error.is_remote() && !error.is_library());
    let failure = match of_http_2 {
        // Only a body that broke resets a stream from this side.
        Some(_) if is_own => SendError::body(BodyFault::Broken),
        Some(error) if error.is_go_away() && error.is_library() => {
            let whose = match fate {
                Fate::Broke => "the answer, or one that came with it, breaks",
                _ => "the answer to another request breaks",
            };
            SendError::protocol(format!(
                "HTTP/2: {whose} a rule by which the connection ends: {error}"
            ))
        }
        Some(error) => SendError::protocol(format!("HTTP/2: {error}")),
        None => {
            let seen = match state.take_end() {
                Some(Ended::Error(seen)) => seen.to_string(),
                Some(Ended::Http1) | None => error.to_string(),
            };
            let why = format!("the connection broke before the answer: {seen}");
            SendError::protocol(why)
        }
    };
    Unanswered {
        error: failure.sent(sent).with(unsent),
        fate,
    }
}

/// What became of a request that went out. Where the connection ended with an error, the request may be why: it would
/// end the next one too, with the requests of others.
fn fate((state, kept): (&State, bool), error: Option<&h2::Error>, number: u32) -> Fate {
    match error {
        Some(error) if error.is_go_away() && error.is_library() => match state.is_suspect(number) {
            true => Fate::Broke,
            false => Fate::Lost,
        },
        Some(error) if error.is_go_away() => {
            match error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR) {
                true => Fate::LeftOut,
                false => Fate::Broke,
            }
        }
        Some(error) if error.is_remote() => match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) => Fate::Refused,
            _ => Fate::Failed,
        },
        Some(_) => Fate::Failed,
        None if kept && !state.is_accused() => Fate::Lost,
        None => Fate::Broke,
    }
}
