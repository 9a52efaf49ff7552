//! An upstream that answers by itself and remembers every request that came whole, unless it is told to forget; for
//! every byte, see `recorder`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// An HTTP/1.1 server on a port of its own, with a thread per connection.
pub(crate) struct Origin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    seen: Seen,
}

/// The requests so far; `None` where they are forgotten.
type Seen = Option<Arc<Mutex<Vec<String>>>>;

impl Origin {
    /// Answers every request with `200` and `{"path": .., "body": length}`.
    pub(crate) fn start() -> Self {
        Self::answering(|head, body| {
            let path = head.split(' ').nth(1).unwrap_or_default();
            let json = format!(
                "{{\"path\":{},\"body\":{}}}",
                serde_json::Value::from(path),
                body.len()
            );
            let length = json.len();
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{json}")
                .into_bytes()
        })
    }

    /// Answers every request with the bytes that `answer` makes of its head and body. An answer that does not end
    /// in a whole message is followed by the end of the connection.
    pub(crate) fn answering(
        answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(answer, Some(Arc::default()))
    }

    /// The same without a memory: load for minutes would fill the machine's.
    pub(crate) fn forgetting(
        answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(answer, None)
    }

    /// Answers every request with 200 and this body, at an address of the test's choice.
    pub(crate) fn saying(body: &'static str, address: SocketAddr) -> Self {
        let length = body.len();
        let answer = move |_: &str, _: &[u8]| {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
        };
        let listener = TcpListener::bind(address).unwrap();
        Self::serve(listener, answer, Some(Arc::default()))
    }

    /// The same as [`Self::answering`] on a unix socket at this path. The address is none.
    pub(crate) fn at(
        path: &Path,
        answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (address, seen) = (SocketAddr::from(([0; 4], 0)), Some(Arc::default()));
        let accept = move || listener.accept().map(|(stream, _)| stream);
        accepting(accept, answer, seen.clone());
        Self { address, seen }
    }

    fn listen(answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static, seen: Seen) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").unwrap(), answer, seen)
    }

    fn serve(
        listener: TcpListener,
        answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static,
        seen: Seen,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let accept = move || listener.accept().map(|(stream, _)| stream);
        accepting(accept, answer, seen.clone());
        Self { address, seen }
    }

    /// Every request so far, head and body.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.seen.as_ref().expect("this origin forgets");
        seen.lock().unwrap().clone()
    }
}

/// Serves every connection in a thread of its own.
fn accepting<S: Read + Write + Send + 'static>(
    accept: impl Fn() -> std::io::Result<S> + Send + 'static,
    answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static,
    seen: Seen,
) {
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        while let Ok(stream) = accept() {
            let (answer, seen) = (answer.clone(), seen.clone());
            std::thread::spawn(move || serve(stream, &*answer, seen.as_deref()));
        }
    });
}

fn serve(
    mut stream: impl Read + Write,
    answer: &dyn Fn(&str, &[u8]) -> Vec<u8>,
    log: Option<&Mutex<Vec<String>>>,
) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        while let Some((head, body, used)) = request(&bytes) {
            if let Some(log) = log {
                let text = format!("{head}{}", String::from_utf8_lossy(&body));
                log.lock().unwrap().push(text);
            }
            bytes.drain(..used);
            let made = answer(&head, &body);
            let close =
                !String::from_utf8_lossy(&made).contains("content-length") || made.is_empty();
            if stream.write_all(&made).is_err() || close {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
        }
    }
}

/// Head, body and length of the first request in `bytes`, once it is whole.
fn request(bytes: &[u8]) -> Option<(String, Vec<u8>, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let lower = head.to_ascii_lowercase();
    if lower.contains("transfer-encoding: chunked") {
        let mut body = Vec::new();
        let mut at = end;
        loop {
            let line = bytes
                .get(at..)?
                .windows(2)
                .position(|window| window == b"\r\n")?;
            let length =
                usize::from_str_radix(std::str::from_utf8(&bytes[at..at + line]).ok()?, 16).ok()?;
            at += line + 2;
            if length == 0 {
                // The empty line, or the one behind the trailers.
                let line_end = at - 2;
                let rest = bytes.get(line_end..)?;
                let end = rest.windows(4).position(|window| window == b"\r\n\r\n")?;
                return Some((head, body, line_end + end + 4));
            }
            body.extend_from_slice(bytes.get(at..at + length)?);
            at += length + 2;
        }
    }
    let length = lower
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let length: usize = length.unwrap_or(0);
    let body = bytes.get(end..end + length)?.to_vec();
    Some((head, body, end + length))
}
