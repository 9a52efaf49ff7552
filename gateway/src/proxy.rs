//! The life of a request, from its head to the last byte of its response.
//!
//! [`handle`] is the one function that owns the order of phases; the crate page mirrors it.

mod admit;
pub mod body;
mod chain;
pub mod complete;
pub mod exchange;
mod forward;
pub mod normalise;
mod respond;
mod stream;
mod upgrade;

use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::config::Target;
use crate::error::Error;
use crate::message::body::{ClientBody, Outgoing, Progress, discard};
use crate::message::head::ResponseHead;
use crate::message::headers;
use crate::server::connection::Connection;
use crate::upstream::ResponseBody;
use crate::worker::Worker;

use body::Body;
use chain::Requested;
use exchange::Exchange;

/// Why an exchange ends early, and the exchange itself, for its response.
type Failed = (Box<Exchange>, Error);

/// Answers one request.
///
/// The order: admit (normalise, snapshot, route) → request phases → upstream, or what the route answers by
/// itself → response phases in reverse → the client. The `complete` phases, the access log and the metrics
/// follow when the response body ends or is dropped.
pub async fn handle(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let upgrade = upgrade::requested(&mut request, &connection);
    // The next request is found only behind the end of this one. HTTP/2 has streams.
    let has_body = !connection.h2 && !request.body().is_end_stream();
    // Who waits for 100 (RFC 9110, 10.1.1) is not asked for a body that nobody wants.
    let waits = has_body && request.headers().contains_key(header::EXPECT);
    let (parts, incoming) = request.into_parts();
    let limits = &connection.listener.config.limits;
    let (body, progress) = ClientBody::new(incoming, limits.body, limits.body_idle, has_body);
    let mut deadline = None;
    let admitted = match admit::admit(&worker, &connection, parts, &body, limits.body) {
        Ok(exchange) => {
            if has_body {
                deadline = exchange.deadline();
            }
            request_phases(exchange, body, &progress, upgrade).await
        }
        Err(failed) => {
            drop(body);
            Err(failed)
        }
    };
    let mut response = match admitted {
        Ok(response) => response,
        Err((exchange, error)) => Box::pin(fail(exchange, error, progress.clone())).await,
    };
    if let Some(rest) = progress.take_rest() {
        let reads =
            !waits && progress.fault.get().is_none() && !headers::closes(response.headers());
        let ended = reads && Box::pin(discard(rest, deadline)).await;
        if !ended && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::close(response.headers_mut());
        }
    }
    response
}

/// From the first plugin to whoever makes the response.
async fn request_phases(
    exchange: Box<Exchange>,
    body: ClientBody,
    progress: &Rc<Progress>,
    upgrade: Option<upgrade::Requested>,
) -> Result<Response<Body>, Failed> {
    let (mut exchange, requested) = chain::on_request(exchange, body, progress).await?;
    let body = match requested {
        Requested::Answered { at, answer } => {
            return answered(exchange, at, answer.head, answer.body, progress).await;
        }
        Requested::Next(body) => body,
    };
    let route = exchange.route.clone();
    let last = route.chain.len();
    let upstream = match (exchange.upstream, &route.config.target) {
        (Some(chosen), _) => chosen,
        (None, Target::Upstream(configured)) => *configured,
        (None, Target::Respond(respond)) => {
            let (head, body) = respond::respond(respond, &exchange);
            return answered(exchange, last, head, body, progress).await;
        }
        (None, Target::Redirect(redirect)) => match respond::redirect(redirect, &exchange) {
            Ok(head) => return answered(exchange, last, head, Bytes::new(), progress).await,
            Err(error) => return Err((exchange, error)),
        },
        (None, Target::Plugins) => return Err((exchange, Error::NoAnswer)),
    };
    let body = outgoing(&mut exchange, body);
    let protocol = upgrade.as_ref().map(|upgrade| &upgrade.protocol);
    let (exchange, answer) = forward::send(exchange, upstream, body, protocol, progress).await?;
    match upgrade {
        Some(upgrade) if exchange.is_switched() => {
            Ok(upgrade::tunnel(exchange, upstream, answer, upgrade))
        }
        _ => response_phases(exchange, answer, progress).await,
    }
}

