//! Tunnels: a protocol upgrade of HTTP/1.1 (RFC 9110, section 7.8), such as WebSocket.
//!
//! The request phases run as for any request. After the upstream's 101 the gateway carries bytes both ways until
//! either side ends, nothing moved for the upstream's `idle` timeout, or the grace of a drain is over.

use std::rc::Rc;

use http::request::Parts;
use http::{HeaderValue, Response, Version, header};
use http_body::Body as _;

use super::answer::Source;
use super::body::Body;
use super::passage::Passage;
use super::send::{Length, head};
use crate::message::body::{Received, is_expected};
use crate::message::upgrade;
use crate::server::connection::Connection;

mod tunnel;

/// An upgrade that the client asked for.
pub(super) struct Requested {
    /// To one of these.
    pub(super) protocols: HeaderValue,
    /// Held as long as the tunnel stands: it counts as an open connection, and a drain waits for it.
    connection: Rc<Connection>,
}

/// Whether the request asks for an upgrade.
pub(super) fn requested(
    head: &Parts,
    body: &Received,
    connection: &Rc<Connection>,
) -> Option<Requested> {
    if head.version != Version::HTTP_11 || !connection.asked_upgrade() {
        return None;
    }
    let protocols = upgrade::asked(&head.headers)?;
    let named = head
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .any(|value| {
            value
                .as_bytes()
                .split(|byte| *byte == b',')
                .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        });
    // What the upstream may leave unread would be the first of the other protocol, or a request of its own.
    let unread = !body.is_end_stream() && !is_expected(&head.method);
    (named && !unread).then(|| Requested {
        protocols,
        connection: connection.clone(),
    })
}

/// Joins both connections after the upstream's 101.
pub(super) fn tunnel(mut passage: Passage, answer: Source, upgrade: Requested) -> Response<Body> {
    let mut head = head(&mut passage, &Length::Open);
    head.headers
        .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    let client = upgrade.connection.tunnel();
    tokio::task::spawn_local(async move {
        let _counted = upgrade.connection;
        if let Source::Upstream(answer) = answer
            && let Some(backend) = answer.into_tunnel()
        {
            tunnel::join(client, backend, &mut passage).await;
        }
    });
    Response::from_parts(head, Body::empty())
}
