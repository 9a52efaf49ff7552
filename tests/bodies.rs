//! Bodies larger than anybody's memory: whole, in constant memory, and no faster than the reader reads.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use crate::harness::client::{Client, run, whole};
use crate::harness::http::read_answer;
use crate::harness::{Configuration, Gateway, get};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// What the process may grow by, whatever goes through it.
const GROWTH: u64 = 16 * MIB;

/// What may be under way between a writer and a reader that reads nothing: the kernel's buffers of two connections
/// on this machine, and a little of the gateway.
const UNDER_WAY: u64 = 48 * MIB;

/// How long a writer is stuck before it counts as held back.
const STUCK: Duration = Duration::from_secs(1);

/// Bytes that differ at every offset a gateway could confuse: a prime period, far from any buffer's size.
struct Pattern(Vec<u8>);

impl Pattern {
    const PERIOD: usize = 1_048_573;
    const STEP: usize = 64 << 10;

    fn new() -> Self {
        let mut state = 0x9e37_79b9_u32;
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        })
        .take(Self::PERIOD)
        .collect();
        bytes.extend_from_within(..Self::STEP);
        Self(bytes)
    }

    /// What stands at an offset, at most [`Self::STEP`] bytes.
    fn at(&self, offset: u64, length: usize) -> &[u8] {
        let start = usize::try_from(offset % Self::PERIOD as u64).unwrap();
        &self.0[start..start + length.min(Self::STEP)]
    }

    /// Writes `total` bytes from `offset` on; how many the other side took before it let the writer wait.
    fn write(&self, to: &mut TcpStream, offset: u64, total: u64) -> u64 {
        let mut at = offset;
        while at < total {
            let length = usize::try_from(total - at).unwrap_or(Self::STEP);
            match to.write(self.at(at, length)) {
                Ok(0) => break,
                Ok(written) => at += written as u64,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("broken off after {at}: {error}"),
            }
        }
        at
    }

    fn check(&self, offset: u64, bytes: &[u8]) {
        let mut at = 0;
        for piece in bytes.chunks(Self::STEP) {
            let expected = self.at(offset + at, piece.len());
            assert!(piece == expected, "other bytes after {}", offset + at);
            at += piece.len() as u64;
        }
    }
}

/// An upstream for one large body at a time.
struct Large {
    address: SocketAddr,
    /// How much of a response was taken before the writer had to wait for the first time; all of it, if it had not.
    held_back: Receiver<u64>,
    /// Lets `POST /later` be read.
    read: Sender<()>,
}

impl Large {
    /// `GET /N` answers with N bytes. `POST` answers with the length of its body, which must be the pattern.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stuck, held_back) = channel();
        let (read, may_read) = channel();
        std::thread::spawn(move || {
            let pattern = Pattern::new();
            for stream in listener.incoming().map_while(Result::ok) {
                serve(stream, &pattern, &stuck, &may_read);
            }
        });
        Self {
            address,
            held_back,
            read,
        }
    }
}

/// One connection, for one request.
fn serve(mut stream: TcpStream, pattern: &Pattern, stuck: &Sender<u64>, may_read: &Receiver<()>) {
    let Some((head, rest)) = head(&mut stream) else {
        return;
    };
    let path = head.split(' ').nth(1).unwrap();
    if head.starts_with("GET") {
        let total: u64 = path[1..].parse().unwrap();
        let head =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {total}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.set_write_timeout(Some(STUCK)).unwrap();
        let taken = pattern.write(&mut stream, 0, total);
        stuck.send(taken).unwrap();
        stream.set_write_timeout(None).unwrap();
        pattern.write(&mut stream, taken, total);
        return;
    }
    if path == "/later" {
        may_read.recv().unwrap();
    }
    let lower = head.to_ascii_lowercase();
    let length = lower
        .split("content-length: ")
        .nth(1)
        .map(|rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut incoming = rest.chain(&mut stream);
    let received = match length {
        Some(length) => take(&mut incoming, pattern, 0, length),
        None => chunked(&mut incoming, pattern),
    };
    let body = received.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).unwrap();
}

