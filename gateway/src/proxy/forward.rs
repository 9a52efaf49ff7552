//! The request on its way to an upstream, and the head of the answer on its way back.

use std::rc::Rc;
use std::time::Instant;

use http::{HeaderValue, Request, Uri, header};

use super::body::{ClientBody, Outgoing, Progress, UpstreamBody};
use super::chain::client_fault;
use super::exchange::{Exchange, ResponseHead};
use super::{Failed, headers, outgoing};
use crate::config::HostRewrite;
use crate::error::Error;
use crate::route::rewrite;
use crate::upstream::{Endpoint, SendError, Upstream, connect::Plan, send as send_upstream};

/// Sends the request and waits for the head of the answer, which then stands in the exchange.
pub(super) async fn send(
    mut exchange: Box<Exchange>,
    upstream: usize,
    body: Option<ClientBody>,
    progress: &Rc<Progress>,
) -> Result<(Box<Exchange>, Box<UpstreamBody>), Failed> {
    let upstream = exchange.view.snapshot.upstreams[upstream].clone();
    let endpoint = upstream.pick();
    prepare(&mut exchange, endpoint, body.is_none());
    let mut outgoing = Some(outgoing(&mut exchange, body));
    let bodiless = matches!(outgoing, Some(Outgoing::Empty));
    let plan = Plan {
        replayable: bodiless && exchange.method.is_idempotent(),
        deadline: exchange
            .route
            .config
            .timeout
            .map(|timeout| exchange.record.started + timeout),
    };
    let build = || request(&exchange, outgoing.take().unwrap_or(Outgoing::Empty));
    let sent = Instant::now();
    let result = send_upstream(&upstream, endpoint, plan, build, || {
        bodiless || progress.ended.get()
    })
    .await;
    match result {
        Ok((response, connection)) => {
            exchange.record.endpoint = Some(endpoint.address);
            exchange.record.upstream_time = Some(sent.elapsed());
            upstream.metrics.request();
            let (mut parts, incoming) = response.into_parts();
            headers::strip(&mut parts.headers, false);
            exchange.response = Some(ResponseHead {
                status: parts.status,
                headers: parts.headers,
            });
            Ok((
                exchange,
                Box::new(UpstreamBody::new(
                    incoming,
                    connection,
                    upstream.config.idle_timeout,
                )),
            ))
        }
        Err(error) => {
            let error = match progress.fault.get() {
                Some(fault) => client_fault(fault),
                None => explain(&upstream, &exchange, error),
            };
            upstream.metrics.failure(error.kind());
            Err((exchange, error))
        }
    }
}

/// The last edits of the head: path rewrite, `Host`, framing.
pub(super) fn prepare(exchange: &mut Exchange, endpoint: &Endpoint, held: bool) {
    let rewrite = &exchange.route.config.rewrite;
    if let Some(path) = rewrite::path(&rewrite.path, &exchange.path) {
        exchange.path = path;
    }
    let host = match &rewrite.host {
        HostRewrite::Upstream => endpoint.authority.clone(),
        HostRewrite::Preserve => exchange.authority.clone(),
        HostRewrite::Name(name) => name.clone(),
    };
    let fields = &mut exchange.headers;
    fields.insert(header::HOST, host);
    if held {
        fields.remove(header::CONTENT_LENGTH);
    }
    if exchange.depth > 0 {
        fields.insert(
            &headers::DEPTH,
            HeaderValue::from(u16::from(exchange.depth)),
        );
    }
}

/// The request as it goes out.
pub(super) fn request(exchange: &Exchange, body: Outgoing) -> Request<Outgoing> {
    let mut request = Request::new(body);
    *request.method_mut() = exchange.method.clone();
    *request.uri_mut() = Uri::from(exchange.path.clone());
    *request.headers_mut() = exchange.headers.clone();
    request
}

/// The failure in the terms of the exchange.
pub(super) fn explain(upstream: &Upstream, exchange: &Exchange, error: SendError) -> Error {
    let name = upstream.name.to_string();
    match error {
        SendError::Connect(why) => Error::Connect(name, why),
        SendError::Saturated => Error::Saturated(name),
        SendError::Protocol(why) => Error::BadGateway(name, why),
        SendError::Timeout => {
            match exchange
                .route
                .config
                .timeout
                .filter(|timeout| exchange.record.started.elapsed() >= *timeout)
            {
                Some(timeout) => Error::Deadline(timeout),
                None => Error::UpstreamTimeout(name, upstream.config.first_byte_timeout),
            }
        }
    }
}
