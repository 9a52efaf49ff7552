//! One request to one upstream: a connection from the pool or a new one, and the head of the answer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

use super::h1::{self, Head, Message, ResponseBody, Sending, Stopped};
use super::pool::{self, Connection, Open};
use super::{Endpoint, Upstream};
use crate::message::body::{BodyFault, Outgoing};
use crate::message::head::ResponseHead;

/// Informational responses an upstream may send before its answer; more is an attack or a fault.
const MAX_INFORMATIONAL: u8 = 8;

/// How much of an answer is read at once, its head included.
const READ: usize = 16 << 10;

thread_local! {
    /// Where answers are read first. What came is copied out at its own size, so that a waiting connection
    /// holds no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// Why there is no answer.
#[derive(Debug)]
pub enum SendError {
    /// No connection; the text says why.
    Connect(String),
    /// Every connection of the pool is taken.
    Saturated,
    /// The head of the answer did not come in time.
    Timeout,
    /// The body of the request broke before the answer came.
    Body(BodyFault),
    /// What came was not HTTP, or the connection ended first; the text says why.
    Protocol(String),
}

/// When things happen.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Now.
    pub now: Instant,
    /// When the exchange as a whole must be over.
    pub deadline: Option<Instant>,
}

/// Sends a request and waits for the head of the answer.
///
/// It goes out again on another connection only where no byte of it went out, or where it is idempotent, has no
/// body, and a kept-alive connection broke before a byte of the answer came: the upstream closed it while the
/// request was under way.
///
/// A 101 is an answer only where `message` asks for an upgrade. Cancelling it closes the connection.
///
/// # Errors
/// Where there is no answer.
pub async fn send(
    upstream: &Upstream,
    endpoint: &Endpoint,
    times: Times,
    message: Message<'_>,
    body: Outgoing,
) -> Result<(ResponseHead, ResponseBody), SendError> {
    let bodiless = matches!(body, Outgoing::Empty);
    let mut sending = Some(Sending::new(message, body));
    let mut pooled = true;
    loop {
        let kept = pooled.then(|| pool::take(endpoint, times.now)).flatten();
        let reused = kept.is_some();
        let (connection, since) = match kept {
            Some(connection) => (connection, times.now),
            None => (Box::pin(connect(upstream, endpoint)).await?, Instant::now()),
        };
        let request = sending.take();
        let request = request.unwrap_or_else(|| Sending::new(message, Outgoing::Empty));
        let mut attempt = Attempt::new(connection, request, since);
        let limit = upstream.config.first_byte_timeout;
        let error =
            match poll_fn(|cx| attempt.poll(cx, message.method, limit, times.deadline)).await {
                Ok((head, rest)) => {
                    return attempt.answer(head, rest, message, upstream.config.idle_timeout);
                }
                Err(error) => error,
            };
        if !reused || attempt.answered || !matches!(error, SendError::Protocol(_)) {
            return Err(error);
        }
        match attempt.sending {
            Some(unsent) if !unsent.begun() => sending = Some(unsent),
            _ if bodiless && message.method.is_idempotent() => pooled = false,
            _ => return Err(error),
        }
    }
}

/// Opens a connection.
async fn connect(upstream: &Upstream, endpoint: &Endpoint) -> Result<Box<Connection>, SendError> {
    let counted = Open::count(upstream).ok_or(SendError::Saturated)?;
    let limit = upstream.config.connect_timeout;
    let address = endpoint.address;
    match timeout(limit, Connection::open(upstream, endpoint, counted)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(SendError::Connect(format!("{address}: {error}"))),
        Err(_) => Err(SendError::Connect(format!(
            "{address}: no connection within {limit:?}"
        ))),
    }
}

/// One request on one connection, until the head of the answer.
struct Attempt {
    connection: Box<Connection>,
    /// None once it is out.
    sending: Option<Sending>,
    /// Whether a byte of an answer came.
    answered: bool,
    /// Why the upstream takes no more of the request. It may have answered before it closed.
    stopped: Option<io::Error>,
    /// When the request was out, or last moved.
    since: Instant,
    /// Whether `since` is the beginning.
    first: bool,
    informational: u8,
}