/// The head of a request, and what came with it.
fn head(stream: &mut TcpStream) -> Option<(String, std::io::Cursor<Vec<u8>>)> {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Some((String::from_utf8(read).unwrap(), std::io::Cursor::new(rest)));
        }
        match stream.read(&mut chunk).unwrap() {
            0 => return None,
            length => read.extend_from_slice(&chunk[..length]),
        }
    }
}

/// Reads `length` bytes of the pattern; where they ended.
fn take(from: &mut impl Read, pattern: &Pattern, offset: u64, length: u64) -> u64 {
    let mut chunk = vec![0; Pattern::STEP];
    let mut limited = from.take(length);
    let mut at = offset;
    loop {
        match limited.read(&mut chunk).unwrap() {
            0 => return at,
            length => pattern.check(at, &chunk[..length]),
        }
        at = offset + (length - limited.limit());
    }
}

/// Reads a chunked body of the pattern; its length.
fn chunked(from: &mut impl Read, pattern: &Pattern) -> u64 {
    let mut from = std::io::BufReader::with_capacity(Pattern::STEP, from);
    let mut at = 0;
    loop {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut from, &mut line).unwrap();
        let length = u64::from_str_radix(line.trim_end(), 16).unwrap();
        if length == 0 {
            return at;
        }
        at = take(&mut from, pattern, at, length);
        std::io::BufRead::read_line(&mut from, &mut line).unwrap();
    }
}

const AUTH: &str = r#"
config = { schemes = ["api_key"], api_key = { keys = [{ key = "demo", subject = "alice" }] } }
"#;
const TRANSFORM: &str = r#"
config = { response = { set_headers = { x-served-by = "gateway" } } }
"#;

fn start(upstream: &Large) -> Gateway {
    let timeouts = "timeouts = { first_byte = '100s' }";
    let chain = ["auth", "transform"];
    let config = Configuration::new()
        .public("limits = { body = '2GiB' }")
        .plugin("auth", "auth", AUTH)
        .plugin("transform", "transform", TRANSFORM)
        .upstream_with("large", upstream.address, timeouts)
        .chain("all", "/**", &chain, "upstream = 'large'");
    let gateway = Gateway::start(&config);
    // The first of everything is not growth.
    for _ in 0..3 {
        let path = format!("/{MIB}");
        let answer = get(gateway.listener("public"), &path, &[("x-api-key", "demo")]);
        assert_eq!(answer.body.len() as u64, MIB);
        upstream.held_back.recv().unwrap();
    }
    gateway.forget_peak();
    gateway
}

/// The most that memory grew by while `during` ran.
fn growth<T>(gateway: &Gateway, during: impl FnOnce() -> T) -> (u64, T) {
    gateway.forget_peak();
    let before = gateway.resident();
    let result = during();
    (gateway.peak().saturating_sub(before), result)
}

#[track_caller]
fn assert_small(growth: u64) {
    assert!(growth < GROWTH, "{} KiB more", growth / 1024);
}

