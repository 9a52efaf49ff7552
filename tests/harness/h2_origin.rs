//! An origin of HTTP/2 in clear text, frame by frame: what a server library would not do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::frames::{DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, SETTINGS};

const ACK: u8 = 1;
const PREFACE: usize = 24;

/// It does what it was told with each connection, in a thread of its own.
pub(crate) struct FrameOrigin {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

/// One connection of it.
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    requests: Arc<AtomicUsize>,
}

impl FrameOrigin {
    pub(crate) fn start(serve: impl Fn(Link) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (serve, counted, asked) = (Arc::new(serve), connections.clone(), requests.clone());
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                counted.fetch_add(1, Relaxed);
                let (serve, requests) = (serve.clone(), asked.clone());
                let link = Link { stream, requests };
                std::thread::spawn(move || serve(link));
            }
        });
        Self {
            address,
            connections,
            requests,
        }
    }

    /// How many connections it took.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// How many heads of requests came.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }
}

impl Link {
    /// Takes the preface, and says what it allows: identifiers and values.
    pub(crate) fn begin(&mut self, settings: &[(u16, u32)]) -> Option<()> {
        self.stream.read_exact(&mut [0; PREFACE]).ok()?;
        let one = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        let payload: Vec<u8> = settings.iter().flat_map(one).collect();
        self.send(SETTINGS, 0, 0, &payload);
        Some(())
    }

    /// The next frame, but for SETTINGS and PING, which are acknowledged; none at the end.
    pub(crate) fn read(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).ok()?;
            let [_, _, _, kind, flags, stream @ ..] = head;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).ok()?;
            if matches!(kind, SETTINGS | PING) {
                if flags & ACK == 0 {
                    let echo = if kind == PING { &payload[..] } else { &[] };
                    self.send(kind, ACK, 0, echo);
                }
                continue;
            }
            if kind == HEADERS {
                self.requests.fetch_add(1, Relaxed);
            }
            return Some(Frame {
                kind,
                flags,
                stream: u32::from_be_bytes(stream),
                payload,
            });
        }
    }

    /// The next request that is whole, by its stream; none at the end.
    pub(crate) fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.read()?;
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                return Some(frame.stream);
            }
        }
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let stream = stream.to_be_bytes();
        let frame = [&[a, b, c, kind, flags], &stream[..], payload].concat();
        // The other side may have gone.
        let _gone = self.stream.write_all(&frame);
    }

    /// 200, `ok`.
    pub(crate) fn answer(&mut self, stream: u32) {
        // The static table has `:status: 200` (8).
        self.send(HEADERS, END_HEADERS, stream, &[0x88]);
        self.send(DATA, END_STREAM, stream, b"ok");
    }

    /// GOAWAY that leaves out what is behind `last`.
    pub(crate) fn go_away(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.send(GOAWAY, 0, 0, &payload);
    }
}
