//! The clocks of a connection: one timer each, never reset per request.
//!
//! When the timer fires it looks at what the guard and the exchanges noted, and is armed again for what is left
//! of the nearest limit. It fires at least once per shortest limit, so no limit is overrun.

mod judge;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::connection::Connection;
use super::drain::{LINGER, Stage};
use super::guard::Guarded;
use super::guard::clocks::now;
use super::linger::linger;
use crate::allocator;
use judge::{Limits, Marks, Verdict, judge};

pub(super) use judge::{End, REST};

/// How often a socket is asked for a client that bytes hide which wait to be read.
const LOOK: Duration = Duration::from_secs(1);

/// Drives an HTTP/1 connection to its end.
///
/// hyper keeps two buffers of 8 KiB while it waits. Once a connection has been quiet for [`REST`], hyper is taken off
/// it and made anew when the client sends: an idle connection costs its socket and its state, as in nginx.
pub(crate) async fn h1<S, B>(
    mut io: Guarded,
    mut service: S,
    http: &http1::Builder,
    connection: &Connection,
    refused: &dyn Fn(StatusCode),
) where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut watch = pin!(Watch::new(connection));
    // How many requests there were when it rested last.
    let mut served = 0;
    let end = loop {
        // Not pinned by the macro: its parts are taken out at the end.
        let mut serving = Box::new(http.serve_connection(TokioIo::new(io), service));
        let end = drive(Pin::new(&mut *serving), watch.as_mut(), connection).await;
        let parts = serving.into_parts();
        (io, service) = (parts.io.into_inner(), parts.service);
        let tunnel = connection.tunnel.take();
        if end == End::Tunnel
            && io.open_tunnel(&parts.read_buf)
            && let Some(tunnel) = tunnel
        {
            // Where the exchange is gone, the stream is closed.
            let _gone = tunnel.send(io);
            return;
        }
        let unread = parts
            .read_buf
            .iter()
            .any(|byte| !matches!(byte, b'\r' | b'\n'));
        drop(parts.read_buf);
        if end != End::Rest {
            break end;
        }
        if unread {
            // The end of a body that its reader has not taken: without it the next head has no known beginning.
            break End::Close;
        }
        watch.as_mut().rest(true);
        if connection.requests.get() != served {
            served = connection.requests.get();
            allocator::connection_freed();
        }
        let end = poll_fn(|cx| match io.stream().socket().poll_read_ready(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => watch.as_mut().poll(cx).map(Some),
        })
        .await;
        if let Some(end) = end {
            break end;
        }
        watch.as_mut().rest(false);
    };
    finish(&mut io, connection, end, refused).await;
}

/// Ends an HTTP/1 connection that hyper has left.
async fn finish(io: &mut Guarded, connection: &Connection, end: End, refused: &dyn Fn(StatusCode)) {
    if let End::Refuse(status) | End::Refused(status) = end
        && let Ok(status) = StatusCode::from_u16(status)
    {
        refused(status);
    }
    match end {
        _ if connection.clocks.reset.load(Relaxed) => {}
        End::Reset => connection.clocks.reset.store(true, Relaxed),
        End::Refuse(status) => {
            let answered = timeout(LINGER, io.stream().write_all(refusal(status))).await;
            if matches!(answered, Ok(Ok(()))) {
                close(io, connection, true).await;
            }
        }
        _ => {
            let sends = connection.clocks.body_to_come.load(Relaxed);
            close(io, connection, sends).await;
        }
    }
}

/// Drives HTTP/1 until hyper is done or the watchdog ends it.
async fn drive(
    mut http: Pin<&mut impl Future<Output = hyper::Result<()>>>,
    mut watch: Pin<&mut Watch<'_>>,
    connection: &Connection,
) -> End {
    let clocks = &connection.clocks;
    let mut left = false;
    poll_fn(|cx| {
        loop {
            let result = match http.as_mut().poll(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => match watch.as_mut().poll(cx) {
                    Poll::Ready(End::Look) => continue,
                    other => return other,
                },
            };
            if result.is_ok() && !left && clocks.asked_upgrade.load(Relaxed) {
                // Then hyper leaves before it has written all and shut down, also where the upgrade was refused. Asked
                // again it does both.
                left = true;
                continue;
            }
            // A client that leaves as well may be faster.
            if let (Err(error), false) = (&result, left) {
                tracing::debug!(peer = %connection.peer, %error, "connection failed");
                if let Some(status) = answered_by_hyper(error) {
                    return Poll::Ready(End::Refused(status));
                }
            }
            let switched = result.is_ok() && clocks.tunnel.load(Relaxed);
            return Poll::Ready(if switched { End::Tunnel } else { End::Close });
        }
    })
    .await
}

/// The status that hyper has answered a head with that it could not read.
fn answered_by_hyper(error: &hyper::Error) -> Option<u16> {
    if error.is_parse_too_large() {
        // The target alone may be larger than the head may be: its type ends at 64 KiB.
        let long_target = error.to_string().contains("URI");
        return Some(if long_target { 414 } else { 431 });
    }
    error.is_parse().then_some(400)
}

