//! From the head of a request to an exchange: guards, normalisation, the client's identity, the route.

use std::rc::Rc;
use std::sync::Arc;

use http::header::VIA;
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use super::normalise;
use super::normalise::{Refusal, Target};
use super::passage::{Local, Passage};
use crate::error::Error;
use crate::exchange::{self, Attributes, Client, Exchange, Record, Request, Response, Route, Undo};
use crate::message::body::ClientBody;
use crate::message::flaws::Flaw;
use crate::message::headers::{self, Identity, Seen};
use crate::message::names;
use crate::message::path::{PathRules, Special};
use crate::message::phase::Phase;
use crate::route::{self, Moment, Subject};
use crate::server::connection::Connection;
use crate::snapshot::Snapshot;
use crate::telemetry::span;

/// The parameters of a route, by name.
type Params = Vec<(Arc<str>, String)>;

/// RFC 9112, section 6.1.
pub(super) const AMBIGUOUS: Refusal = Refusal {
    status: StatusCode::BAD_REQUEST,
    reason: "Content-Length and Transfer-Encoding came together",
};

/// RFC 9113, section 8.2.1.
const PADDED: Refusal = Refusal {
    status: StatusCode::BAD_REQUEST,
    reason: "a field value begins or ends with white space",
};

/// What is named by another scheme is not served here (RFC 9110, section 7.4).
const FOREIGN: Refusal = Refusal {
    status: StatusCode::BAD_REQUEST,
    reason: "the scheme is neither http nor https",
};

/// HTTP/2 has no guard that counts them. RFC 6585, section 5.
pub(super) const TOO_MANY_FIELDS: Refusal = Refusal {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    reason: "the request has more header fields than this gateway accepts",
};

/// As for their number. Of what is far too long h2 makes no request.
pub(super) const TOO_LONG: Refusal = Refusal {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    reason: "the head of the request is longer than this gateway accepts",
};

/// RFC 9110, section 15.5.20.
pub(super) const MISDIRECTED: Refusal = Refusal {
    status: StatusCode::MISDIRECTED_REQUEST,
    reason: "the certificate of this connection does not cover this host",
};

/// A field of a name that the listener refuses.
pub(super) const UNUSUAL_NAME: Refusal = Refusal {
    status: StatusCode::BAD_REQUEST,
    reason: names::REFUSED,
};

/// The exchange, and whether it may go on. A refused one is an exchange of no route, so that it is logged and counted
/// like all others.
pub(super) fn admit(
    local: Rc<Local>,
    connection: &Rc<Connection>,
    mut parts: Parts,
    body: &ClientBody,
) -> (Passage, Result<(), Box<Error>>) {
    // Each cookie that is joined to others counts too.
    let is_padded = connection.h2 && parts.headers.values().any(headers::is_padded);
    if parts.headers.keys_len() < parts.headers.len() {
        headers::join_cookies(&mut parts.headers);
    }
    let listener = &connection.listener.config;
    let believed = listener.believed();
    let (peer, secure) = (connection.peer.address(), connection.tls.is_some());
    let identity = headers::client(&parts.headers, peer, secure, believed);
    let target = match connection.ambiguous_framing() {
        true => Err(AMBIGUOUS),
        false if let Some(flaw) = parts.extensions.get::<Flaw>() => Err(Refusal {
            status: StatusCode::BAD_REQUEST,
            reason: flaw.reason(),
        }),
        false if is_padded => Err(PADDED),
        false if is_foreign(&parts.uri) => Err(FOREIGN),
        false => {
            let Parts {
                method,
                uri,
                headers,
                version,
                ..
            } = &parts;
            normalise::target(method, uri, headers, *version, identity.secure)
        }
    };
    let too_many = parts.headers.len() > listener.limits.header_count;
    let too_long = || connection.h2 && size(&parts) > listener.limits.header_bytes;
    let (target, refusal) = match target {
        Ok(target) if too_many => (target, Some(TOO_MANY_FIELDS)),
        Ok(target) if too_long() => (target, Some(TOO_LONG)),
        Ok(target) => (target, None),
        Err(refusal) => (unknown(), Some(refusal)),
    };
    let special = target.special;
    let (mut passage, unusual) = identify(local, connection, parts, target, &identity);
    let admitted = match refusal.or(unusual) {
        Some(Refusal { status, reason }) => Err(Error::Refused(status, reason).into()),
        None => route(&mut passage, connection, &identity, special).map_err(Box::new),
    };
    if let Some(limit) = passage.route.config.overrides.body {
        body.set_limit(limit);
    }
    match admitted {
        Ok(()) if body.is_announced_too_large() => (passage, Err(Error::BodyTooLarge.into())),
        admitted => (passage, admitted),
    }
}

/// The size of a head of HTTP/2, in bytes, as SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113, section 6.5.2).
fn size(parts: &Parts) -> usize {
    const EACH: usize = 32;
    let fields = parts.headers.iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + EACH);
    let path = parts
        .uri
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    let authority = parts.uri.authority().map_or(0, |name| name.as_str().len());
    let target = parts.method.as_str().len() + path + authority;
    // With the names of the pseudo-header fields, and the scheme.
    const NAMES: usize = ":method:scheme:authority:pathhttps".len() + 4 * EACH;
    fields.sum::<usize>() + target + NAMES
}

