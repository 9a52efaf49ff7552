//! What a route answers by itself: `respond` and `redirect`.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::answer::Answer;
use super::max_forwards;
use crate::config::{Redirect, Respond, Target, UpstreamId};
use crate::error::Error;
use crate::exchange::Parts;
use crate::message::head::ResponseHead;
use crate::message::path::{self, shown};

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
                Some(answer) => answer,
                None => return Ok(Obtained::From(upstream)),
            }
        }
        (None, Target::Respond(configured)) => respond(configured, exchange),
        (None, Target::Redirect(configured)) => redirect(configured, exchange)?,
        // A split has led to one of its arms before.
        (None, Target::Plugins | Target::Split(_)) => return Err(Error::NoAnswer),
    };
    Ok(Obtained::Answer(Box::new(answer)))
}

/// The configured answer, with `{name}` replaced by path parameters.
fn respond(respond: &Respond, exchange: &Parts) -> Answer {
    let mut headers = HeaderMap::with_capacity(respond.headers.len() + 2);
    for (name, value) in &respond.headers {
        headers.append(name.clone(), value.clone());
    }
    let body = respond.body.constant().unwrap_or_else(|| {
        let mut filled = Vec::new();
        respond.body.write(&mut filled, b"", |to, name| {
            let value = exchange.param(name);
            value.map(|value| inside_string(to, value)).is_some()
        });
        Bytes::from(filled)
    });
    let status = respond.status;
    Answer::whole(ResponseHead { status, headers }, body)
}

/// Writes a value that cannot break out of a string of JSON: quotes, backslashes and control characters are escaped.
fn inside_string(to: &mut Vec<u8>, value: &str) {
    let quoted = serde_json::Value::from(value).to_string();
    to.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
}

/// The `Location` and status of a redirect.
fn redirect(redirect: &Redirect, exchange: &Parts) -> Result<Answer, Error> {
    let client = &exchange.client;
    let path = match client.path.path() {
        // `OPTIONS *` asks for no path.
        "*" => "/",
        path => path,
    };
    let query = client.path.query().unwrap_or_default();
    let host = client.authority.as_bytes();
    let to = redirect.to.location(host, path, query);
    match path::of_location(&to) {
        Ok(()) => {}
        Err(_) if host.is_empty() => {
            let reason = "this redirect needs a Host, and the request has none";
            return Err(Error::Refused(StatusCode::BAD_REQUEST, reason));
        }
        Err(unfit) => {
            let (to, rule) = (String::from_utf8_lossy(&to), shown(&redirect.written));
            let made = shown(&to);
            let told = format!("the redirect to {rule:?} makes {made:?}: {unfit}");
            return Err(Error::BadRewrite(told));
        }
    }
    let location = HeaderValue::from_maybe_shared(Bytes::from(to))
        .expect("what is a location is a field value");
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(header::LOCATION, location);
    let status = redirect.status;
    Ok(Answer::whole(
        ResponseHead { status, headers },
        Bytes::new(),
    ))
}