fn h1(gateway: &Gateway, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.listener("public")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let head = format!("{head} HTTP/1.1\r\nhost: a\r\nx-api-key: demo\r\nconnection: close\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

async fn h2(gateway: &Gateway) -> Client {
    let stream = tokio::net::TcpStream::connect(gateway.listener("public"));
    Client::new(stream.await.unwrap(), true, "http").await
}

fn request(builder: http::request::Builder, path: &str) -> http::request::Builder {
    builder.uri(path).header("x-api-key", "demo")
}

#[test]
fn a_gibibyte_goes_up_over_http_1_1_in_constant_memory() {
    let upstream = Large::start();
    let gateway = start(&upstream);
    let (grown, answer) = growth(&gateway, || {
        let mut stream = h1(&gateway, "POST /");
        let rest = format!("content-length: {GIB}\r\n\r\n");
        stream.write_all(rest.as_bytes()).unwrap();
        assert_eq!(Pattern::new().write(&mut stream, 0, GIB), GIB);
        read_answer(&mut stream)
    });
    assert_eq!((answer.status, answer.text()), (200, GIB.to_string()));
    assert_small(grown);
}

#[test]
fn a_gibibyte_comes_down_over_http_1_1_in_constant_memory() {
    let upstream = Large::start();
    let gateway = start(&upstream);
    let (grown, received) = growth(&gateway, || {
        let mut stream = h1(&gateway, &format!("GET /{GIB}"));
        stream.write_all(b"\r\n").unwrap();
        let (head, mut rest) = head(&mut stream).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("x-served-by: gateway"), "{head}");
        let mut whole = Read::chain(&mut rest, &mut stream);
        take(&mut whole, &Pattern::new(), 0, 2 * GIB)
    });
    assert_eq!(received, GIB);
    assert_small(grown);
}

#[test]
fn large_bodies_go_both_ways_over_http_2_in_constant_memory() {
    let length = 256 * MIB;
    let upstream = Large::start();
    let gateway = start(&upstream);
    let (grown, ()) = growth(&gateway, || {
        run(async {
            let mut client = h2(&gateway).await;
            // Of unknown length, so that it is chunked on its way up.
            let pattern = Pattern::new();
            let pieces = (0..length / Pattern::STEP as u64).map(move |piece| {
                let offset = piece * Pattern::STEP as u64;
                let bytes = Bytes::copy_from_slice(pattern.at(offset, Pattern::STEP));
                Ok::<_, std::io::Error>(Frame::data(bytes))
            });
            let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync();
            let post = request(Request::post("/"), "/").body(body).unwrap();
            let answer = client.send("a", post).await.unwrap();
            let said = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(said, length.to_string());

            let path = format!("/{length}");
            let request = request(Request::get("/"), &path)
                .body(whole(Bytes::new()))
                .unwrap();
            let mut body = client.send("a", request).await.unwrap().into_body();
            let (pattern, mut at) = (Pattern::new(), 0);
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                pattern.check(at, &data);
                at += data.len() as u64;
            }
            assert_eq!(at, length);
        });
    });
    assert_small(grown);
}

#[test]
fn a_client_that_reads_nothing_holds_the_upstream_back_and_gets_all_in_the_end() {
    let length = 256 * MIB;
    let upstream = Large::start();
    let gateway = start(&upstream);
    let path = format!("/{length}");
    let (grown, ()) = growth(&gateway, || {
        let mut stream = h1(&gateway, &format!("GET {path}"));
        stream.write_all(b"\r\n").unwrap();
        let taken = upstream.held_back.recv().unwrap();
        assert!(taken < UNDER_WAY, "{} MiB under way", taken / MIB);
        let (_, mut rest) = head(&mut stream).unwrap();
        let mut whole = Read::chain(&mut rest, &mut stream);
        let received = take(&mut whole, &Pattern::new(), 0, 2 * length);
        assert_eq!(received, length);
    });
    assert_small(grown);
    let (grown, ()) = growth(&gateway, || {
        run(async {
            let mut client = h2(&gateway).await;
            let request = request(Request::get("/"), &path)
                .body(whole(Bytes::new()))
                .unwrap();
            let body = client.send("a", request).await.unwrap().into_body();
            let taken = upstream.held_back.recv().unwrap();
            assert!(taken < UNDER_WAY, "{} MiB under way", taken / MIB);
            let received = body.collect().await.unwrap().to_bytes();
            assert_eq!(received.len() as u64, length);
            Pattern::new().check(0, &received);
        });
    });
    assert_small(grown);
}

#[test]
fn an_upstream_that_reads_nothing_holds_the_client_back_and_gets_all_in_the_end() {
    let length = 256 * MIB;
    let upstream = Large::start();
    let gateway = start(&upstream);
    let (grown, answer) = growth(&gateway, || {
        let mut stream = h1(&gateway, "POST /later");
        let rest = format!("content-length: {length}\r\n\r\n");
        stream.write_all(rest.as_bytes()).unwrap();
        stream.set_write_timeout(Some(STUCK)).unwrap();
        let taken = Pattern::new().write(&mut stream, 0, length);
        assert!(taken < UNDER_WAY, "{} MiB under way", taken / MIB);
        upstream.read.send(()).unwrap();
        stream.set_write_timeout(None).unwrap();
        assert_eq!(Pattern::new().write(&mut stream, taken, length), length);
        read_answer(&mut stream)
    });
    assert_eq!((answer.status, answer.text()), (200, length.to_string()));
    assert_small(grown);
}
