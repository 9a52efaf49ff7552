//! Requests that are refused before anybody could read them, by hyper, the guard or the watchdog.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use super::passage::Local;
use crate::exchange::{Attributes, Client, Parts, Record, Request, Response, Undo};
use crate::message::error::ErrorKind;
use crate::message::headers;
use crate::message::phase::Phase;
use crate::server::connection::Connection;
use crate::telemetry::span;

/// Records such a request as an exchange of no route, so that it is logged and counted like all others. What it asked
/// for is not known.
pub fn refused(local: &Local, connection: &Connection, status: StatusCode) {
    let snapshot = local.in_force.snapshot();
    let method = Method::from_bytes(b"-").unwrap_or_default();
    let path = PathAndQuery::from_static("/");
    let id = headers::request_id(&HeaderMap::new(), false);
    let mut record = Record::new();
    record.status = Some(status);
    record.error = Some(ErrorKind::Refused);
    record.finished = true;
    drop(Parts {
        view: snapshot.view.clone(),
        route: snapshot.snapshot.no_route.clone(),
        span: span::exchange(&id, &method, path.as_str()),
        client: Client {
            id,
            address: connection.peer.address(),
            secure: connection.tls.is_some(),
            version: match connection.h2 {
                true => Version::HTTP_2,
                false => Version::HTTP_11,
            },
            authority: HeaderValue::from_static("-"),
            method: method.clone(),
            path: path.clone(),
            params: Vec::new(),
            depth: 0,
        },
        request: Request {
            method,
            path,
            headers: HeaderMap::new(),
            body: None,
            upstream: None,
            edited: Vec::new(),
        },
        response: Response::default(),
        attributes: Attributes::default(),
        written: 0,
        phase: Phase::Request,
        undo: Undo::default(),
        record,
    });
}
