//! One exchange after another on a connection that is kept.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a request has no good answer.
pub(crate) enum Failure {
    /// It was answered, but not with 2xx.
    Status,
    /// It was not answered.
    Connection,
}

/// A connection that is made when it is needed.
pub(crate) struct Connection<'a> {
    address: &'a str,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(address: &'a str) -> Self {
        Self {
            address,
            stream: None,
            buffer: vec![0; 64 << 10],
        }
    }

    /// Sends the request and reads its whole answer.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<(), Failure> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().map_err(|_| Failure::Connection)?,
        };
        stream.write_all(request).map_err(|_| Failure::Connection)?;
        let answer = read(&mut stream, &mut self.buffer).ok_or(Failure::Connection)?;
        if answer.keep {
            self.stream = Some(stream);
        }
        match answer.status {
            200..=299 => Ok(()),
            _ => Err(Failure::Status),
        }
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(stream)
    }
}

struct Answer {
    status: u16,
    keep: bool,
}

/// `None` if the answer does not come whole, or has no `Content-Length`.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Option<Answer> {
    let mut filled = 0;
    let head = loop {
        let count = stream.read(buffer.get_mut(filled..)?).ok()?;
        if count == 0 {
            return None;
        }
        let from = filled.saturating_sub(3);
        filled += count;
        if let Some(at) = find(&buffer[from..filled], b"\r\n\r\n") {
            break from + at + 4;
        }
    };
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let length: usize = field(text, "content-length")?.parse().ok()?;
    let close = field(text, "connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
    let mut left = (head + length).checked_sub(filled)?;
    while left > 0 {
        let room = left.min(buffer.len());
        match stream.read(&mut buffer[..room]).ok()? {
            0 => return None,
            count => left -= count,
        }
    }
    Some(Answer {
        status,
        keep: !close,
    })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn field<'t>(head: &'t str, name: &str) -> Option<&'t str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
