//! Serving a connection: TLS, then HTTP by hyper, and its requests handed to the handler.
//!
//! The handler is called on the worker's own thread and need not be `Send`. Per request the connection costs one
//! reading of the clock and no allocation; timers belong to the [`watchdog`].

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};

use super::connection::{Connection, InFlight};
use super::drain::{Drain, LINGER, Open, Stage};
use super::guard::clocks::{Clocks, now};
use super::guard::{Guarded, Scanner, h1, h2};
use super::runtime::{Admission, ListenerRuntime};
use super::streams::{Streams, WAITING};
use super::transport::{self, Opened};
use super::watchdog;
use crate::config::Limits;
use crate::message::headers;
use crate::message::peer::Peer;
use crate::net::{Socket, Stream};

/// Bytes hyper may hold of one HTTP/1 connection, in each direction: what a client costs that takes nothing.
const BUFFER: usize = 32 * 1024;
/// What an HTTP/2 client may send of one body, and of all, before it is read.
const WINDOWS: (u32, u32) = (256 * 1024, 1024 * 1024);
/// What is kept of one HTTP/2 response that the client has no window for.
const SEND_BUFFER: usize = 32 * 1024;
/// Streams a client may have reset before they were looked at.
const PENDING_RESETS: usize = 20;
/// The field count that hyper serves without allocating.
const DEFAULT_FIELDS: usize = 100;

type BoxError = Box<dyn Error + Send + Sync>;

/// What answers requests.
pub trait Handler: Clone + 'static {
    /// The body of a response; need not be `Send`.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static;
    /// The answer.
    type Future: Future<Output = Response<Self::Body>> + 'static;

    /// Answers one request.
    fn call(&self, connection: Rc<Connection>, request: Request<Incoming>) -> Self::Future;

    /// A request that nobody could read was answered with this status.
    fn refused(&self, _connection: &Connection, _status: StatusCode) {}
}

