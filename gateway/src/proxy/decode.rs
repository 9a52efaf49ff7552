//! What plugins can read: bodies of the types that they mean, whole, and without their content coding.

use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, IF_RANGE, RANGE,
};
use http::{HeaderValue, Method, StatusCode};

use super::answer::Source;
use crate::error::Error;
use crate::exchange::{Decisions, Parts, ResponseBodies};
use crate::message::body::Outgoing;
use crate::message::coding::{Decoded, Decoder, Limits, codings};
use crate::message::head::ResponseHead;
use crate::message::headers;
use crate::message::media::{Meant, MediaType, ResponseTypes};

/// What a response may decode to, bytes. Its proportion to what came is bounded besides.
const RESPONSE: u64 = 1 << 30;

/// Asks the upstream for what the plugins of the route can read: a body that is not coded, and the whole of it unless
/// there are types that pass by all of them.
pub(super) fn ask(exchange: &mut Parts, has_body: bool, bodies: ResponseBodies) {
    let headers = &mut exchange.request.headers;
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let may_ask_again = exchange.request.method == Method::GET && !has_body;
    if !(bodies.exempt && may_ask_again) {
        forget_range(exchange);
    }
}

/// Whether the upstream answered with a part of what a plugin must read whole, and is to be asked again without the
/// range.
pub(super) fn must_ask_again(exchange: &Parts, head: &ResponseHead, decisions: Decisions) -> bool {
    let route = &exchange.route;
    let is_part = [
        StatusCode::PARTIAL_CONTENT,
        StatusCode::RANGE_NOT_SATISFIABLE,
    ];
    if !is_part.contains(&head.status) || !exchange.request.headers.contains_key(RANGE) {
        return false;
    }
    let media = media(head);
    let mut types = route.response_types.iter();
    types.any(|(place, types)| {
        !decisions.leaves_out(*place) && types.meant(media.as_ref()) != Meant::Passed
    })
}

/// Has the request ask for the whole (RFC 9110, section 14.2: a server may answer any range with it).
pub(super) fn forget_range(exchange: &mut Parts) {
    let headers = &mut exchange.request.headers;
    headers.remove(RANGE);
    headers.remove(IF_RANGE);
}

/// What a plugin does with the response as it is now.
pub(super) fn meant(exchange: &Parts, types: &ResponseTypes, is_empty: bool) -> Meant {
    match &exchange.response.head {
        Some(head) if !is_empty => types.meant(media(head).as_ref()),
        _ => Meant::Touched,
    }
}

/// The type of a body. The parts of one that was asked for in ranges have types of their own.
fn media(head: &ResponseHead) -> Option<MediaType> {
    MediaType::of(&head.headers).filter(|media| media.as_str() != "multipart/byteranges")
}

/// Whether the body is a part of what the upstream has.
pub(super) fn is_partial(exchange: &Parts) -> bool {
    let head = exchange.response.head.as_ref();
    head.is_some_and(|head| head.status == StatusCode::PARTIAL_CONTENT)
}

/// Why a plugin that means a type cannot read a part of it.
pub(super) fn partial() -> String {
    "the response is a part of a body (206), though the whole was asked for".to_owned()
}

/// Why a plugin refuses a response.
pub(super) fn unmeant(exchange: &Parts) -> String {
    let head = exchange.response.head.as_ref();
    let said = head.and_then(|head| head.headers.get(CONTENT_TYPE));
    match said {
        None => "the response does not say its type, and the plugin's configuration lets no such response pass".to_owned(),
        Some(value) => format!(
            "the response is {:?}, which the plugin's configuration neither reads nor lets pass; if it may pass, name it \
             there",
            String::from_utf8_lossy(value.as_bytes())
        ),
    }
}

/// What a head says that comes without its body, as that to a HEAD does, holds for a body that plugins edit.
pub(super) fn announce(exchange: &mut Parts, types: &ResponseTypes) {
    let is_head = exchange.client.method == Method::HEAD;
    let Some(head) = &mut exchange.response.head else {
        return;
    };
    // A 304 need not say the type.
    headers::weaken(&mut head.headers);
    if is_head && types.meant(media(head).as_ref()) == Meant::Touched {
        headers::edited(&mut head.headers);
        head.headers.remove(CONTENT_LENGTH);
    }
}

/// Decodes the body of a response for the plugins that read it.
///
/// # Errors
/// If it is coded in a way that is not known.
pub(super) fn response(exchange: &mut Parts, body: &mut Source) -> Result<(), String> {
    let Some(head) = &mut exchange.response.head else {
        return Ok(());
    };
    if http_body::Body::is_end_stream(body) || !head.headers.contains_key(CONTENT_ENCODING) {
        return Ok(());
    }
    let codings = codings(&head.headers).map_err(|unknown| unknown.to_string())?;
    head.headers.remove(CONTENT_ENCODING);
    if let Some(codings) = codings {
        let decoder = Decoder::within_room(&codings, Limits::new(RESPONSE));
        let decoder = decoder.ok_or("too many coded bodies are being decoded at once")?;
        let coded = std::mem::replace(body, Source::Empty);
        *body = Source::Decoded(Box::new(Decoded::new(coded, decoder)));
        head.headers.remove(CONTENT_LENGTH);
        headers::edited(&mut head.headers);
    }
    Ok(())
}

/// Decodes the body of a request, to at most `limit` bytes, for the plugins that read it.
///
/// # Errors
/// If it is coded in a way that is not known.
pub(super) fn request(exchange: &mut Parts, body: &mut Outgoing, limit: u64) -> Result<(), Error> {
    let fields = &mut exchange.request.headers;
    if !fields.contains_key(CONTENT_ENCODING) {
        return Ok(());
    }
    let codings = codings(fields).map_err(Error::UnknownCoding)?;
    fields.remove(CONTENT_ENCODING);
    if let Some(codings) = codings {
        let decoder = Decoder::within_room(&codings, Limits::new(limit));
        let decoder = decoder.ok_or(Error::Refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many coded bodies are being decoded at once",
        ))?;
        let coded = std::mem::replace(body, Outgoing::Empty);
        *body = Outgoing::Decoded(Box::new(Decoded::new(coded, decoder)));
        fields.remove(CONTENT_LENGTH);
        headers::edited(fields);
    }
    Ok(())
}