impl Attempt {
    fn new(connection: Box<Connection>, sending: Sending, since: Instant) -> Self {
        Self {
            connection,
            sending: Some(sending),
            answered: false,
            stopped: None,
            since,
            first: true,
            informational: 0,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        limit: Duration,
        deadline: Option<Instant>,
    ) -> Poll<Result<(Head, Bytes), SendError>> {
        let waits_for_client = match self.send(cx) {
            Ok(waits_for_client) => waits_for_client,
            Err(fault) => return Poll::Ready(Err(SendError::Body(fault))),
        };
        loop {
            match self.receive(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(input)) if !input.is_empty() => match self.read(input, method) {
                    Ok(None) => {}
                    Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                    Err(why) => return Poll::Ready(Err(SendError::Protocol(why))),
                },
                Poll::Ready(ended) => return Poll::Ready(Err(self.ended(ended.err()))),
            }
        }
        // While the client still sends its body, only the deadline counts: the body has a clock of its own.
        let patience = (!waits_for_client).then(|| self.since + limit);
        let at = match (patience, deadline) {
            (Some(patience), Some(deadline)) => patience.min(deadline),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => return Poll::Pending,
        };
        ready!(self.connection.timer.poll(cx, at));
        Poll::Ready(Err(SendError::Timeout))
    }

    /// Sends more of the request; whether it waits for the client.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<bool, BodyFault> {
        let Some(sending) = &mut self.sending else {
            return Ok(false);
        };
        if self.stopped.is_some() {
            return Ok(false);
        }
        let polled = sending.poll(&mut self.connection.io, cx);
        let (moved, stalled) = (sending.take_moved(), sending.stalled());
        if moved && !std::mem::take(&mut self.first) {
            self.since = Instant::now();
        }
        match polled {
            Poll::Ready(Ok(())) => self.sending = None,
            Poll::Ready(Err(Stopped::Body(fault))) => return Err(fault),
            Poll::Ready(Err(Stopped::Write(error))) => self.stopped = Some(error),
            Poll::Pending => return Ok(!stalled),
        }
        Ok(false)
    }

    /// What came, in one piece with what came before it; nothing at the end.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let connection = &mut *self.connection;
        let received = SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut connection.io).poll_read(cx, &mut buffer))?;
            Poll::Ready(io::Result::Ok(Bytes::copy_from_slice(buffer.filled())))
        });
        let received = ready!(received)?;
        if connection.read.is_empty() || received.is_empty() {
            return Poll::Ready(Ok(received));
        }
        connection.read.extend_from_slice(&received);
        Poll::Ready(Ok(connection.read.split().freeze()))
    }

    /// The answer in `input`, and what came after its head; none if more must come first.
    fn read(&mut self, mut input: Bytes, method: &Method) -> Result<Option<(Head, Bytes)>, String> {
        self.answered = true;
        while !input.is_empty() {
            let parsed = h1::parse(&input, method).map_err(|error| error.to_string())?;
            let Some((head, length)) = parsed else {
                self.connection.read = BytesMut::from(&input[..]);
                break;
            };
            input.advance(length);
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Some((head, input)));
            }
            self.informational += 1;
            if self.informational > MAX_INFORMATIONAL {
                return Err("more than 8 informational responses".into());
            }
        }
        Ok(None)
    }

    fn ended(&mut self, error: Option<io::Error>) -> SendError {
        SendError::Protocol(match error.or_else(|| self.stopped.take()) {
            Some(error) => format!("the connection broke before the answer: {error}"),
            None => "the connection closed before the answer".into(),
        })
    }

    fn answer(
        self,
        mut head: Head,
        rest: Bytes,
        message: Message<'_>,
        idle: Duration,
    ) -> Result<(ResponseHead, ResponseBody), SendError> {
        head.keep_alive &= self.stopped.is_none();
        let body = if head.status != StatusCode::SWITCHING_PROTOCOLS {
            let sending = self.sending.filter(|_| self.stopped.is_none());
            ResponseBody::new(&head, rest, self.connection, sending, idle)
        } else if message.upgrade.is_some() {
            ResponseBody::switched(rest, self.connection)
        } else {
            return Err(SendError::Protocol("it switched protocols unasked".into()));
        };
        let head = ResponseHead {
            status: head.status,
            headers: head.headers,
        };
        Ok((head, body))
    }
}
