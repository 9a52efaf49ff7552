//! From the head of a request to an exchange: guards, normalisation, the client's identity, the route.

use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Body as _;

use super::exchange::{Exchange, Record};
use super::normalise::{Refusal, Target};
use super::{Failed, normalise};
use crate::error::Error;
use crate::message::body::ClientBody;
use crate::message::phase::Phase;
use crate::message::{MAX_DEPTH, headers};
use crate::route::{self, Subject};
use crate::server::connection::Connection;
use crate::telemetry::span;
use crate::worker::Worker;

/// RFC 9112, section 6.1.
const AMBIGUOUS: Refusal = Refusal {
    status: StatusCode::BAD_REQUEST,
    reason: "Content-Length and Transfer-Encoding came together",
};

/// HTTP/2 has no guard that counts them. RFC 6585, section 5.
const TOO_MANY_FIELDS: Refusal = Refusal {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    reason: "the request has more header fields than this gateway accepts",
};

/// Builds the exchange.
///
/// # Errors
/// With an exchange of no route, so that a refusal is logged and counted like everything else.
pub(super) fn admit(
    worker: &Worker,
    connection: &Rc<Connection>,
    parts: Parts,
    body: &ClientBody,
    body_limit: u64,
) -> Result<Box<Exchange>, Failed> {
    let target = match connection.ambiguous_framing() {
        true => Err(AMBIGUOUS),
        false => normalise::target(&parts.method, &parts.uri, &parts.headers, parts.version),
    };
    let too_many = parts.headers.len() > connection.listener.config.limits.header_count;
    let (target, refusal) = match target {
        Ok(target) if too_many => (target, Some(TOO_MANY_FIELDS)),
        Ok(target) => (target, None),
        Err(refusal) => (unknown(), Some(refusal)),
    };
    let (mut exchange, trusted) = identify(worker, connection, parts, target);
    if let Some(refusal) = refusal {
        return Err((exchange, Error::Refused(refusal.status, refusal.reason)));
    }
    let secure = connection.tls.is_some();
    let Exchange {
        headers: fields,
        authority,
        id,
        ..
    } = &mut *exchange;
    headers::forward(fields, &connection.address, secure, authority, trusted);
    fields.insert(&headers::X_REQUEST_ID, id.clone());
    if exchange.depth > MAX_DEPTH {
        return Err((exchange, Error::Loop));
    }
    match find(&exchange, connection) {
        Ok(route) => {
            span::routed(&exchange.span, &route.name);
            exchange.route = route;
        }
        Err(error) => return Err((exchange, error)),
    }
    exchange.params = route::params(&exchange.route.config.matcher.path, exchange.path.path());
    if body_limit > 0 && body.size_hint().lower() > body_limit {
        return Err((exchange, Error::BodyTooLarge));
    }
    Ok(exchange)
}

/// What stands in the log where a request does not say what it asks for.
fn unknown() -> Target {
    Target {
        authority: HeaderValue::from_static("-"),
        path: PathAndQuery::from_static("/"),
    }
}

/// The exchange without its route, and whether the peer is a trusted proxy.
fn identify(
    worker: &Worker,
    connection: &Rc<Connection>,
    parts: Parts,
    target: Target,
) -> (Box<Exchange>, bool) {
    let view = worker.view();
    let Parts {
        method,
        version,
        headers: mut fields,
        ..
    } = parts;
    let Target { authority, path } = target;
    let proxies = &connection.listener.config.trusted_proxies;
    let client = headers::client(
        &fields,
        connection.peer.ip(),
        connection.tls.is_some(),
        proxies,
    );
    let id = headers::request_id(&fields, client.trusted);
    if headers::strip(&mut fields, false) && !client.trusted {
        headers::forget_client(&mut fields);
    }
    let depth = depth(&mut fields);
    let exchange = Box::new(Exchange {
        route: view.snapshot.no_route.clone(),
        span: span::exchange(&id, &method, path.as_str()),
        id,
        client: client.address,
        peer: connection.peer,
        secure: client.secure,
        version,
        authority,
        client_method: method.clone(),
        client_path: path.clone(),
        params: Vec::new(),
        depth,
        method,
        path,
        headers: fields,
        request_body: None,
        upstream: None,
        response: None,
        response_body: None,
        response_edits: Vec::new(),
        attributes: Vec::new(),
        phase: Phase::Request,
        held: Vec::new(),
        record: Record::new(),
        view,
    });
    (exchange, client.trusted)
}

/// The route, if this connection may ask for it.
fn find(
    exchange: &Exchange,
    connection: &Connection,
) -> Result<Arc<crate::snapshot::Route>, Error> {
    let authority = exchange.authority.to_str().unwrap_or_default();
    let host = headers::host_of(authority);
    if connection
        .tls
        .as_ref()
        .is_some_and(|tls| tls.server_name.is_some() && !tls.covers(&host))
    {
        return Err(Error::Refused(
            StatusCode::MISDIRECTED_REQUEST,
            "the certificate of this connection does not cover this host",
        ));
    }
    let snapshot = &exchange.view.snapshot;
    let name = &connection.listener.config.name;
    let listener = snapshot
        .config
        .listeners
        .iter()
        .position(|listener| listener.name == *name);
    let subject = Subject {
        listener: listener.unwrap_or(usize::MAX),
        host: &host,
        path: exchange.path.path(),
        query: exchange.path.query().unwrap_or_default(),
        method: &exchange.method,
        headers: &exchange.headers,
    };
    snapshot.router.find(subject).cloned().ok_or(Error::NoRoute)
}

/// How many gateways' plugins stand before this request. The field is this gateway's own: it does not go on
/// as it came.
fn depth(fields: &mut HeaderMap) -> u8 {
    let depth = fields.remove(&headers::DEPTH);
    fields.remove(header::EXPECT);
    depth
        .and_then(|depth| depth.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}
