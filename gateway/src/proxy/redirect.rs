//! The answer of a route that sends its clients elsewhere.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::answer::Answer;
use super::fill::Values;
use crate::config::{AskedUrl, Redirect, RedirectChange, RedirectPath, RedirectTo};
use crate::error::Error;
use crate::exchange::Parts;
use crate::message::head::ResponseHead;
use crate::message::path::{self, shown};
use crate::route::rewrite;

/// The `Location` and status of a redirect.
///
/// # Errors
/// Where there is no sound location, or it leads back to what the client asked for; and where the rule is about other
/// paths.
pub(super) fn redirect(redirect: &Redirect, exchange: &Parts) -> Result<Answer, Error> {
    let location = location(redirect, exchange)?;
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(header::LOCATION, location);
    let status = redirect.status;
    let head = ResponseHead { status, headers };
    Ok(Answer::whole(head, Bytes::new()))
}

/// Where a client is sent.
pub(super) fn location(redirect: &Redirect, exchange: &Parts) -> Result<HeaderValue, Error> {
    location_of(redirect, exchange.into(), exchange.client.secure)
}

/// As [`location`], of the values of a request; `secure`: its client sees `https`.
///
/// # Errors
/// As there.
pub(super) fn location_of(
    redirect: &Redirect,
    values: Values<'_>,
    secure: bool,
) -> Result<HeaderValue, Error> {
    let asked = AskedUrl {
        secure,
        host: values.authority.as_bytes(),
        path: match values.path.path() {
            // `OPTIONS *` asks for no path.
            "*" => "/",
            path => path,
        },
        query: values.path.query(),
        params: values.params,
    };
    let to = match &redirect.to {
        RedirectTo::Url(to) => to.location(asked),
        RedirectTo::Changed(change) => changed(change, asked).ok_or(Error::NoAnswer)?,
    };
    let astray = |why: &str| {
        let (to, rule) = (String::from_utf8_lossy(&to), shown(&redirect.written));
        let made = shown(&to);
        Error::BadRewrite(format!("the redirect to {rule:?} makes {made:?}: {why}"))
    };
    match path::of_location(&to) {
        Ok(()) if asked.is(&to) && asks_again(redirect.status, values.method) => {
            return Err(astray("that is what the client asked for"));
        }
        Ok(()) => {}
        Err(_) if asked.host.is_empty() => {
            let reason = "this redirect needs a Host, and the request has none";
            return Err(Error::Refused(StatusCode::BAD_REQUEST, reason));
        }
        Err(unfit) => return Err(astray(unfit.reason())),
    }
    Ok(HeaderValue::from_maybe_shared(Bytes::from(to))
        .expect("what is a location is a field value"))
}

/// Whether a client sends the same request again (RFC 9110, section 15.4): after a 303, and in practice after a 301 or
/// 302, a POST becomes a GET.
fn asks_again(status: StatusCode, method: &Method) -> bool {
    let keeps_method = [
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    keeps_method.contains(&status) || [Method::GET, Method::HEAD].contains(method)
}

/// What the client asked for with some of it changed; none where the rule is about other paths.
fn changed(change: &RedirectChange, asked: AskedUrl<'_>) -> Option<Vec<u8>> {
    let mut to = change.origin(asked).unwrap_or_default();
    match &change.path {
        RedirectPath::Kept => to.extend_from_slice(asked.path.as_bytes()),
        RedirectPath::Made(path) => to.extend_from_slice(&path.location(asked)),
        RedirectPath::Prefix { strip, prefix } => {
            let path = rewrite::stripped(strip, prefix, asked.path)?;
            to.extend_from_slice(path.as_bytes());
        }
        RedirectPath::Regex { regex, to: made } => {
            match regex.replace_all(asked.path, made.as_str()) {
                Cow::Borrowed(_) => return None,
                Cow::Owned(path) if path.is_empty() => to.push(b'/'),
                Cow::Owned(path) => to.extend_from_slice(path.as_bytes()),
            }
        }
    }
    if let Some(query) = asked.query {
        to.push(b'?');
        to.extend_from_slice(query.as_bytes());
    }
    Some(to)
}
