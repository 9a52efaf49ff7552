//! HTTP/1 (RFC 9112), by hyper. Per request the connection costs one reading of the clock and no allocation but that of the
//! exchange.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;

use super::connection::{Connection, InFlight};
use super::drain::Stage;
use super::guard::{Guarded, Scanner, h1};
use super::handler::{BoxError, Handler};
use super::watchdog;
use crate::config::Limits;
use crate::message::body::Received;
use crate::message::headers;
use crate::net::Stream;

/// Bytes hyper may hold of one connection, in each direction: what a client costs that takes nothing.
const BUFFER: usize = 32 * 1024;
/// The field count that hyper serves without allocating.
const DEFAULT_FIELDS: usize = 100;

/// Serves a connection to its end, of which this was read already.
pub(super) async fn serve<H: Handler>(
    stream: Stream,
    prefix: Bytes,
    connection: &Rc<Connection>,
    handler: &H,
) {
    let limits = &connection.listener.config.limits;
    let half_close = connection.listener.config.half_close;
    let service = {
        let (connection, handler) = (connection.clone(), handler.clone());
        hyper::service::service_fn(move |request: Request<Incoming>| {
            let in_flight = connection.begin();
            let version = request.version();
            connection.set_version(version);
            let seen = !connection.is_unseen();
            let (head, body) = request.into_parts();
            let answer = Box::write(
                Box::new_uninit(),
                handler.call(connection.clone(), head, Received::H1(body)),
            );
            Exchange {
                answer: Box::into_pin(answer),
                seen,
                in_flight: Some(in_flight),
                version,
            }
        })
    };
    let scanner = Scanner::H1(h1::Scanner::new(limits.header_bytes, limits.header_count));
    let clocks = connection.clocks.clone();
    let io = Guarded::new(stream, prefix, scanner, clocks, half_close);
    let refused = |status| handler.refused(connection, status);
    watchdog::h1(io, service, &builder(limits), connection, &refused).await;
}

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
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
        finish_head(&in_flight.connection, this.version, &mut response);
        Poll::Ready(Ok(response.map(|body| Tracked {
            over: body.is_end_stream(),
            body,
            in_flight,
        })))
    }
}

/// Makes the response end the connection where it must be the last, and say so.
fn finish_head<B: Body>(connection: &Connection, version: Version, response: &mut Response<B>) {
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

/// A response body that holds its exchange until it ends.
#[derive(Debug)]
struct Tracked<B> {
    body: B,
    in_flight: InFlight,
    /// Nothing follows.
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

impl<B: Body<Data = Bytes> + Unpin> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
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

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Asked for before the first frame.
        self.body.size_hint()
    }
}
