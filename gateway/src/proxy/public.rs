//! The answer of an upstream in the words of the client: places and cookies as it sees this gateway.

use http::header::{
    CONTENT_LOCATION, Entry, HeaderMap, HeaderName, HeaderValue, LOCATION, REFRESH, SET_COOKIE,
};

use crate::config::AnswerRewrite;
use crate::exchange::Parts;
use crate::message::head::ResponseHead;
use crate::route::rewrite::{Public, cookie};
use crate::upstream::Upstream;

/// Edits the head that an upstream sent. `host` is the `Host` that it got, if that was not the endpoint's own.
#[cold]
pub(super) fn answer(
    rewrite: &AnswerRewrite,
    head: &mut ResponseHead,
    exchange: &Parts,
    upstream: &Upstream,
    host: Option<&HeaderValue>,
) {
    let fields = &mut head.headers;
    if let Some(cookies) = &rewrite.cookies {
        each(fields, SET_COOKIE, |value| cookie(cookies, value));
    }
    let names = [LOCATION, CONTENT_LOCATION, REFRESH];
    if !rewrite.location || !names.iter().any(|name| fields.contains_key(name)) {
        return;
    }
    let client = &exchange.client;
    upstream.members(|members| {
        let names = members.authorities().chain(host);
        let names = names.filter_map(|name| name.to_str().ok());
        let public = Public {
            rewrite: &exchange.route.config.rewrite.path,
            secure: client.secure,
            authority: client.authority.to_str().unwrap_or_default(),
            path: client.path.path(),
            upstream: names.collect(),
        };
        each(fields, LOCATION, |value| public.location(value));
        each(fields, CONTENT_LOCATION, |value| public.location(value));
        each(fields, REFRESH, |value| public.refresh(value));
    });
}

/// Replaces each value of a field of which `made` makes another.
fn each(
    fields: &mut HeaderMap,
    name: HeaderName,
    made: impl Fn(&HeaderValue) -> Option<HeaderValue>,
) {
    if let Entry::Occupied(mut values) = fields.entry(name) {
        for value in values.iter_mut() {
            if let Some(made) = made(value) {
                *value = made;
            }
        }
    }
}
