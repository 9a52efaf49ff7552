//! Serving a connection: TLS, then HTTP (`http1`, `http2`), and its requests handed to the handler.
//!
//! The handler is called on the worker's own thread and need not be `Send`. Timers belong to the
//! [`watchdog`](super::watchdog).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::drain::{Drain, LINGER, Open};
use super::guard::clocks::{Clocks, now};
use super::handler::Handler;
use super::runtime::{Admission, ListenerRuntime};
use super::streams::Streams;
use super::transport::{self, Opened};
use super::{http1, http2};
use crate::message::headers;
use crate::message::peer::Peer;
use crate::net::Socket;

/// Serves what was accepted: TLS first where it is spoken, then HTTP. Returns when the connection is over, or
/// handed on as a tunnel.
pub(crate) async fn accept<H: Handler>(
    stream: Socket,
    peer: Peer,
    admission: Admission,
    open: Open,
    listener: Arc<ListenerRuntime>,
    handler: H,
) {
    if let Err(error) = stream.set_nodelay() {
        tracing::debug!(%peer, %error, "connection gone before it was served");
        return;
    }
    let limit = listener.config.limits.header_timeout;
    let drain = open.drain().clone();
    let opening = async {
        tokio::select! {
            opened = timeout(limit, transport::open(stream, peer, &listener)) => opened.ok()?.map_err(|error| {
                tracing::debug!(%peer, %error, "connection failed before its first request");
            }).ok(),
            () = drain.ended() => None,
            // A client that connected ahead of its first request is let go like any that is idle.
            () = lingered(&drain) => None,
        }
    };
    let Some(Opened {
        stream,
        peer,
        tls,
        prefix,
        h2,
        since,
    }) = opening.await
    else {
        return;
    };
    let connection = Rc::new(Connection {
        names: listener.names(),
        listener,
        peer,
        address: headers::address_value(peer.address()),
        tls,
        h2,
        clocks: Arc::new(Clocks::since(since)),
        opened: if since == 0 { now() } else { since },
        active: Cell::new(None),
        requests: Cell::new(0),
        in_flight: Cell::new(0),
        is_1_0: Cell::new(false),
        resting: Cell::new(false),
        tunnel: RefCell::default(),
        streams: Streams::default(),
        open,
        _admission: admission,
    });
    match h2 {
        true => http2::serve(stream, prefix, &connection, &handler).await,
        false => http1::serve(stream, prefix, &connection, &handler).await,
    }
}

/// Waits until a drain has begun and idle connections had their time.
async fn lingered(drain: &Drain) {
    drain.begun().await;
    sleep(LINGER).await;
}