/// Tells the upstream who asks, and finds the route.
fn route(
    passage: &mut Passage,
    connection: &Connection,
    identity: &Identity,
    special: Special,
) -> Result<(), Error> {
    let Passage {
        exchange, snapshot, ..
    } = passage;
    let exchange: &mut exchange::Parts = exchange;
    let client = &mut exchange.client;
    let fields = &mut exchange.request.headers;
    headers::forward(
        fields,
        connection.address.as_ref(),
        connection.tls.is_some(),
        &client.authority,
        identity,
        connection.listener.config.client_from,
    );
    if let Some(via) = &connection.listener.config.via {
        fields.append(VIA, via.value(client.version));
    }
    fields.insert(headers::X_REQUEST_ID, client.id.clone());
    let found = find(&snapshot.snapshot, exchange, connection);
    let (route, params) = match special.is_any() {
        true => keeping(found, special),
        false => found,
    }?;
    span::routed(&exchange.span, &route.name);
    exchange.route = route.clone();
    exchange.client.params = params;
    Ok(())
}

/// The route, if it takes a path in which this came. A path that no route takes is a bad request, whether or not a route
/// matches.
#[cold]
fn keeping(
    found: Result<(&Arc<Route>, Params), Error>,
    special: Special,
) -> Result<(&Arc<Route>, Params), Error> {
    let rules = match &found {
        Ok((route, _)) => route.config.overrides.paths,
        Err(Error::NoRoute) => PathRules::default(),
        Err(_) => return found,
    };
    match rules.take(special) {
        Ok(()) => found,
        Err(unfit) => Err(Error::Refused(StatusCode::BAD_REQUEST, unfit.reason())),
    }
}

/// Whether the target has a scheme that this gateway does not speak.
fn is_foreign(uri: &Uri) -> bool {
    uri.scheme()
        .is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS)
}

/// What stands in the log where a request does not say what it asks for.
fn unknown() -> Target {
    Target {
        authority: HeaderValue::from_static("-"),
        path: PathAndQuery::from_static("/"),
        special: Special::default(),
    }
}

/// The exchange without its route, and why its fields are refused.
fn identify(
    local: Rc<Local>,
    connection: &Rc<Connection>,
    parts: Parts,
    target: Target,
    identity: &Identity,
) -> (Passage, Option<Refusal>) {
    let snapshot = local.in_force.snapshot();
    let Parts {
        method,
        version,
        headers: mut fields,
        ..
    } = parts;
    let Target {
        authority, path, ..
    } = target;
    let id = headers::request_id(&fields, identity.trusted);
    let seen = headers::strip_request(&mut fields);
    let (depth, judged) = match seen == Seen::default() {
        true => (0, Ok(())),
        false => sift(&mut fields, seen, connection, identity, &snapshot.snapshot),
    };
    // Made where it stays: first on the stack, all of it would be copied.
    let exchange = Box::write(
        Box::new_uninit(),
        exchange::Parts {
            view: snapshot.view.clone(),
            route: snapshot.snapshot.no_route.clone(),
            span: span::exchange(&id, &method, path.as_str()),
            client: Client {
                id,
                address: identity.address,
                secure: identity.secure,
                version,
                authority,
                method: method.clone(),
                path: path.clone(),
                params: Vec::new(),
                depth,
            },
            request: Request {
                method,
                path,
                headers: fields,
                body: None,
                upstream: None,
                edited: Vec::new(),
            },
            response: Response {
                head: None,
                body: None,
                edits: Vec::new(),
            },
            attributes: Attributes::default(),
            written: 0,
            phase: Phase::Request,
            undo: Undo::default(),
            record: Record::new(),
        },
    );
    (
        Passage::new(Exchange::new(exchange), snapshot, local),
        judged.err().map(|names::Refused| UNUSUAL_NAME),
    )
}

/// Removes of a client's fields what does not pass here. How deep in gateways the request stands, and whether it goes on.
#[cold]
fn sift(
    fields: &mut HeaderMap,
    seen: Seen,
    connection: &Connection,
    identity: &Identity,
    snapshot: &Snapshot,
) -> (u8, Result<(), names::Refused>) {
    let mut judged = Ok(());
    if seen.unusual {
        judged = connection.names.judge(fields);
    }
    match seen.identity {
        true if identity.trusted => {
            let believed = connection.listener.config.believed();
            let peer = connection.peer.address();
            headers::keep_believed(fields, peer, identity, believed);
        }
        true => headers::forget_client(fields),
        false => {}
    }
    let mut depth = 0;
    if seen.ends_here {
        depth = snapshot.marks.depth(fields);
        headers::end(fields);
    }
    (depth, judged)
}

/// The route and its parameters, if this connection may ask for it.
fn find<'a>(
    snapshot: &'a Snapshot,
    exchange: &exchange::Parts,
    connection: &Connection,
) -> Result<(&'a Arc<Route>, Params), Error> {
    let authority = exchange.client.authority.to_str().unwrap_or_default();
    let host = headers::host_of(authority);
    if connection
        .tls
        .as_ref()
        .is_some_and(|tls| tls.server_name.is_some() && !tls.covers(&host))
    {
        return Err(Error::Refused(MISDIRECTED.status, MISDIRECTED.reason));
    }
    let name = &connection.listener.config.name;
    let mut listeners = snapshot.config.listeners.iter();
    let listener = listeners.position(|listener| listener.name == *name);
    let request = &exchange.request;
    let subject = Subject {
        listener: listener.unwrap_or(usize::MAX),
        host: &host,
        path: request.path.path(),
        query: request.path.query().unwrap_or_default(),
        method: &request.method,
        headers: &request.headers,
        client: exchange.client.address,
        moment: &Moment::default(),
        params: &[],
    };
    let route = snapshot.router.find(subject).ok_or(Error::NoRoute)?;
    let params = route::params(&route.config.matcher, &host, subject.path);
    let route = route.of_request(Subject {
        params: &params,
        ..subject
    });
    Ok((route, params))
}
