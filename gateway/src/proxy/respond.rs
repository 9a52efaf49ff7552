//! What a route answers by itself: `respond` and `redirect`.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::answer::Answer;
use crate::config::{Redirect, Respond, Target, UpstreamId};
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
pub(super) fn target(exchange: &Parts) -> Result<Obtained, Error> {
    let answer = match (exchange.request.upstream, &exchange.route.config.target) {
        (Some(chosen), _) => return Ok(Obtained::From(chosen)),
        (None, Target::Upstream(configured)) => return Ok(Obtained::From(*configured)),
        (None, Target::Respond(configured)) => respond(configured, exchange),
        (None, Target::Redirect(configured)) => redirect(configured, exchange)?,
        (None, Target::Plugins) => return Err(Error::NoAnswer),
    };
    Ok(Obtained::Answer(Box::new(answer)))
}

/// The configured answer, with `{name}` replaced by path parameters.
fn respond(respond: &Respond, exchange: &Parts) -> Answer {
    let mut headers = HeaderMap::with_capacity(respond.headers.len() + 2);
    for (name, value) in &respond.headers {
        headers.append(name.clone(), value.clone());
    }
    let body = if exchange.client.params.is_empty() {
        respond.body.clone()
    } else {
        fill(&respond.body, exchange)
    };
    let status = respond.status;
    Answer::whole(ResponseHead { status, headers }, body)
}

/// Replaces `{name}` by the parameter. In a JSON body a value cannot break out of its string: quotes,
/// backslashes and control characters are escaped.
fn fill(body: &Bytes, exchange: &Parts) -> Bytes {
    let Ok(text) = std::str::from_utf8(body) else {
        return body.clone();
    };
    let mut filled = text.to_owned();
    for (name, value) in &exchange.client.params {
        let escaped = serde_json::Value::from(value.as_str()).to_string();
        filled = filled.replace(&format!("{{{name}}}"), &escaped[1..escaped.len() - 1]);
    }
    Bytes::from(filled)
}

/// The `Location` and status of a redirect.
fn redirect(redirect: &Redirect, exchange: &Parts) -> Result<Answer, Error> {
    let client = &exchange.client;
    let to = redirect
        .to
        .replace("{host}", client.authority.to_str().unwrap_or_default())
        .replace("{path}", client.path.path())
        .replace("{query}", client.path.query().unwrap_or_default());
    let location = HeaderValue::try_from(to)
        .map_err(|_| Error::Refused(StatusCode::BAD_REQUEST, "the redirect would not be a URL"))?;
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(header::LOCATION, location);
    let status = redirect.status;
    Ok(Answer::whole(
        ResponseHead { status, headers },
        Bytes::new(),
    ))
}
