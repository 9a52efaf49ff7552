//! HTTP/2 by hand, over clear text with prior knowledge (RFC 9113, 3.3) or over TLS: each frame is what the test says.
//!
//! Heads are encoded as literals that no table keeps (RFC 7541, 6.2.2), so that a broken one is as easy to write
//! as a good one.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustls::version::TLS13;

use super::gateway::Gateway;
use super::tls::{self, Tls};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Also the ACK of SETTINGS and PING.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// SETTINGS_INITIAL_WINDOW_SIZE.
pub(crate) const INITIAL_WINDOW: u16 = 4;

const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM and GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A whole response: its status and the length of its body.
    Answer(u16, usize),
    /// RST_STREAM with this code, after so many bytes of a body.
    Reset(u32, usize),
    /// GOAWAY that leaves the stream out, or any with an error.
    Away(u32),
    /// The connection closed without a word.
    Closed,
}

/// Where a client comes in.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    /// With the name of the other side.
    tls: Option<(Tls, &'static str)>,
}

impl Door {
    /// The listeners `public` and `secure`, whose certificate is `a.pem` for the name `a`.
    pub(crate) fn both(gateway: &Gateway) -> [Self; 2] {
        let trusted = tls::read(gateway.directory.path(), "a");
        let tls = Tls::trusting([trusted], &TLS13, &["h2"]);
        [
            gateway.listener("public").into(),
            Self {
                address: gateway.listener("secure"),
                tls: Some((tls, "a")),
            },
        ]
    }
}

impl From<SocketAddr> for Door {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// A client of one connection.
pub(crate) struct Http2 {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

impl Http2 {
    pub(crate) fn connect(door: impl Into<Door>) -> Self {
        Self::with(door, &[])
    }

    /// With settings of its own beside a header table of 0 bytes.
    pub(crate) fn with(door: impl Into<Door>, settings: &[(u16, u32)]) -> Self {
        let door = door.into();
        let stream = TcpStream::connect(door.address).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        stream.set_write_timeout(patience).unwrap();
        stream.set_nodelay(true).unwrap();
        let stream: Box<dyn Stream> = match door.tls {
            Some((tls, name)) => Box::new(tls.over(stream, name)),
            None => Box::new(stream),
        };
        let mut client = Self {
            stream,
            read: Vec::new(),
        };
        let mut payload = setting(HEADER_TABLE_SIZE, 0);
        for (id, value) in settings {
            payload.extend(setting(*id, *value));
        }
        client.send(PREFACE);
        client.frame(SETTINGS, 0, 0, &payload);
        client
    }

    /// Writes bytes; `false` once the other side takes no more.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.send(&frame(kind, flags, stream, payload))
    }

    /// A GET for `path`.
    pub(crate) fn get(&mut self, stream: u32, path: &str) -> bool {
        let block = head(&get_fields(path));
        self.frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
    }

    pub(crate) fn window_update(&mut self, stream: u32, by: u32) -> bool {
        self.frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
    }

    /// The next frame; `None` when the connection is over. SETTINGS are acknowledged on the way.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(frame) = self.parse() {
                if frame.kind == SETTINGS && frame.flags & END_STREAM == 0 {
                    self.frame(SETTINGS, END_STREAM, 0, &[]);
                }
                return Some(frame);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(length) => self.read.extend_from_slice(&chunk[..length]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        panic!("the gateway said nothing for 20 s")
                    }
                    _ => return None,
                },
            }
        }
    }

    fn parse(&mut self) -> Option<Frame> {
        let header = self.read.get(..9)?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let (kind, flags) = (header[3], header[4]);
        let stream = u32::from_be_bytes(header[5..9].try_into().unwrap());
        let payload = self.read.get(9..9 + length)?.to_vec();
        self.read.drain(..9 + length);
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    /// Reads until the stream is over, one way or another. No window is given back.
    pub(crate) fn outcome(&mut self, stream: u32) -> Outcome {
        let (mut code, mut body, mut away) = (0, 0, None);
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                away = Some(frame.code());
            }
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                HEADERS if code == 0 => code = status(&frame.payload),
                DATA => body += frame.payload.len(),
                RST_STREAM => return Outcome::Reset(frame.code(), body),
                _ => {}
            }
            if frame.ends_stream() {
                return Outcome::Answer(code, body);
            }
        }
        away.map_or(Outcome::Closed, Outcome::Away)
    }

    /// Reads to the end of the connection; the code of the last GOAWAY, if one came.
    pub(crate) fn away(&mut self) -> Option<u32> {
        let mut away = None;
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                away = Some(frame.code());
            }
        }
        away
    }

    /// Sends PING and reads until its ACK: by then everything sent before was looked at. What came meanwhile, or
    /// until the connection ended.
    pub(crate) fn round_trip(&mut self) -> Result<Vec<Frame>, Vec<Frame>> {
        self.frame(PING, 0, 0, b"are you?");
        let mut met = Vec::new();
        loop {
            match self.next() {
                None => return Err(met),
                Some(frame) if frame.kind == PING && frame.payload == b"are you?" => {
                    return Ok(met);
                }
                Some(frame) => met.push(frame),
            }
        }
    }
}

/// The fields of a GET.
pub(crate) fn get_fields(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", path),
    ]
}

/// A frame as bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// One setting as the payload of SETTINGS.
pub(crate) fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A header block of literals.
pub(crate) fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(&mut block, name.as_bytes());
        text(&mut block, value.as_bytes());
    }
    block
}

/// A string literal, not Huffman-coded (RFC 7541, 5.2).
pub(crate) fn text(block: &mut Vec<u8>, value: &[u8]) {
    let mut left = value.len();
    if left < 127 {
        block.push(u8::try_from(left).unwrap());
    } else {
        block.push(127);
        left -= 127;
        while left >= 128 {
            block.push(u8::try_from(left % 128).unwrap() | 128);
            left /= 128;
        }
        block.push(u8::try_from(left).unwrap());
    }
    block.extend_from_slice(value);
}

/// The status in a header block: an entry of the static table, or a literal under its name.
fn status(block: &[u8]) -> u16 {
    let mut rest = block;
    while rest[0] & 0xe0 == 0x20 {
        rest = &rest[1..];
    }
    match rest[0] {
        at @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(at - 0x88)],
        0x48 | 0x18 | 0x08 => {
            let length = usize::from(rest[1] & 0x7f);
            let value = &rest[2..2 + length];
            let digits = if rest[1] & 0x80 == 0 {
                value.iter().map(|byte| u16::from(byte - b'0')).collect()
            } else {
                huffman_digits(value)
            };
            digits.iter().fold(0, |status, digit| status * 10 + digit)
        }
        other => panic!("{other:#x} does not begin a :status"),
    }
}

/// Three digits (RFC 7541, appendix B): 0 to 2 are five bits, 3 to 9 are six.
fn huffman_digits(bytes: &[u8]) -> Vec<u16> {
    let bits = bytes
        .iter()
        .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    let mut left = 8 * bytes.len();
    let mut digits = Vec::new();
    while digits.len() < 3 {
        let short = (bits >> (left - 5)) & 31;
        if short < 3 {
            left -= 5;
            digits.push(u16::try_from(short).unwrap());
        } else {
            left -= 6;
            digits.push(u16::try_from((bits >> left) & 63).unwrap() - 0b01_1001 + 3);
        }
    }
    digits
}
