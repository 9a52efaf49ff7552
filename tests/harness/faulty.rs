//! An upstream that misbehaves in the way it is told, and remembers which requests it saw.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;

use super::client::run;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Connections are reset as they come.
    Refuses,
    /// It reads and never answers.
    BlackHole,
    /// It answers a byte at a time.
    Slow,
    /// The connection is reset in the middle of the head of the answer.
    ResetInHead,
    /// The connection is reset in the middle of the body.
    ResetInBody,
    /// What comes is no HTTP.
    Garbage,
    /// Two lengths that differ.
    TwoLengths,
    /// Less comes than was announced, and then the end.
    TooShort,
    /// It answers before it reads the body, and closes.
    Early,
    /// The alert of a TLS server.
    TlsAlert,
    /// 503.
    Busy,
}

/// The upstream.
pub(crate) struct Faulty {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Faulty {
    /// One with this fault.
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let shared = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = shared.clone();
                std::thread::spawn(move || serve(stream, fault, &seen));
            }
        });
        Self { address, seen }
    }

    /// The targets of the requests whose head it read, in their order.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, fault: Fault, seen: &Mutex<Vec<String>>) {
    if fault == Fault::Refuses {
        return reset(&stream);
    }
    let mut bytes = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut bytes) {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        seen.lock().unwrap().push(target.clone());
        if fault != Fault::Early && !read_body(&mut stream, &mut bytes, &head) {
            return;
        }
        if answer(&mut stream, fault, &target).is_none() {
            return;
        }
    }
}

/// None: the connection is over.
fn answer(stream: &mut TcpStream, fault: Fault, target: &str) -> Option<()> {
    let length = target.len();
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{target}");
    let mut send = |text: &str| stream.write_all(text.as_bytes()).ok();
    match fault {
        Fault::None => send(&whole)?,
        Fault::Refuses => return None,
        Fault::BlackHole => {
            // Until the other side goes.
            let _end = stream.read(&mut [0; 1]);
            return None;
        }
        Fault::Slow => {
            for byte in whole.as_bytes() {
                stream.write_all(&[*byte]).ok()?;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Fault::ResetInHead => {
            send("HTTP/1.1 200 OK\r\ncontent-le")?;
            reset(stream);
            return None;
        }
        Fault::ResetInBody => {
            send(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{target}"
            ))?;
            std::thread::sleep(Duration::from_millis(5));
            reset(stream);
            return None;
        }
        Fault::Garbage => {
            send("\u{1}\u{2}\u{3} what is this\r\n\r\n")?;
            return None;
        }
        Fault::TwoLengths => {
            send(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\ncontent-length: 1\r\n\r\n{target}"
            ))?;
            return None;
        }
        Fault::TooShort => {
            send(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{target}"
            ))?;
            return None;
        }
        Fault::Early => {
            send(&whole)?;
            return None;
        }
        Fault::TlsAlert => {
            // A fatal alert, handshake_failure (RFC 8446, section 6).
            stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).ok()?;
            return None;
        }
        Fault::Busy => send("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")?,
    }
    Some(())
}

fn reset(stream: &TcpStream) {
    let _closed_already = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// The next head, out of what was read and what comes.
fn read_head(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<String> {
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let rest = bytes.split_off(end + 4);
            let head = std::mem::replace(bytes, rest);
            return Some(String::from_utf8_lossy(&head).into_owned());
        }
        read_more(stream, bytes)?;
    }
}

/// Reads a body with a length; whether it came whole.
fn read_body(stream: &mut TcpStream, bytes: &mut Vec<u8>, head: &str) -> bool {
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let length: usize = length.unwrap_or(0);
    while bytes.len() < length {
        if read_more(stream, bytes).is_none() {
            return false;
        }
    }
    bytes.drain(..length);
    true
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 16 << 10];
    match stream.read(&mut chunk) {
        Ok(0) | Err(_) => None,
        Ok(length) => {
            bytes.extend_from_slice(&chunk[..length]);
            Some(())
        }
    }
}

/// A listener that nobody accepts from, and whose queue is full: the kernel answers no more.
pub(crate) struct Full {
    pub(crate) address: SocketAddr,
    _held: (TcpListener, Vec<TcpStream>),
}

impl Full {
    pub(crate) fn start() -> Self {
        let listener = run(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.listen(1).unwrap().into_std().unwrap()
        });
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queue.push(stream);
            assert!(queue.len() < 100, "the queue has no end");
        }
        let _held = (listener, queue);
        Self { address, _held }
    }
}
