//! The plugins of a route, called in order; and in reverse order on the way back.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::Failed;
use super::exchange::Exchange;
use crate::clock;
use crate::config::{BodyOverflow, OnError};
use crate::error::Error;
use crate::message::body::{BodyFault, ClientBody, Collected, Progress, collect_until};
use crate::message::head::ResponseHead;
use crate::plugin::{Failure, Flow, Linked, Pool};
use crate::snapshot::Link;
use crate::upstream::ResponseBody;

/// What the request phases came to.
pub(super) enum Requested {
    /// Go on. The body is none where a plugin held it: then it stands in the exchange.
    Next(Option<ClientBody>),
    /// The plugin at this place answered.
    Answered {
        /// Its place in the chain.
        at: usize,
        /// What it answered.
        answer: Answered,
    },
}

/// A plugin's own response.
pub(super) struct Answered {
    pub(super) head: ResponseHead,
    pub(super) body: Bytes,
}

/// The response body between the phases.
pub(super) enum Source {
    /// As it comes.
    Upstream(ResponseBody),
    /// Held, or made by the gateway or a plugin.
    Held(Bytes),
}

impl Source {
    /// Whether the length that the upstream announced may no longer hold.
    pub(super) fn is_replaced(&self) -> bool {
        matches!(self, Self::Held(_))
    }
}

/// Runs the request phases.
pub(super) async fn on_request(
    exchange: Box<Exchange>,
    body: ClientBody,
    progress: &Rc<Progress>,
) -> Result<(Box<Exchange>, Requested), Failed> {
    if exchange.route.on_request.is_empty() {
        return Ok((exchange, Requested::Next(Some(body))));
    }
    // Boxed, so that exchanges without plugins do not carry, and copy, the room for a plugin's call.
    Box::pin(call_on_request(exchange, body, progress)).await
}

async fn call_on_request(
    mut exchange: Box<Exchange>,
    body: ClientBody,
    progress: &Rc<Progress>,
) -> Result<(Box<Exchange>, Requested), Failed> {
    let route = exchange.route.clone();
    let mut body = Some(body);
    // Where a phase begins, for the metrics; each ends where the next begins.
    clock::now();
    for &place in &route.on_request {
        let link = route.chain[place];
        let pool = exchange.view.pools[link.plugin].clone();
        if link.phases.request_body() {
            let held = hold_request(&mut exchange, &mut body, pool.linked(), progress).await;
            clock::now();
            if let Err(error) = held {
                return Err((exchange, error));
            }
        }
        let (back, result) = pool.on_request((place, link.filter), exchange).await;
        exchange = back;
        match result {
            Ok(Flow::Next) => {}
            Ok(Flow::Respond(answer)) => {
                let head = ResponseHead {
                    status: answer.status,
                    headers: answer.headers,
                };
                let answer = Answered {
                    head,
                    body: answer.body,
                };
                return Ok((exchange, Requested::Answered { at: place, answer }));
            }
            Err(failure) => {
                if let Some(error) = closed(pool.linked(), failure) {
                    return Err((exchange, error));
                }
            }
        }
    }
    Ok((exchange, Requested::Next(body)))
}

/// Runs the response phases of the plugins at `last` and before it, last first, after the edits that waited.
pub(super) async fn on_response(
    mut exchange: Box<Exchange>,
    last: usize,
    body: Source,
) -> Result<(Box<Exchange>, Source), Failed> {
    exchange.apply_response_edits();
    if exchange.route.on_response.is_empty() {
        return Ok((exchange, body));
    }
    Box::pin(call_on_response(exchange, last, body)).await
}

async fn call_on_response(
    mut exchange: Box<Exchange>,
    last: usize,
    mut body: Source,
) -> Result<(Box<Exchange>, Source), Failed> {
    let route = exchange.route.clone();
    clock::now();
    for &place in route.on_response.iter().filter(|place| **place <= last) {
        let link: Link = route.chain[place];
        let pool: Arc<Pool> = exchange.view.pools[link.plugin].clone();
        if link.phases.response_body() {
            body = match hold_response(&mut exchange, body, pool.linked()).await {
                Ok(body) => body,
                Err(error) => return Err((exchange, error)),
            };
            clock::now();
        }
        let (back, result) = pool.on_response((place, link.filter), exchange).await;
        exchange = back;
        match result {
            Ok(Flow::Next) => {
                if let Some(bytes) = exchange.response_body.take() {
                    body = Source::Held(bytes);
                }
            }
            Ok(Flow::Respond(answer)) => {
                exchange.response = Some(ResponseHead {
                    status: answer.status,
                    headers: answer.headers,
                });
                exchange.response_body = None;
                body = Source::Held(answer.body);
            }
            Err(failure) => {
                if let Some(error) = closed(pool.linked(), failure) {
                    return Err((exchange, error));
                }
                if let Some(bytes) = exchange.response_body.take() {
                    body = Source::Held(bytes);
                }
            }
        }
    }
    Ok((exchange, body))
}