/// From the head of the upstream's response to the client.
async fn response_phases(
    exchange: Box<Exchange>,
    answer: ResponseBody,
    progress: &Rc<Progress>,
) -> Result<Response<Body>, Failed> {
    let last = exchange.route.chain.len();
    let (mut exchange, held) =
        chain::on_response(exchange, last, chain::Source::Upstream(answer)).await?;
    let deadline = exchange.deadline();
    let edited = held.is_replaced() || !exchange.route.response_stream.is_empty();
    let head = send_head(&mut exchange, edited);
    let body = match held {
        chain::Source::Held(bytes) => Body::full(bytes, exchange, Some(progress.clone())),
        chain::Source::Upstream(answer) if exchange.route.response_stream.is_empty() => {
            Body::upstream(answer, exchange, Some(progress.clone()), deadline)
        }
        chain::Source::Upstream(answer) => {
            stream::response(exchange, answer, progress.clone(), deadline)
        }
    };
    Ok(Response::from_parts(head, body))
}

/// A response that the gateway or a plugin made: the plugins up to `at` see it on its way out.
async fn answered(
    mut exchange: Box<Exchange>,
    at: usize,
    head: ResponseHead,
    body: Bytes,
    progress: &Rc<Progress>,
) -> Result<Response<Body>, Failed> {
    exchange.response = Some(head);
    let (mut exchange, body) = chain::on_response(exchange, at, chain::Source::Held(body)).await?;
    let chain::Source::Held(body) = body else {
        return Err((exchange, Error::NoAnswer));
    };
    let head = send_head(&mut exchange, true);
    Ok(Response::from_parts(
        head,
        Body::full(body, exchange, Some(progress.clone())),
    ))
}

/// A failure as a response. It takes the response phases too, unless a plugin is what failed.
async fn fail(mut exchange: Box<Exchange>, error: Error, progress: Rc<Progress>) -> Response<Body> {
    complete::log_failure(&exchange, &error);
    exchange.record.error = Some(error.kind());
    let (head, body) = error.response(Some(&exchange.id));
    if !matches!(
        error,
        Error::Plugin(..) | Error::PluginBody | Error::Refused(..)
    ) {
        exchange = match answered(exchange, usize::MAX, head.clone(), body.clone(), &progress).await
        {
            Ok(response) => return response,
            Err((exchange, error)) => {
                complete::log_failure(&exchange, &error);
                exchange
            }
        };
    }
    exchange.response = Some(head);
    exchange.apply_response_edits();
    let head = send_head(&mut exchange, true);
    Response::from_parts(head, Body::full(body, exchange, Some(progress)))
}

/// What goes to the client; the exchange keeps the status, and the fields only where a later phase reads them.
fn send_head(exchange: &mut Exchange, replaced: bool) -> http::response::Parts {
    let mut parts = Response::new(()).into_parts().0;
    let Some(head) = exchange.response.as_mut() else {
        return parts;
    };
    if replaced {
        head.headers.remove(http::header::CONTENT_LENGTH);
    }
    head.headers
        .insert(&headers::X_REQUEST_ID, exchange.id.clone());
    exchange.record.status = Some(head.status);
    parts.status = head.status;
    let read_later =
        !exchange.route.on_complete.is_empty() || !exchange.route.response_stream.is_empty();
    parts.headers = if read_later {
        head.headers.clone()
    } else {
        std::mem::take(&mut head.headers)
    };
    parts
}

/// The body that goes upstream: as it comes, or through the plugins that edit it.
fn outgoing(exchange: &mut Exchange, body: Option<ClientBody>) -> Outgoing {
    match body {
        Some(body) if http_body::Body::is_end_stream(&body) => Outgoing::Empty,
        Some(body) if exchange.route.request_stream.is_empty() => Outgoing::Client(Box::new(body)),
        Some(body) => stream::request(exchange, body),
        None => Outgoing::full(exchange.request_body.clone().unwrap_or_default()),
    }
}
