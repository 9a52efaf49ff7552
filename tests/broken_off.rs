//! Answers that break off: what a client has of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use crate::harness::http::connect;
use crate::harness::{Configuration, Gateway, h2};

/// Sends these bytes for every request, and ends the connection at once.
fn sending(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            let mut chunk = [0; 4096];
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read(&mut chunk) {
                    Ok(length @ 1..) => head.extend_from_slice(&chunk[..length]),
                    _ => break,
                }
            }
            // The gateway may have gone.
            let _sent = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// By name: an answer, and what of its body comes.
const ANSWERS: [(&str, &str, &str); 4] = [
    (
        "length",
        "HTTP/1.1 200 OK\r\nx-own: 1\r\ncontent-length: 99\r\n\r\nsome",
        "some",
    ),
    (
        "chunked",
        "HTTP/1.1 200 OK\r\nx-own: 1\r\ntransfer-encoding: chunked\r\n\r\n4\r\nsome\r\n",
        "some",
    ),
    (
        "begun",
        "HTTP/1.1 200 OK\r\nx-own: 1\r\ntransfer-encoding: chunked\r\n\r\n9\r\nsome",
        "some",
    ),
    (
        "alone",
        "HTTP/1.1 200 OK\r\nx-own: 1\r\ncontent-length: 99\r\n\r\n",
        "",
    ),
];

fn gateway() -> Gateway {
    let mut config = Configuration::new().access_log();
    for (name, answer, _) in ANSWERS {
        let to = format!("upstream = '{name}'");
        config = config
            .upstream(name, sending(answer))
            .route(name, &format!("/{name}"), &to);
    }
    Gateway::start(&config)
}

#[test]
fn a_client_of_http_1_has_the_head_and_what_came_of_an_answer_that_breaks_off_with_it() {
    let gateway = gateway();
    for (name, _, body) in ANSWERS {
        for _ in 0..20 {
            let mut client = connect(gateway.listener("public"));
            let request = format!("GET /{name} HTTP/1.1\r\nhost: a\r\n\r\n");
            client.write_all(request.as_bytes()).unwrap();
            let mut got = Vec::new();
            // The end may be a reset.
            let _ended = client.read_to_end(&mut got);
            let got = String::from_utf8(got).unwrap();
            assert!(got.starts_with("HTTP/1.1 200"), "{name}: {got:?}");
            assert!(got.contains("x-own: 1\r\n"), "{name}: {got:?}");
            let (_, after) = got.split_once("\r\n\r\n").unwrap();
            assert!(after.contains(body), "{name}: {got:?}");
            assert!(
                !after.contains("0\r\n\r\n"),
                "{name}: it seems whole: {got:?}"
            );
        }
    }
    gateway.wait_for_all(&["/length", "\"error\":\"response_broken\""]);
}

#[test]
fn a_client_of_http_2_has_them_too_before_its_stream_is_reset() {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    let gateway = gateway();
    for (name, _, body) in ANSWERS {
        for _ in 0..20 {
            let mut client = h2::Connection::open(gateway.listener("public"));
            client.get(1, &format!("/{name}"));
            let (mut heads, mut got) = (0, Vec::new());
            loop {
                let frame = client.read().expect("the stream is reset");
                match frame.kind {
                    HEADERS => heads += 1,
                    DATA => got.extend(frame.payload),
                    RESET => break,
                    _ => {}
                }
            }
            assert_eq!(heads, 1, "{name}");
            assert_eq!(String::from_utf8(got).unwrap(), body, "{name}");
        }
    }
}