/// The error for the client, unless the plugin may be skipped.
fn closed(linked: &Linked, failure: Failure) -> Option<Error> {
    match linked.config.on_error {
        OnError::Open => None,
        OnError::Closed => Some(Error::Plugin(linked.name.to_string(), failure)),
    }
}

/// Reads the request body for a plugin that wants it whole. One that is not in by the route's `timeout` is a slow one.
async fn hold_request(
    exchange: &mut Exchange,
    body: &mut Option<ClientBody>,
    linked: &Linked,
    progress: &Progress,
) -> Result<(), Error> {
    let config = &linked.config;
    let over = |held: usize| held > config.body_limit;
    let Some(client) = body.as_mut() else {
        // An earlier plugin holds it already; this one may have a smaller limit.
        let held = exchange.request_body.as_ref().map_or(0, Bytes::len);
        return if over(held) && config.body_overflow == BodyOverflow::Refuse {
            Err(Error::BodyTooLarge)
        } else {
            Ok(())
        };
    };
    let read = collect_until(client, config.body_limit, exchange.deadline()).await;
    let read = read.unwrap_or_else(|| {
        // Nobody reads what is left of it.
        progress.fault.set(Some(BodyFault::Timeout));
        Err(BodyFault::Timeout)
    });
    match read {
        Ok(Collected::Whole(bytes)) => {
            exchange.request_body = Some(bytes);
            *body = None;
            Ok(())
        }
        Ok(Collected::Over(read)) if config.body_overflow == BodyOverflow::Skip => {
            client.prepend(read);
            Ok(())
        }
        Ok(Collected::Over(_)) => Err(Error::BodyTooLarge),
        Err(fault) => Err(client_fault(progress.fault.get().unwrap_or(fault))),
    }
}

/// What a broken request body means for the client.
pub(super) fn client_fault(fault: BodyFault) -> Error {
    match fault {
        BodyFault::TooLarge => Error::BodyTooLarge,
        BodyFault::Timeout => Error::BodyTimeout,
        BodyFault::Broken => Error::BodyBroken,
        BodyFault::Plugin => Error::PluginBody,
    }
}

/// Reads the response body for a plugin that wants it whole.
async fn hold_response(
    exchange: &mut Exchange,
    body: Source,
    linked: &Linked,
) -> Result<Source, Error> {
    let config = &linked.config;
    let mut answer = match body {
        Source::Held(bytes) if bytes.len() <= config.body_limit => {
            exchange.response_body = Some(bytes);
            return Ok(Source::Held(Bytes::new()));
        }
        Source::Held(bytes) if config.body_overflow == BodyOverflow::Skip => {
            return Ok(Source::Held(bytes));
        }
        Source::Held(_) => return Err(Error::ResponseTooLarge(linked.name.to_string())),
        Source::Upstream(answer) => answer,
    };
    let read = collect_until(&mut answer, config.body_limit, exchange.deadline()).await;
    let Some(read) = read else {
        let timeout = exchange.route.config.timeout.unwrap_or_default();
        return Err(Error::Deadline(timeout));
    };
    match read {
        Ok(Collected::Whole(bytes)) => {
            exchange.response_body = Some(bytes);
            Ok(Source::Held(Bytes::new()))
        }
        Ok(Collected::Over(read)) if config.body_overflow == BodyOverflow::Skip => {
            answer.prepend(read);
            Ok(Source::Upstream(answer))
        }
        Ok(Collected::Over(_)) => Err(Error::ResponseTooLarge(linked.name.to_string())),
        Err(fault) => {
            let why = format!("the response body broke: {fault}");
            Err(Error::BadGateway(exchange.route.name.to_string(), why))
        }
    }
}
