//! What a client costs that stalls: no more of a body than a few pieces is held for it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::{Configuration, Gateway};

const CONNECTIONS: usize = 100;

/// An upstream that pours if it is asked for a body, and takes none.
fn upstream() -> std::net::SocketAddr {
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
    for (what, head, most) in [("a download", get, 96), ("an upload", post, 144)] {
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
