//! A request on its way out.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Body as _;
use tokio::io::AsyncWrite;

use super::request::{Length, Message, field};
use crate::message::body::{BodyFault, Outgoing};
use crate::net::Stream;

/// The part of a request that was not written yet.
pub(in crate::upstream) struct Sending {
    /// The head, or the line before a chunk; then `data`, then `end`.
    line: Vec<u8>,
    at: usize,
    data: Bytes,
    end: &'static [u8],
    /// What still comes, and how it is framed.
    body: Option<Outgoing>,
    length: Length,
    /// Whether the upstream is told that it is the last on its connection.
    last: bool,
    begun: bool,
    moved: bool,
}

/// Why no more of a request is sent.
#[derive(Debug)]
pub(in crate::upstream) enum Stopped {
    /// The upstream does not take it.
    Write(io::Error),
    /// The client's body broke.
    Body(BodyFault),
}

impl Sending {
    /// A request whose head is written into `line`, an empty buffer; `last` on its connection or not. Its body has
    /// begun.
    pub(in crate::upstream) fn new(
        message: &Message<'_>,
        body: Outgoing,
        last: bool,
        mut line: Vec<u8>,
    ) -> Self {
        let length = message.length(&body);
        message.write(length, last, &mut line);
        let (data, body) = match body {
            Outgoing::Empty => (Bytes::new(), None),
            Outgoing::Full(bytes) => (bytes, None),
            streamed => (Bytes::new(), Some(streamed)),
        };
        Self {
            line,
            at: 0,
            data,
            end: b"",
            body,
            length,
            last,
            begun: false,
            moved: false,
        }
    }

    /// Whether it is the last on its connection.
    pub(in crate::upstream) fn is_last(&self) -> bool {
        self.last
    }

    /// The buffer of the head, once it is out.
    pub(in crate::upstream) fn into_buffer(self) -> Vec<u8> {
        self.line
    }

    /// Its body, where nothing of either was taken.
    pub(in crate::upstream) fn into_body(self) -> Option<Outgoing> {
        match self.body {
            _ if self.begun => None,
            None => Some(Outgoing::full(self.data)),
            Some(body) if self.data.is_empty() => Some(body),
            Some(_) => None,
        }
    }

    /// Whether a byte of it was written.
    pub(in crate::upstream) fn begun(&self) -> bool {
        self.begun
    }

    /// Whether something was written since this was asked last.
    pub(in crate::upstream) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Whether bytes wait for the upstream to take them, rather than for the client to send them.
    pub(in crate::upstream) fn stalled(&self) -> bool {
        self.unwritten() > 0
    }

    fn unwritten(&self) -> usize {
        self.line.len() - self.at + self.data.len() + self.end.len()
    }

    /// Writes what can be written. Ready when everything was.
    pub(in crate::upstream) fn poll(
        &mut self,
        io: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Stopped>> {
        // The first piece of a body goes out together with the head.
        if self.body.is_some() && !self.begun && self.data.is_empty() {
            ready!(self.poll_body(cx))?;
        }
        loop {
            while self.unwritten() > 0 {
                let written = ready!(self.write(io, cx)).map_err(Stopped::Write)?;
                self.begun = true;
                self.moved = true;
                self.advance(written);
            }
            if self.body.is_none() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_body(cx))?;
        }
    }

    /// Takes the next piece of the body, or its end.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(Ok(()));
        };
        Poll::Ready(match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.queue(data),
                Err(frame) => self.finish(frame.into_trailers().ok().as_ref()),
            },
            None => self.finish(None),
            Some(Err(fault)) => Err(Stopped::Body(fault)),
        })
    }

    fn write(&self, io: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let line = &self.line[self.at..];
        let written = if self.data.is_empty() && self.end.is_empty() {
            ready!(Pin::new(io).poll_write(cx, line))?
        } else {
            let parts = [line, &self.data, self.end].map(IoSlice::new);
            ready!(Pin::new(io).poll_write_vectored(cx, &parts))?
        };
        Poll::Ready(match written {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => Ok(written),
        })
    }

    fn advance(&mut self, mut written: usize) {
        let line = written.min(self.line.len() - self.at);
        self.at += line;
        written -= line;
        let data = written.min(self.data.len());
        self.data.advance(data);
        self.end = &self.end[written - data..];
        if self.at == self.line.len() {
            self.line.clear();
            self.at = 0;
        }
    }

    fn queue(&mut self, data: Bytes) -> Result<(), Stopped> {
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.length {
            Length::Chunked => {
                // Writing to a vector does not fail.
                let _written = write!(self.line, "{:x}\r\n", data.len());
                self.end = b"\r\n";
            }
            Length::Known(left) => {
                *left = left
                    .checked_sub(data.len() as u64)
                    .ok_or(Stopped::Body(BodyFault::Broken))?;
            }
            Length::None => return Err(Stopped::Body(BodyFault::Broken)),
        }
        self.data = data;
        Ok(())
    }

    fn finish(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Stopped> {
        self.body = None;
        match self.length {
            Length::Known(left) if left > 0 => return Err(Stopped::Body(BodyFault::Broken)),
            Length::Known(_) | Length::None => {}
            Length::Chunked => {
                self.line.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    field(&mut self.line, name.as_str(), value);
                }
                self.line.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }
}