impl<H, F, B> Handler for H
where
    H: Fn(Rc<Connection>, Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static,
{
    type Body = B;
    type Future = F;

    fn call(&self, connection: Rc<Connection>, request: Request<Incoming>) -> F {
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

    fn call(&self, connection: Rc<Connection>, request: Request<Incoming>) -> Self::Future {
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
    serve(stream, prefix, connection, handler).await;
}

/// Waits until a drain has begun and idle connections had their time.
async fn lingered(drain: &Drain) {
    drain.begun().await;
    sleep(LINGER).await;
}

/// Serves HTTP on a stream whose protocol is known.
async fn serve<H: Handler>(stream: Stream, prefix: Bytes, connection: Rc<Connection>, handler: H) {
    let limits = &connection.listener.config.limits;
    let half_close = connection.listener.config.half_close;
    let clocks = connection.clocks.clone();
    let service = {
        let (connection, handler) = (connection.clone(), handler.clone());
        hyper::service::service_fn(move |request: Request<Incoming>| {
            let in_flight = connection.begin();
            let version = request.version();
            connection.set_version(version);
            let seen = connection.h2 || !connection.is_unseen();
            let answer = Box::write(Box::new_uninit(), handler.call(connection.clone(), request));
            Exchange {
                answer: Box::into_pin(answer),
                seen,
                in_flight: Some(in_flight),
                version,
            }
        })
    };
    if connection.h2 {
        let scanner = Scanner::H2(h2::Scanner::new());
        let io = Guarded::new(stream, prefix, scanner, clocks, half_close);
        let http = http2_builder(limits, OnWorker(connection.clone()))
            .serve_connection(TokioIo::new(io), service);
        watchdog::h2(std::pin::pin!(http), &connection).await;
    } else {
        let scanner = h1::Scanner::new(limits.header_bytes, limits.header_count);
        let io = Guarded::new(stream, prefix, Scanner::H1(scanner), clocks, half_close);
        let http = http1_builder(limits);
        let refused = |status| handler.refused(&connection, status);
        watchdog::h1(io, service, &http, &connection, &refused).await;
    }
}

/// A request whose answer is being made.
struct Exchange<F> {
    // Made where it stays: hyper moves what it is given twice, and this is some kilobytes large. An idle connection has
    // none.
    answer: Pin<Box<F>>,
    // Whether the guard has seen the request.
    seen: bool,
    in_flight: Option<InFlight>,
    version: Version,
}

impl<B, F> Future for Exchange<F>
where
    B: Body,
    F: Future<Output = Response<B>>,
{
    type Output = Result<Response<Tracked<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if !this.seen {
            return Poll::Ready(Err("the guard has not seen this request".into()));
        }
        let mut response = ready!(this.answer.as_mut().poll(cx));
        let Some(in_flight) = this.in_flight.take() else {
            return Poll::Ready(Err("the answer was given already".into()));
        };
        if in_flight.connection.h2 {
            in_flight.mark(now());
        }
        finish_head(&in_flight.connection, this.version, &mut response);
        Poll::Ready(Ok(response.map(|body| Tracked {
            over: body.is_end_stream(),
            body,
            in_flight,
            sent: 0,
            held: None,
        })))
    }
}

/// Makes the response end the connection where it must be the last, and say so.
fn finish_head<B: Body>(connection: &Connection, version: Version, response: &mut Response<B>) {
    if connection.h2 {
        return;
    }
    let clocks = &connection.clocks;
    // A request that is answered while another behind it asks for an upgrade says nothing about that.
    if clocks.upgrade.load(Relaxed) == connection.requests.get() {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            clocks.tunnel.store(true, Relaxed);
            return;
        }
        clocks.refuse_upgrade();
    }
    if connection.drain().stage() != Stage::Serving {
        headers::close(response.headers_mut());
    }
    if response.status() == StatusCode::UPGRADE_REQUIRED {
        headers::name_upgrade(response.headers_mut());
    }
    if version < Version::HTTP_11 {
        promise_nothing(response);
    }
}

/// To a client of HTTP/1.0 hyper says `keep-alive` whenever it asked for that, also where the end of the connection is
/// that of the body, or other reasons end it. To a response of HTTP/1.0 it adds nothing.
#[cold]
fn promise_nothing<B: Body>(response: &mut Response<B>) {
    let has_length = response.body().size_hint().exact().is_some()
        || response.headers().contains_key(header::CONTENT_LENGTH);
    if !has_length || headers::closes(response.headers()) {
        *response.version_mut() = Version::HTTP_10;
    }
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The guard holds the limits exactly; these only must not be narrower. A client that shuts down its writing
    // side is still answered.
    builder
        .half_close(true)
        .max_buf_size(BUFFER.max(limits.header_bytes.saturating_add(1)));
    if limits.header_count > DEFAULT_FIELDS {
        builder.max_headers(limits.header_count);
    }
    builder
}

fn http2_builder(limits: &Limits, executor: OnWorker) -> http2::Builder<OnWorker> {
    let mut builder = http2::Builder::new(executor);
    builder
        .adaptive_window(false)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// Runs the streams of a connection on the worker's own thread.
#[derive(Debug, Clone)]
struct OnWorker(Rc<Connection>);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for OnWorker {
    fn execute(&self, stream: F) {
        // hyper asks the service and hands over the stream in one step.
        let task = tokio::task::spawn_local(stream);
        self.0.streams.carried_by(task.abort_handle());
    }
}

/// A response body that tells the watchdog when it moves and when it ends.
#[derive(Debug)]
struct Tracked<B> {
    body: B,
    in_flight: InFlight,
    /// Bytes that came out of the body.
    sent: u64,
    /// The last byte of a chunk that the client may have no room for. hyper asks for what follows only when it
    /// has: so the exchange does not end before its data can go.
    held: Option<Bytes>,
    /// HTTP/1: nothing follows.
    over: bool,
}

impl<B> Drop for Tracked<B> {
    /// To a client of HTTP/1.0 the end of the connection may be the end of the body: where it is not, it is a reset.
    fn drop(&mut self) {
        let connection = &self.in_flight.connection;
        if connection.is_1_0.get() && !self.over {
            connection.clocks.reset.store(true, Relaxed);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Tracked<B> {
    fn hold_last_byte(&mut self, mut data: Bytes) -> Bytes {
        let window = &self.in_flight.connection.clocks.window;
        self.sent += data.len() as u64;
        window.spend(data.len());
        if data.len() > 1 && !window.has_room(self.sent) {
            self.held = Some(data.split_off(data.len() - 1));
        }
        data
    }

    fn poll_h2(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = match self.held.take() {
            Some(last) => Poll::Ready(Some(Ok(Frame::data(last)))),
            None => Pin::new(&mut self.body).poll_frame(cx).map_ok(|frame| {
                frame
                    .into_data()
                    .map_or_else(|other| other, |data| Frame::data(self.hold_last_byte(data)))
            }),
        };
        let moved = if polled.is_pending() { WAITING } else { now() };
        self.in_flight.mark(moved);
        polled
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if this.in_flight.connection.h2 {
            this.poll_h2(cx)
        } else {
            // What the client does not take is left to the upstream.
            if this.in_flight.connection.clocks.is_stalled(cx) {
                return Poll::Pending;
            }
            let polled = Pin::new(&mut this.body).poll_frame(cx);
            this.over = match &polled {
                Poll::Ready(None) => true,
                Poll::Ready(Some(Ok(_))) => this.body.is_end_stream(),
                _ => false,
            };
            polled
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Asked for before the first frame.
        self.body.size_hint()
    }
}
