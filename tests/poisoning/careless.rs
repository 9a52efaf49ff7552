//! An upstream that answers what it takes for requests: bodies are heads to it, as those of a GET are to Python's
//! `http.server`. It can send more than its answers.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A server of HTTP/1.1 with a thread per connection. It answers each head in its turn with the `id` in its target, and
/// ends a connection where it is told to.
pub(super) struct Careless {
    pub(super) address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    /// The first lines of what it took for requests.
    lines: Mutex<Vec<String>>,
    /// When each answer was in the kernel of the other side, by its body.
    written: Mutex<HashMap<String, Instant>>,
}

impl Careless {
    pub(super) fn start() -> Self {
        Self::listen(false)
    }

    /// Behind each answer comes another, in a segment of its own, unless the connection ends.
    pub(super) fn with_surplus() -> Self {
        Self::listen(true)
    }

    fn listen(surplus: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Log::default());
        let shared = log.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let log = shared.clone();
                // The gateway may end the connection at any byte.
                std::thread::spawn(move || drop(serve(stream, surplus, &log)));
            }
        });
        Self { address, log }
    }

    /// The first lines of what it took for requests so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().clone()
    }

    /// Whether an answer was in the gateway's kernel before `at`.
    pub(super) fn wrote_before(&self, answer: &str, at: Instant) -> bool {
        let written = self.log.written.lock().unwrap();
        written.get(answer).is_some_and(|written| *written < at)
    }
}

fn serve(mut stream: TcpStream, surplus: bool, log: &Log) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = bytes.drain(..end + 4).collect();
            let head = String::from_utf8_lossy(&head).into_owned();
            let line = head.lines().next().unwrap_or_default().to_owned();
            let id = line.split("id=").nth(1).unwrap_or_default();
            let id = id.split(' ').next().unwrap_or_default().to_owned();
            log.lines.lock().unwrap().push(line);
            answer(&mut stream, &id, log)?;
            if head
                .to_ascii_lowercase()
                .contains("\r\nconnection: close\r\n")
            {
                return Ok(());
            }
            if surplus {
                answer(&mut stream, &format!("behind-{id}"), log)?;
            }
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            length => bytes.extend_from_slice(&chunk[..length]),
        }
    }
}

fn answer(stream: &mut TcpStream, body: &str, log: &Log) -> std::io::Result<()> {
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes())?;
    let mut written = log.written.lock().unwrap();
    written.insert(body.to_owned(), Instant::now());
    Ok(())
}
