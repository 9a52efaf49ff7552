//! HTTP/2 (RFC 9113), by h2: each stream becomes an exchange, and a task of the worker.

mod date;
mod stream;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, Request, StatusCode};

use super::connection::Connection;
use super::guard::{Guarded, Scanner, h2::Scanner as Frames};
use super::handler::Handler;
use super::watchdog::{End, Watch};
use crate::config::Limits;
use crate::message::body::Received;
use crate::message::flaws::Flaws;
use crate::message::interim::Interim;
use crate::net::Stream;

/// What a client may send of one body, and of all, before it is read.
const WINDOWS: (u32, u32) = (256 * 1024, 1024 * 1024);
/// h2 reads heads that are so many times longer than they may be: the gateway refuses those itself, as any request.
const HEAD: usize = 2;
/// What is kept of one response that the client has no window for, or its socket no room.
const SEND_BUFFER: usize = 32 * 1024;
/// Streams a client may have reset before they were looked at.
const PENDING_RESETS: usize = 20;
/// Streams that h2 may reset because of what a client does wrong, before it ends the connection.
const LOCAL_RESETS: usize = 1024;
/// Streams that were answered before their request was whole, and how long h2 knows them: what the client had on its way for
/// them is nothing wrong (RFC 9113, section 5.1). Of more in that time h2 takes each late frame for a fault.
const LEFT: (usize, Duration) = (512, Duration::from_secs(1));

/// Serves a connection to its end, of which this was read already.
pub(super) async fn serve<H: Handler>(
    stream: Stream,
    prefix: Bytes,
    connection: &Rc<Connection>,
    handler: &H,
) {
    let config = &connection.listener.config;
    let flaws = Arc::new(Flaws::default());
    let scanner = Scanner::H2(Frames::new(config.limits.header_bytes, flaws.clone()));
    let clocks = connection.clocks.clone();
    let io = Guarded::new(stream, prefix, scanner, clocks, config.half_close);
    let mut server = Server {
        http: Http::Opening(Box::new(builder(&config.limits).handshake(io))),
        connection,
        handler,
        flaws,
        leaves: false,
        known: 0,
    };
    let mut watch = pin!(Watch::new(connection));
    let end = poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = server.poll(cx) {
                if let Err(error) = result {
                    server.failed(&error);
                }
                return Poll::Ready(End::Close);
            }
            server.tell_refused();
            match watch.as_mut().poll(cx) {
                Poll::Ready(End::GoAway) => server.leave(),
                other => return other,
            }
        }
    })
    .await;
    match end {
        End::Reset => connection.clocks.reset.store(true, Relaxed),
        End::Refuse(status) => {
            if let Ok(status) = StatusCode::from_u16(status) {
                server.refused(status);
            }
        }
        _ => {}
    }
}

fn builder(limits: &Limits) -> Builder {
    let head = limits.header_bytes.saturating_mul(HEAD);
    let mut builder = Builder::new();
    builder
        .initial_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(LOCAL_RESETS))
        .max_concurrent_reset_streams(LEFT.0)
        .reset_stream_duration(LEFT.1)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// One connection.
struct Server<'a, H> {
    http: Http,
    connection: &'a Rc<Connection>,
    handler: &'a H,
    flaws: Arc<Flaws>,
    /// The client was told to go.
    leaves: bool,
    /// How many of the heads that came are accepted, or known to be refused by h2.
    known: u64,
}

enum Http {
    Opening(Box<Handshake<Guarded, Bytes>>),
    Open(Box<h2::server::Connection<Guarded, Bytes>>),
}

impl<H: Handler> Server<'_, H> {
    /// Reads, writes, and begins the exchanges that clients ask for. Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            match &mut self.http {
                Http::Opening(handshake) => {
                    let mut open = ready!(Pin::new(&mut **handshake).poll(cx))?;
                    if self.leaves {
                        open.graceful_shutdown();
                    }
                    self.http = Http::Open(Box::new(open));
                }
                Http::Open(open) => match ready!(open.poll_accept(cx)) {
                    Some(accepted) => {
                        let (request, respond) = accepted?;
                        self.begin(request, respond);
                    }
                    None => return Poll::Ready(Ok(())),
                },
            }
        }
    }

    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        self.known += 1;
        let connection = self.connection;
        // Where its head is too long all the same, the gateway says so.
        let (long, this) = (&connection.clocks.long_head, respond.stream_id().as_u32());
        if long.load(Relaxed) == this {
            long.store(0, Relaxed);
        }
        let in_flight = connection.begin();
        let interim = Arc::new(Interim::default());
        let (mut head, data) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        if let Some(flaw) = self.flaws.take(this) {
            head.extensions.insert(flaw);
        }
        let body = Received::h2(data, &head.headers, interim.clone(), self.flaws.clone());
        // Made where it stays: it is some kilobytes large.
        let answer = Box::write(
            Box::new_uninit(),
            self.handler.call(connection.clone(), head, body),
        );
        let carried = stream::carry(Box::into_pin(answer), is_head, respond, interim, in_flight);
        let task = tokio::task::spawn_local(carried);
        connection.streams.carried_by(task.abort_handle());
    }

    /// The client is to open no more streams; the connection ends with those that are open.
    fn leave(&mut self) {
        self.leaves = true;
        if let Http::Open(open) = &mut self.http {
            open.graceful_shutdown();
        }
    }

    /// Records what h2 refused of what came: heads that are malformed, too long, or one stream too many. It answers them
    /// itself, and shows those only that it accepts. Called when h2 has read all that came.
    fn tell_refused(&mut self) {
        let clocks = &self.connection.clocks;
        let came = clocks.heads.load(Relaxed);
        // Streams that are opened while the client learns that it is to go are left to it.
        if came == self.known || clocks.write_since.load(Relaxed) != 0 {
            return;
        }
        let refused = came.saturating_sub(self.known);
        self.known = came;
        self.flaws.heads_are_read();
        if self.leaves {
            return;
        }
        let limits = &self.connection.listener.config.limits;
        let most = usize::try_from(limits.h2_streams).unwrap_or(usize::MAX);
        let status = match self.connection.in_flight.get() >= most {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::BAD_REQUEST,
        };
        self.refuse(refused, status);
    }

    /// The connection broke, by what the client sent or by itself. Heads of which h2 made no request are refused with it, and
    /// what came in the place of the first.
    #[cold]
    fn failed(&mut self, error: &h2::Error) {
        tracing::debug!(peer = %self.connection.peer, %error, "connection failed");
        let clocks = &self.connection.clocks;
        let is_of_guard = clocks.refuse.load(Relaxed) != 0;
        let is_of_h2 = error.is_library() && error.reason() != Some(Reason::NO_ERROR);
        if !is_of_guard && !is_of_h2 {
            return;
        }
        let came = clocks.heads.load(Relaxed);
        let is_under_way = clocks.long_head.load(Relaxed) != 0;
        let refused = match came.saturating_sub(self.known) {
            // The head in which the guard found it has not come whole.
            others if is_of_guard => others + 1,
            0 if came == 0 || is_under_way => 1,
            refused => refused,
        };
        self.refuse(refused, StatusCode::BAD_REQUEST);
    }

    /// Records so many heads that h2 refused; `status`: of one that is not too long.
    #[cold]
    fn refuse(&self, heads: u64, status: StatusCode) {
        for _ in 0..heads {
            let is_long = self.connection.clocks.long_head.swap(0, Relaxed) != 0;
            self.refused(match is_long {
                true => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                false => status,
            });
        }
    }

    fn refused(&self, status: StatusCode) {
        self.handler.refused(self.connection, status);
    }
}
