//! What a route answers by itself: `respond` and `redirect`.

use http::{HeaderMap, StatusCode};

use super::answer::Answer;
use super::fill::{Filling, Values};
use super::redirect::redirect;
use super::{error_page, max_forwards};
use crate::config::{Respond, Target, UpstreamId};
use crate::error::Error;
use crate::exchange::Parts;
use crate::message::head::ResponseHead;

/// Where the answer of an exchange comes from.
pub(super) enum Obtained {
    /// From here: it is made.
    Answer(Box<Answer>),
    /// From an upstream.
    From(UpstreamId),
}

/// What the route leads to, or the upstream that a plugin chose.
pub(super) fn target(exchange: &mut Parts) -> Result<Obtained, Error> {
    let answer = match (exchange.request.upstream, &exchange.route.config.target) {
        (Some(upstream), _) | (None, &Target::Upstream(upstream)) => {
            match max_forwards::count_down(exchange) {
                Some(answer) => error_page::over(exchange, answer),
                None => return Ok(Obtained::From(upstream)),
            }
        }
        (None, Target::Respond(configured)) => respond(configured, exchange)?,
        (None, Target::Redirect(configured)) => redirect(configured, exchange)?,
        // A split has led to one of its arms before.
        (None, Target::Plugins | Target::Split(_)) => return Err(Error::NoAnswer),
    };
    Ok(Obtained::Answer(Box::new(answer)))
}

/// The configured answer, with values of the request in it.
///
/// # Errors
/// If a value of the request fills a field that can have no such value.
pub(super) fn respond(respond: &Respond, exchange: &Parts) -> Result<Answer, Error> {
    filled(respond, exchange.into())
}

/// As [`respond`], of the values of a request.
///
/// # Errors
/// As there.
pub(super) fn filled(respond: &Respond, values: Values<'_>) -> Result<Answer, Error> {
    let filling = Filling::of(values);
    let mut headers = HeaderMap::with_capacity(respond.headers.len() + 2);
    for (name, text) in &respond.headers {
        let value = filling.field(text).ok_or(UNFIT)?;
        headers.append(name.clone(), value);
    }
    let status = respond.status;
    let body = filling.body(&respond.body);
    Ok(Answer::whole(ResponseHead { status, headers }, body))
}

/// A request that would write fields of its own into the answer.
const UNFIT: Error = Error::Refused(
    StatusCode::BAD_REQUEST,
    "a value of the request cannot stand in a field of the answer",
);
