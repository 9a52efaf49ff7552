//! What a client costs that stalls: no more of a body than a few pieces is held for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::gateway::PATIENCE;
use crate::harness::http::read_answer;
use crate::harness::{Configuration, Gateway};

const CONNECTIONS: usize = 100;

/// An upstream that pours if it is asked for a body, and takes none.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut begin = [0; 4];
                stream.read_exact(&mut begin).unwrap();
                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
                if &begin == b"GET " && stream.write_all(head).is_ok() {
                    while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
                }
                // Held until the test is over.
                std::thread::sleep(Duration::from_secs(60));
            });
        }
    });
    address
}

/// Resident memory, once it no longer grows.
fn settled(gateway: &Gateway) -> u64 {
    let (began, mut last) = (Instant::now(), gateway.resident());
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = gateway.resident();
        if now <= last + (64 << 10) || began.elapsed() > Duration::from_secs(10) {
            return now;
        }
        last = now;
    }
}

/// In KiB, beside what the kernel holds: what one connection takes, and at most (docs/bodies.md).
#[test]
fn a_client_that_stalls_holds_a_few_pieces_of_a_body() {
    let config = Configuration::new()
        .public("limits = { body = '0B', body_idle = '60s' }")
        .upstream("origin", upstream())
        .route("all", "/**", "timeout = '60s'\nupstream = 'origin'");
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n";
    for (what, head, most) in [("a download", get, 74), ("an upload", post, 108)] {
        let gateway = Gateway::start(&config);
        let before = gateway.resident();
        let stalled: Vec<TcpStream> = (0..CONNECTIONS)
            .map(|_| {
                let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
                client.write_all(head.as_bytes()).unwrap();
                client.set_nonblocking(true).unwrap();
                client
            })
            .collect();
        if head == post {
            // Until nobody has room.
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(2) {
                for mut client in &stalled {
                    while client.write(&[b'x'; 1 << 18]).is_ok() {}
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let each = (settled(&gateway) - before) / 1024 / CONNECTIONS as u64;
        assert!(each <= most, "{what} takes {each} KiB");
    }
}

const LENGTH: usize = 48 << 20;
/// Odd, so that pieces of no size look like each other.
const PATTERN: usize = 251;

/// Writes a body of [`LENGTH`], and counts what went out.
fn pour(mut to: TcpStream, written: &AtomicUsize) {
    let pattern: Vec<u8> = (0..PATTERN * 1024).map(|at| (at % PATTERN) as u8).collect();
    let mut at = 0;
    while at < LENGTH {
        let from = at % PATTERN;
        let most = (LENGTH - at).min(pattern.len() - from);
        at += to.write(&pattern[from..from + most]).unwrap();
        written.store(at, Ordering::Relaxed);
    }
}

/// Reads a body of [`LENGTH`] that [`pour`] writes, and pauses three times until nothing moves any more.
fn sip(from: &mut TcpStream, written: &AtomicUsize) {
    let mut piece = vec![0; 1 << 16];
    let mut at = 0;
    while at < LENGTH {
        let most = (LENGTH - at).min(piece.len());
        let read = from.read(&mut piece[..most]).unwrap();
        assert!(read > 0, "it ends after {at} of {LENGTH} bytes");
        let right = |(offset, byte): (usize, &u8)| usize::from(*byte) == (at + offset) % PATTERN;
        assert!(piece[..read].iter().enumerate().all(right), "behind {at}");
        let before = at;
        at += read;
        if before >> 22 != at >> 22 && at >> 22 <= 3 {
            let mut last = 0;
            while last != written.load(Ordering::Relaxed) || last == 0 {
                last = written.load(Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(300));
            }
        }
    }
}

fn head(from: &mut TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

/// An upstream that serves one connection.
fn once(
    serve: impl FnOnce(TcpStream) + Send + 'static,
) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        head(&mut stream);
        serve(stream);
    });
    (address, serving)
}

fn through(upstream: SocketAddr) -> (Gateway, TcpStream) {
    let config = Configuration::new()
        .public("limits = { body = '0B', body_idle = '60s' }")
        .upstream("origin", upstream)
        .route("all", "/**", "timeout = '60s'\nupstream = 'origin'");
    let gateway = Gateway::start(&config);
    let client = TcpStream::connect(gateway.listener("public")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    (gateway, client)
}

#[test]
fn a_client_that_stalls_and_goes_on_gets_its_whole_answer() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let (upstream, serving) = once(move |mut stream| {
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n"
        )
        .unwrap();
        pour(stream, &count);
    });
    let (_gateway, mut client) = through(upstream);
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    head(&mut client);
    sip(&mut client, &written);
    serving.join().unwrap();
}

#[test]
fn an_upstream_that_stalls_and_goes_on_gets_the_whole_upload() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let (upstream, serving) = once(move |mut stream| {
        sip(&mut stream, &count);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .unwrap();
    });
    let (_gateway, mut client) = through(upstream);
    write!(
        client,
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n"
    )
    .unwrap();
    pour(client.try_clone().unwrap(), &written);
    assert_eq!(read_answer(&mut client).text(), "ok");
    serving.join().unwrap();
}
