//! Tunnels: a protocol upgrade of HTTP/1.1 (RFC 9110, section 7.8), such as WebSocket.
//!
//! The request phases run as for any request. After the upstream's 101 the gateway carries bytes both ways until
//! either side ends, nothing moved for the upstream's `idle` timeout, or the grace of a drain is over.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::body::{Body, Outgoing, Progress};
use super::exchange::{Exchange, ResponseHead};
use super::{Failed, forward, headers, send_head};
use crate::error::Error;
use crate::server::connection::Connection;
use crate::upstream::connect;
use crate::worker;

mod tunnel;

/// An upgrade that the client asked for.
pub(super) struct Requested {
    protocol: HeaderValue,
    client: OnUpgrade,
    /// Held as long as the tunnel stands: it counts as an open connection, and a drain waits for it.
    connection: Rc<Connection>,
}

/// Whether the request asks for an upgrade, and the right to take the connection over.
pub(super) fn requested(
    request: &mut Request<Incoming>,
    connection: &Rc<Connection>,
) -> Option<Requested> {
    if request.version() != Version::HTTP_11 {
        return None;
    }
    let protocol = request.headers().get(header::UPGRADE)?.clone();
    let named = request
        .headers()
        .get_all(header::CONNECTION)
        .iter()
        .any(|value| {
            value
                .as_bytes()
                .split(|byte| *byte == b',')
                .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        });
    // Upgrade to HTTP/2 in clear text was dropped by RFC 9113, section 3.1: the request is an ordinary one.
    let h2c = protocol.as_bytes().eq_ignore_ascii_case(b"h2c");
    (named && !h2c).then(|| Requested {
        protocol,
        client: hyper::upgrade::on(request),
        connection: connection.clone(),
    })
}

/// Sends the request; on 101 joins both connections, else hands the answer back like any other.
pub(super) async fn tunnel(
    mut exchange: Box<Exchange>,
    upstream: usize,
    upgrade: Requested,
    progress: &Rc<Progress>,
) -> Result<Response<Body>, Failed> {
    let upstream = exchange.view.snapshot.upstreams[upstream].clone();
    let endpoint = upstream.pick();
    forward::prepare(&mut exchange, endpoint, true);
    let mut request = forward::request(&exchange, Outgoing::Empty);
    request
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    request
        .headers_mut()
        .insert(header::UPGRADE, upgrade.protocol.clone());
    let sent = connect::send_upgrade(&upstream, endpoint, request).await;
    let (mut response, open) = match sent {
        Ok(sent) => sent,
        Err(error) => {
            let error = forward::explain(&upstream, &exchange, error);
            upstream.metrics.failure(error.kind());
            return Err((exchange, error));
        }
    };
    exchange.record.endpoint = Some(endpoint.address);
    upstream.metrics.request();
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let backend = switched.then(|| hyper::upgrade::on(&mut response));
    let (mut parts, body) = response.into_parts();
    headers::strip(&mut parts.headers, false);
    exchange.response = Some(ResponseHead {
        status: parts.status,
        headers: parts.headers,
    });
    let Some(backend) = backend else {
        return refused(exchange, body, open, progress).await;
    };
    exchange.apply_response_edits();
    let mut head = send_head(&mut exchange, true);
    head.headers
        .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(header::UPGRADE, upgrade.protocol);
    let idle = upstream.config.idle_timeout;
    worker::spawn(async move {
        let _counted = (open, upgrade.connection);
        tunnel::join(upgrade.client, backend, idle, &mut exchange).await;
    });
    Ok(Response::from_parts(head, Body::empty()))
}

/// The upstream answered otherwise: a bounded answer, since its connection is not one of the pool's.
async fn refused(
    mut exchange: Box<Exchange>,
    mut body: Incoming,
    open: connect::Upgrading,
    progress: &Rc<Progress>,
) -> Result<Response<Body>, Failed> {
    const MOST: usize = 1 << 20;
    let mut whole = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx))
            .await
    {
        let data = frame
            .ok()
            .and_then(|frame| frame.into_data().ok())
            .unwrap_or_default();
        whole.extend_from_slice(&data);
        if whole.len() > MOST {
            let why = "its refusal of an upgrade is larger than 1 MiB".to_owned();
            return Err((exchange, Error::BadGateway("upgrade".into(), why)));
        }
    }
    drop(open);
    let head = exchange.response.take().unwrap_or_else(|| ResponseHead {
        status: StatusCode::BAD_GATEWAY,
        headers: http::HeaderMap::new(),
    });
    let last = exchange.route.chain.len();
    super::answered(exchange, last, head, Bytes::from(whole), progress).await
}
