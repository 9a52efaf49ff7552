//! A client that goes away in the middle of an answer ends the exchange, once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{assert_counted, assert_errors, assert_logged_once, probe, route, start, upstream};
use crate::harness::Gateway;
use crate::harness::frames::{CANCEL, DATA, Http2, RST_STREAM};
use crate::harness::recorder::Recorder;

const STREAM_TO_THE_END: &str = r#""request-stream", "response-stream", "complete""#;
/// More than the buffers between the upstream and the client hold.
const LARGE: usize = 64 << 20;

/// `/streamed` has a streaming plugin, `/plain` has none.
fn gateway(origin: &Recorder) -> Gateway {
    start(&[
        probe("s", STREAM_TO_THE_END, ""),
        upstream("origin", origin.address),
        route("streamed", "/streamed", "s", "upstream = \"origin\""),
        route("plain", "/plain", "", "upstream = \"origin\""),
    ])
}

/// What an exchange leaves behind whose client went away: one line, one count, and `completed` calls of `complete`.
#[track_caller]
fn assert_left(gateway: &Gateway, path: &str, completed: usize, more: &str) {
    let closed = ["\"error\":\"client_closed\"", "\"complete\":false", more];
    assert_logged_once(gateway, path, &closed);
    assert_errors(gateway, &[("kind=client_closed", 1)]);
    assert_counted(gateway, "gateway_upstream_failures_total", &[]);
    let text = gateway.text();
    let calls = text.matches("probe completed").count();
    assert_eq!(calls, completed, "{text}");
}

#[test]
fn an_http_2_client_that_resets_a_streamed_answer_ends_the_exchange_once() {
    for (path, completed) in [("/streamed", 1), ("/plain", 0)] {
        let upstream = Recorder::start();
        let gateway = gateway(&upstream);
        let mut client = Http2::connect(gateway.listener("public"));
        client.get(1, path);
        upstream.head(0);
        upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc");
        while client.next().unwrap().kind != DATA {}
        client.frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
        upstream.ended(0);
        assert_left(&gateway, path, completed, "\"bytes_out\":3");
    }
}

#[test]
fn an_http_1_client_that_closes_in_a_streamed_answer_ends_the_exchange_once() {
    for (path, completed) in [("/streamed", 1), ("/plain", 0)] {
        let upstream = Recorder::start();
        let gateway = gateway(&upstream);
        let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
        let patience = Some(Duration::from_secs(20));
        client.set_read_timeout(patience).unwrap();
        write!(client, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        upstream.head(0);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\nxyz");
        upstream.send(0, head.as_bytes());
        read_until(&mut client, "xyz");
        drop(client);
        upstream.pour(0, &vec![b'x'; LARGE - 3]);
        upstream.ended(0);
        assert_left(&gateway, path, completed, "\"status\":200");
    }
}

#[test]
fn a_request_body_that_breaks_behind_an_early_answer_is_body_broken() {
    for path in ["/streamed", "/plain"] {
        let upstream = Recorder::start();
        let gateway = gateway(&upstream);
        let mut client = post(&gateway, path);
        upstream.head(0);
        upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nxyz");
        read_until(&mut client, "xyz");
        client.write_all(b"no size\r\n").unwrap();
        upstream.ended(0);
        assert_logged_once(&gateway, path, &["\"error\":\"body_broken\""]);
    }
}

#[test]
fn an_early_answer_ends_the_connection_whose_request_nobody_reads_on() {
    for path in ["/streamed", "/plain"] {
        let upstream = Recorder::start();
        let gateway = gateway(&upstream);
        let mut client = post(&gateway, path);
        upstream.head(0);
        upstream.send(
            0,
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        );
        upstream.close(0);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let answer = answer.to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 200"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{path}: {answer}");
    }
}

/// A request whose body has begun.
fn post(gateway: &Gateway, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    let patience = Some(Duration::from_secs(20));
    client.set_read_timeout(patience).unwrap();
    write!(
        client,
        "POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )
    .unwrap();
    client
}

fn read_until(client: &mut TcpStream, end: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        let mut chunk = [0; 4096];
        let length = client.read(&mut chunk).unwrap();
        assert!(length > 0, "closed: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&chunk[..length]);
    }
}
