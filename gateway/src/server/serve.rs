//! Serving a connection: TLS, then HTTP ([`http1`], [`http2`]), and its requests handed to the handler.
//!
//! The handler is called on the worker's own thread and need not be `Send`. Timers belong to the
//! [`watchdog`](super::watchdog).

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::drain::{Drain, LINGER, Open};
use super::guard::clocks::{Clocks, now};
use super::runtime::{Admission, ListenerRuntime};
use super::streams::Streams;
use super::transport::{self, Opened};
use super::{http1, http2};
use crate::message::body::Received;
use crate::message::headers;
use crate::message::peer::Peer;
use crate::net::Socket;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// What answers requests.
pub trait Handler: Clone + 'static {
    /// The body of a response; need not be `Send`.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static;
    /// The answer.
    type Future: Future<Output = Response<Self::Body>> + 'static;

    /// Answers one request.
    fn call(&self, connection: Rc<Connection>, request: Request<Received>) -> Self::Future;

    /// A request that nobody could read was answered with this status.
    fn refused(&self, _connection: &Connection, _status: StatusCode) {}
}

impl<H, F, B> Handler for H
where
    H: Fn(Rc<Connection>, Request<Received>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static,
{
    type Body = B;
    type Future = F;

    fn call(&self, connection: Rc<Connection>, request: Request<Received>) -> F {
        self(connection, request)
    }
}

/// A handler that also hears of what is refused before it is a request.
#[derive(Debug, Clone)]
pub struct Hearing<H, R> {
    /// Answers requests.
    pub answer: H,
    /// Hears of the others.
    pub refused: R,
}

impl<H, R> Handler for Hearing<H, R>
where
    H: Handler,
    R: Fn(&Connection, StatusCode) + Clone + 'static,
{
    type Body = H::Body;
    type Future = H::Future;

    fn call(&self, connection: Rc<Connection>, request: Request<Received>) -> Self::Future {
        self.answer.call(connection, request)
    }

    fn refused(&self, connection: &Connection, status: StatusCode) {
        (self.refused)(connection, status);
    }
}

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
            opened = timeout(limit, transport::open(stream, &listener)) => opened.ok()?.map_err(|error| {
                tracing::debug!(%peer, %error, "connection failed before its first request");
            }).ok(),
            () = drain.ended() => None,
            // A client that connected ahead of its first request is let go like any that is idle.
            () = lingered(&drain) => None,
        }
    };
    let Some(Opened {
        stream,
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
