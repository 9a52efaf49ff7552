//! HTTP/2 by hand, frame by frame (RFC 9113): for what a client library would hide.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::gateway::PATIENCE;

/// Frame types.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// Flags.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// One frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Whether its stream has said everything.
    pub(crate) fn ends_stream(&self) -> bool {
        self.flags & END_STREAM != 0 && matches!(self.kind, DATA | HEADERS)
    }
}

/// A connection with prior knowledge. It gives no window of its own accord.
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Connects and sends the preface and empty SETTINGS.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .unwrap();
        let mut connection = Self { stream };
        connection.write(SETTINGS, 0, 0, &[]);
        connection
    }

    /// Asks for a path with a GET.
    pub(crate) fn get(&mut self, stream: u32, path: &str) {
        // The static table has `:method: GET` (2) and `:scheme: http` (6); the others are literals (RFC 7541).
        let mut block = vec![0x82, 0x86];
        for (index, value) in [(0x04, path), (0x01, "gateway.test")] {
            block.push(index);
            block.push(u8::try_from(value.len()).unwrap());
            block.extend_from_slice(value.as_bytes());
        }
        self.write(HEADERS, END_STREAM | END_HEADERS, stream, &block);
    }

    /// The next frame, or `None` at the end. SETTINGS and PING are acknowledged and not shown.
    pub(crate) fn read(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).ok()?;
            let (kind, flags) = (head[3], head[4]);
            match kind {
                SETTINGS | PING if flags & ACK == 0 => {
                    let echo = if kind == PING { &payload[..] } else { &[] };
                    self.write(kind, ACK, 0, echo);
                }
                SETTINGS | PING | WINDOW_UPDATE => {}
                _ => {
                    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
                    return Some(Frame {
                        kind,
                        flags,
                        stream,
                        payload,
                    });
                }
            }
        }
    }

    fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // The other side may have gone.
        let _gone = self.stream.write_all(&frame);
    }
}
