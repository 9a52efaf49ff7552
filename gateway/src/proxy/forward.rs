//! The request on its way to an upstream, and the head of the answer on its way back.

use std::rc::Rc;

use http::HeaderValue;
use tracing::Instrument;

use super::Failed;
use super::chain::client_fault;
use super::exchange::Exchange;
use crate::clock;
use crate::config::HostRewrite;
use crate::error::{Error, Side};
use crate::message::body::{Outgoing, Progress};
use crate::message::headers;
use crate::route::rewrite;
use crate::telemetry::span;
use crate::upstream::{self, Endpoint, Message, ResponseBody, SendError, Times, Upstream};

/// Sends the request, as one for an upgrade where a protocol is named, and waits for the head of the answer,
/// which then stands in the exchange.
pub(super) async fn send(
    mut exchange: Box<Exchange>,
    upstream: usize,
    body: Outgoing,
    upgrade: Option<&HeaderValue>,
    progress: &Rc<Progress>,
) -> Result<(Box<Exchange>, ResponseBody), Failed> {
    let upstream = exchange.view.snapshot.upstreams[upstream].clone();
    let endpoint = upstream.pick();
    prepare(&mut exchange);
    let times = Times {
        now: clock::recent(),
        deadline: exchange.deadline(),
    };
    let message = Message {
        method: &exchange.method,
        path: &exchange.path,
        host: host(&exchange, endpoint),
        headers: &exchange.headers,
        upgrade,
    };
    let span = span::upstream(&exchange.span, &upstream.name, endpoint.address);
    let sent = upstream::send(&upstream, endpoint, times, message, body);
    match sent.instrument(span).await {
        Ok((mut head, body)) => {
            exchange.record.endpoint = Some(endpoint.address);
            exchange.record.upstream_time = Some(clock::now().saturating_duration_since(times.now));
            upstream.metrics.request();
            headers::strip(&mut head.headers, false);
            exchange.response = Some(head);
            Ok((exchange, body))
        }
        Err(error) => {
            let error = match progress.fault.get() {
                Some(fault) => client_fault(fault),
                None => explain(&upstream, &exchange, error),
            };
            if error.side() != Side::Client && error.side() != Side::Plugin {
                upstream.metrics.failure(error.kind());
            }
            Err((exchange, error))
        }
    }
}

/// The last edits of the head: path rewrite, and the mark of a sub-request.
fn prepare(exchange: &mut Exchange) {
    let rewrite = &exchange.route.config.rewrite;
    if let Some(path) = rewrite::path(&rewrite.path, &exchange.path) {
        exchange.path = path;
    }
    if exchange.depth > 0 {
        let depth = HeaderValue::from(u16::from(exchange.depth));
        exchange.headers.insert(&headers::DEPTH, depth);
    }
}

/// The Host that goes out.
fn host<'a>(exchange: &'a Exchange, endpoint: &'a Endpoint) -> &'a HeaderValue {
    match &exchange.route.config.rewrite.host {
        HostRewrite::Upstream => &endpoint.authority,
        HostRewrite::Preserve => &exchange.authority,
        HostRewrite::Name(name) => name,
    }
}

/// The failure in the terms of the exchange.
fn explain(upstream: &Upstream, exchange: &Exchange, error: SendError) -> Error {
    let name = upstream.name.to_string();
    match error {
        SendError::Connect(why) => Error::Connect(name, why),
        SendError::Saturated => Error::Saturated(name),
        SendError::Body(fault) => client_fault(fault),
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
