//! A connection that carries one exchange after another and never blocks.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

/// What a read brought.
pub(crate) enum Progress {
    /// More is to come.
    Partial,
    /// The whole answer.
    Answer { status: u16, keep: bool },
    /// No answer, and none will come.
    Closed,
}

pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// When the request under way was due.
    pub(crate) due: Option<Instant>,
    buffer: Vec<u8>,
    filled: usize,
    answer: Option<Answer>,
}

/// An answer whose head is read.
struct Answer {
    status: u16,
    keep: bool,
    /// Bytes of the body that are to come.
    left: usize,
}

impl Connection {
    pub(crate) fn open(address: &str) -> io::Result<Self> {
        Ok(Self {
            stream: connect(address)?,
            due: None,
            buffer: vec![0; 64 << 10],
            filled: 0,
            answer: None,
        })
    }

    /// False if the connection is broken. A request fits in the socket's buffer, since nothing else is in it.
    pub(crate) fn send(&mut self, request: &[u8], due: Instant) -> bool {
        let sent = self
            .stream
            .write(request)
            .is_ok_and(|count| count == request.len());
        self.due = sent.then_some(due);
        sent
    }

    /// Reads once.
    pub(crate) fn receive(&mut self) -> Progress {
        let count = match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Progress::Closed,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Partial,
            Err(_) => return Progress::Closed,
        };
        let answer = match &mut self.answer {
            Some(answer) if count > answer.left => return Progress::Closed,
            Some(answer) => {
                answer.left -= count;
                answer
            }
            None => {
                self.filled += count;
                match head(&self.buffer[..self.filled]) {
                    Head::Partial => return Progress::Partial,
                    Head::Unusable => return Progress::Closed,
                    Head::Whole(answer) => self.answer.insert(answer),
                }
            }
        };
        // What follows of the body may overwrite what was read.
        self.filled = 0;
        if answer.left > 0 {
            return Progress::Partial;
        }
        let (status, keep) = (answer.status, answer.keep);
        self.answer = None;
        self.due = None;
        Progress::Answer { status, keep }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

enum Head {
    Partial,
    /// Not HTTP/1.1, or without `Content-Length`.
    Unusable,
    Whole(Answer),
}

fn head(bytes: &[u8]) -> Head {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Head::Partial;
    };
    let answer = std::str::from_utf8(&bytes[..end]).ok().and_then(|text| {
        let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let length: usize = field(text, "content-length")?.parse().ok()?;
        let close = field(text, "connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        Some(Answer {
            status,
            keep: !close,
            left: (end + 4 + length).checked_sub(bytes.len())?,
        })
    });
    answer.map_or(Head::Unusable, Head::Whole)
}

fn field<'t>(head: &'t str, name: &str) -> Option<&'t str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