/// Closes so that the client gets what was written: a socket closed over unread bytes sends a reset, which
/// may overtake the response (RFC 9112, 9.6). Where the client still sends, that may take a while.
async fn close(io: &mut Guarded, connection: &Connection, sends: bool) {
    let ended = connection.clocks.eof.load(Relaxed);
    let stream = io.stream();
    if sends && !ended && matches!(timeout(LINGER, stream.shutdown()).await, Ok(Ok(()))) {
        // Apart: few connections ever need its room.
        return Box::pin(linger(stream, connection.drain())).await;
    }
    let lingering = async {
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while !ended && stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    match timeout(LINGER, lingering).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => {
            tracing::trace!(peer = %connection.peer, %error, "closed by the client first")
        }
    }
}

fn refusal(status: u16) -> &'static [u8] {
    match status {
        400 => b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        408 => b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        414 => b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        _ => b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    }
}

pin_project_lite::pin_project! {
    /// The watchdog of one connection.
    pub(super) struct Watch<'a> {
        connection: &'a Connection,
        #[pin]
        timer: Sleep,
        // Whether the timer knows this task's waker.
        armed: bool,
        // The stage of the drain that was acted upon, and when it came.
        stage: Stage,
        stage_since: u64,
        // When GOAWAY was sent; 0: not yet.
        going: u64,
        registered: bool,
        // Whether it looks for the client now and then.
        looking: bool,
        // When hyper was put on the connection again; 0: it never rested.
        woken: u64,
    }
}

impl<'a> Watch<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        let limits = Limits::of(connection);
        let head = match connection.clocks.head_since.load(Relaxed) {
            0 => u64::MAX,
            since => since.saturating_add(limits.head).saturating_sub(now()),
        };
        let first = Duration::from_millis(limits.shortest.min(head)).min(REST);
        let timer = sleep(first);
        Self {
            connection,
            timer,
            armed: false,
            stage: Stage::Serving,
            stage_since: 0,
            going: 0,
            registered: false,
            looking: false,
            woken: 0,
        }
    }

    /// Hyper is taken off the connection, or put on it.
    fn rest(self: Pin<&mut Self>, resting: bool) {
        let mut this = self.project();
        this.connection.resting.set(resting);
        if !resting {
            *this.woken = now();
        }
        this.timer.as_mut().reset(Instant::now());
        *this.armed = false;
    }

    /// Called after every poll of the connection.
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let mut this = self.project();
        let connection = *this.connection;
        if !*this.registered {
            *this.registered = true;
            connection.open.wake(cx.waker());
        }
        let refuse = connection.clocks.refuse.load(Relaxed);
        // hyper gives way to other connections now and then: that nothing is in flight does not mean that every
        // request before this head is answered.
        if refuse != 0
            && connection.in_flight.get() == 0
            && connection.has_all_that_came()
            && connection.clocks.write_since.load(Relaxed) == 0
        {
            return Poll::Ready(End::Refuse(refuse));
        }
        let stage = connection.drain().stage();
        if stage == Stage::Ended {
            return Poll::Ready(End::Close);
        }
        if stage != *this.stage {
            (*this.stage, *this.stage_since) = (stage, now());
            this.timer.as_mut().reset(Instant::now());
            *this.armed = false;
            if connection.h2 && *this.going == 0 {
                *this.going = now();
                return Poll::Ready(End::GoAway);
            }
        }
        let looking = connection.clocks.unwatched.load(Relaxed) && connection.in_flight.get() > 0;
        if looking != std::mem::replace(this.looking, looking) && looking {
            let soon = this.timer.deadline().min(Instant::now() + LOOK);
            this.timer.as_mut().reset(soon);
            *this.armed = false;
        }
        loop {
            // The waker that a timer was armed with stays this task's: there is nothing to do until it fires.
            if *this.armed && !this.timer.is_elapsed() {
                return Poll::Pending;
            }
            *this.armed = this.timer.as_mut().poll(cx).is_pending();
            if *this.armed {
                return Poll::Pending;
            }
            let marks = Marks {
                draining: *this.stage_since,
                going: *this.going,
                woken: *this.woken,
            };
            match judge(connection, now(), marks) {
                Verdict::Wait(ms) => {
                    let wait = Duration::from_millis(ms);
                    let wait = if looking { wait.min(LOOK) } else { wait };
                    this.timer.as_mut().reset(Instant::now() + wait);
                    if looking {
                        connection.clocks.look.store(true, Relaxed);
                        return Poll::Ready(End::Look);
                    }
                }
                Verdict::End(End::GoAway) => {
                    *this.going = now();
                    this.timer.as_mut().reset(Instant::now() + LINGER);
                    return Poll::Ready(End::GoAway);
                }
                Verdict::End(end) => return Poll::Ready(end),
            }
        }
    }
}
