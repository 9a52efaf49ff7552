//! One request on one connection, until the head of the answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode};
use tokio::io::{AsyncRead, ReadBuf};

use super::body::Body;
use super::head::{Head, parse};
use super::sending::{Sending, Stopped};
use crate::message::body::BodyFault;
use crate::message::error::ErrorKind;
use crate::message::head::ResponseHead;
use crate::message::interim::Interim;
use crate::message::upgrade;
use crate::upstream::endpoint::Picked;
use crate::upstream::error::{MAX_INFORMATIONAL, SendError, TOO_MANY_INFORMATIONAL};
use crate::upstream::pool::{Client, Connection};
use crate::upstream::times::{End, Silence};

/// One request on one connection, until the head of the answer.
pub(in crate::upstream) struct Attempt<'a> {
    client: &'a Client,
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
    /// Takes them, where the client can.
    interim: Option<&'a Interim>,
}

impl<'a> Attempt<'a> {
    pub(in crate::upstream) fn new(
        client: &'a Client,
        mut connection: Box<Connection>,
        sending: Sending,
        since: Instant,
        interim: Option<&'a Interim>,
    ) -> Self {
        if sending.is_last() {
            connection.make_last();
        }
        Self {
            client,
            connection,
            sending: Some(sending),
            answered: false,
            stopped: None,
            since,
            first: true,
            informational: 0,
            interim,
        }
    }

    /// The head of the answer, and what came after it; and whom it waits for.
    #[inline]
    pub(in crate::upstream) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        limit: Duration,
        end: Option<End>,
        silence: &mut Silence,
    ) -> Poll<Result<(Head, Bytes), SendError>> {
        let polled = self.poll_until(cx, method, limit, end);
        *silence = match &polled {
            // It may go out again.
            Poll::Ready(Err(error)) if error.kind == ErrorKind::BadGateway => Silence::Elsewhere,
            _ => Silence::of(self.since, self.sending.is_none()),
        };
        polled
    }

    fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        limit: Duration,
        end: Option<End>,
    ) -> Poll<Result<(Head, Bytes), SendError>> {
        // An answer that is there before the rest of the request is out is an early one: the upstream may never read
        // that rest.
        if self.sending.as_ref().is_some_and(Sending::begun)
            && let Poll::Ready(answered) = self.poll_answer(cx, method)
        {
            return Poll::Ready(answered);
        }
        let waits_for_client = match self.send(cx) {
            Ok(waits_for_client) => waits_for_client,
            Err(fault) => return Poll::Ready(Err(SendError::body(fault).sent(self.begun()))),
        };
        if let Poll::Ready(answered) = self.poll_answer(cx, method) {
            return Poll::Ready(answered);
        }
        // While the client still sends its body, only the end counts: the body has a clock of its own.
        let patience = (!waits_for_client).then(|| self.since + limit);
        let (at, kind) = match (patience, end) {
            (Some(patience), Some(end)) if end.at < patience => (end.at, end.kind),
            (Some(patience), _) => (patience, ErrorKind::UpstreamTimeout),
            (None, Some(end)) => (end.at, end.kind),
            (None, None) => return Poll::Pending,
        };
        ready!(self.connection.timer.poll(cx, at));
        Poll::Ready(Err(
            SendError::new(kind, "no answer in time").sent(self.begun())
        ))
    }

    /// The head of the answer, and what came after it.
    #[inline]
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
    ) -> Poll<Result<(Head, Bytes), SendError>> {
        loop {
            let input = match ready!(self.receive(cx)) {
                Ok(input) if !input.is_empty() => input,
                ended => return Poll::Ready(Err(self.ended(ended.err()))),
            };
            match self.read(input, method) {
                Ok(None) => {}
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Err(why) => return Poll::Ready(Err(SendError::protocol(why).sent(true))),
            }
        }
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
            Poll::Ready(Ok(())) => {
                let sent = self.sending.take().map(Sending::into_buffer);
                self.client.keep_spare(sent.unwrap_or_default());
            }
            Poll::Ready(Err(Stopped::Body(fault))) => return Err(fault),
            Poll::Ready(Err(Stopped::Write(error))) => self.stopped = Some(error),
            Poll::Pending => return Ok(!stalled),
        }
        Ok(false)
    }

    /// What came, in one piece with what came before it; nothing at the end.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let connection = &mut *self.connection;
        let mut scratch = self.client.scratch.lock();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut connection.io).poll_read(cx, &mut buffer))?;
        let received = Bytes::copy_from_slice(buffer.filled());
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
            let parsed = parse(&input, method).map_err(|error| error.to_string())?;
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
                return Err(TOO_MANY_INFORMATIONAL.into());
            }
            if let Some(interim) = self.interim {
                interim.add(head.status, head.headers);
            }
        }
        Ok(None)
    }

    fn ended(&mut self, error: Option<io::Error>) -> SendError {
        let error = error.or_else(|| self.stopped.take());
        if let Some(error) = &error
            && !self.answered
            && let Some(why) = self.connection.refusal(error)
        {
            return SendError::new(ErrorKind::Tls, why);
        }
        let why = match error {
            Some(error) => format!("the connection broke before the answer: {error}"),
            None => "the connection closed before the answer".into(),
        };
        SendError::protocol(why).sent(self.begun())
    }

    /// Whether a byte of an answer came.
    pub(in crate::upstream) fn answered(&self) -> bool {
        self.answered
    }

    /// What was not written of the request; none where all was.
    pub(in crate::upstream) fn into_sending(self) -> Option<Sending> {
        self.sending
    }

    /// Whether a byte of the request was written.
    fn begun(&self) -> bool {
        self.sending.as_ref().is_none_or(Sending::begun)
    }

    pub(in crate::upstream) fn answer(
        self,
        mut head: Head,
        rest: Bytes,
        asked: Option<&HeaderValue>,
        idle: Duration,
        picked: Picked,
    ) -> Result<(ResponseHead, Body), SendError> {
        head.keep_alive &= self.stopped.is_none();
        let body = if head.status != StatusCode::SWITCHING_PROTOCOLS {
            let sending = self.sending.filter(|_| self.stopped.is_none());
            Body::new(&head, rest, self.connection, sending, idle, picked)
        } else if asked.is_some_and(|asked| upgrade::is_answered(asked, &head.headers)) {
            Body::switched(rest, self.connection, idle, picked)
        } else {
            let why = "it switched protocols unasked, or to one that was not asked for";
            return Err(SendError::protocol(why).sent(true));
        };
        let head = ResponseHead {
            status: head.status,
            headers: head.headers,
        };
        Ok((head, body))
    }
}
