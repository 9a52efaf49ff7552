//! Upstreams that misbehave, and clients that break off or do not read: each byte and each end of the upstream's
//! connections is the test's to see.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::bad_http2::gateway;
use crate::harness::http::read_answer;
use crate::harness::recorder::Recorder;
use crate::harness::{Gateway, get};

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

pub(crate) fn connect(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream.set_write_timeout(patience).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

pub(crate) fn begin() -> (Recorder, Gateway, SocketAddr) {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let public = gateway.listener("public");
    (upstream, gateway, public)
}

/// Reads to the end; whether it was a reset.
fn read_all(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut read = Vec::new();
    let reset = match stream.read_to_end(&mut read) {
        Ok(_) => false,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => true,
        Err(error) => panic!("neither an end nor a reset: {error}"),
    };
    (read, reset)
}

/// A request on a connection of its own, which goes upstream as connection `at` and is answered well.
pub(crate) fn served(upstream: &Recorder, public: SocketAddr, at: usize) {
    let mut client = connect(public, b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n");
    upstream.head(at);
    upstream.send(at, OK);
    let answer = read_answer(&mut client);
    assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()));
}

const UPGRADE: &[u8] =
    b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nEARLY";

#[test]
fn bytes_behind_an_upgrade_go_upstream_only_after_101() {
    let (upstream, _gateway, public) = begin();
    let mut client = connect(public, UPGRADE);
    upstream.head(0);
    client.write_all(b" AND MORE").unwrap();
    // Whole exchanges, so that whatever might be on its way had the time to arrive.
    for _ in 0..20 {
        assert_eq!(get(public, "/here", &[]).status, 200);
    }
    assert!(upstream.body(0).is_empty(), "{:?}", upstream.body(0));
    upstream.send(
        0,
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
    );
    upstream.wait("the early bytes", |wires| {
        (wires[0].body() == b"EARLY AND MORE").then_some(())
    });
    drop(client);
    upstream.ended(0);
}

#[test]
fn bytes_behind_a_refused_upgrade_are_not_sent_with_it_and_are_the_next_request() {
    let (upstream, _gateway, public) = begin();
    let smuggled = [
        &UPGRADE[..UPGRADE.len() - 5],
        b"GET /here HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ];
    let mut client = connect(public, &smuggled.concat());
    upstream.head(0);
    upstream.send(0, OK);
    let (read, _) = read_all(&mut client);
    let text = String::from_utf8(read).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    assert!(upstream.body(0).is_empty());
    assert_eq!(upstream.counts().0, 1);
}

#[test]
fn a_client_that_does_not_read_is_reset_and_its_upstream_connection_closed() {
    let (upstream, gateway, public) = begin();
    let mut client = connect(public, b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n");
    upstream.head(0);
    let before = gateway.resident();
    upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
    // More than any buffer between the two.
    upstream.pour(0, &vec![b'b'; 64 << 20]);
    upstream.ended(0);
    assert!(gateway.resident() < before + (16 << 20));
    let (read, reset) = read_all(&mut client);
    assert!(reset, "a clean end after {} bytes", read.len());
    served(&upstream, public, 1);
}

#[test]
fn a_broken_chunk_breaks_the_request_off_upstream() {
    let (upstream, _gateway, public) = begin();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    for (at, broken) in [
        "zz\r\n",
        "-1\r\nx",
        "3\r\nabcd\r\n",
        "fffffffffffffffff\r\n",
        "3\nabc\r\n0\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = connect(public, format!("{head}3\r\nabc\r\n").as_bytes());
        upstream.wait("the first chunk", |wires| {
            wires.get(at)?.body().ends_with(b"abc\r\n").then_some(())
        });
        client.write_all(broken.as_bytes()).unwrap();
        let answer = read_answer(&mut client);
        assert!(matches!(answer.status, 400 | 0), "{broken:?}: {answer:?}");
        upstream.ended(at);
        let body = upstream.body(at);
        assert!(
            !body.windows(3).any(|window| window == b"0\r\n"),
            "{broken:?} ended cleanly: {:?}",
            String::from_utf8_lossy(&body)
        );
    }
}

#[test]
fn a_client_that_goes_away_breaks_its_request_off_upstream() {
    let (upstream, _gateway, public) = begin();
    for (at, framing) in ["content-length: 10", "transfer-encoding: chunked"]
        .into_iter()
        .enumerate()
    {
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n3\r\nabc\r\n");
        let client = connect(public, request.as_bytes());
        upstream.wait("a part of the body", |wires| {
            (!wires.get(at)?.body().is_empty()).then_some(())
        });
        drop(client);
        upstream.ended(at);
        let body = upstream.body(at);
        assert!(!body.ends_with(b"0\r\n\r\n"), "{framing}: {body:?}");
    }
}

#[test]
fn surplus_bytes_are_nobodys_answer() {
    let (upstream, _gateway, public) = begin();
    let mut client = connect(public, b"GET /first HTTP/1.1\r\nhost: a\r\n\r\n");
    upstream.head(0);
    upstream.send(
        0,
        &[OK, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"].concat(),
    );
    let answer = read_answer(&mut client);
    assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()));
    upstream.ended(0);
    served(&upstream, public, 1);
}

#[test]
fn bytes_that_an_idle_connection_sends_are_nobodys_answer() {
    let (upstream, _gateway, public) = begin();
    served(&upstream, public, 0);
    // The gateway sees it when it looks: at the next use of the connection, or at the next sweep.
    upstream.pour(0, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
    served(&upstream, public, 1);
    upstream.ended(0);
}

#[test]
fn an_early_answer_stops_the_request_and_its_connection_is_not_used_again() {
    let (upstream, _gateway, public) = begin();
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nabc";
    let mut client = connect(public, head);
    upstream.wait("the beginning of the body", |wires| {
        (wires.first()?.body() == b"abc").then_some(())
    });
    upstream.send(0, b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
    let answer = read_answer(&mut client);
    assert_eq!((answer.status, answer.text()), (403, "no".to_owned()));
    upstream.ended(0);
    served(&upstream, public, 1);
}

#[test]
fn a_head_that_is_none_is_502_and_its_connection_is_closed() {
    let (upstream, _gateway, public) = begin();
    let many = [&b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(9)[..], OK].concat();
    let heads: [(&str, &[u8]); 7] = [
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        ),
        (
            "a list of lengths",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\nab",
        ),
        (
            "a signed length",
            b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nab",
        ),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        (
            "NUL in a field",
            b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "a status of four digits",
            b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
        ),
        ("nine informational responses", &many),
    ];
    for (at, (what, bytes)) in heads.into_iter().enumerate() {
        let mut client = connect(public, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        upstream.head(at);
        upstream.pour(at, bytes);
        assert_eq!(read_answer(&mut client).status, 502, "{what}");
        upstream.ended(at);
    }
    served(&upstream, public, heads.len());
}

#[test]
fn eight_informational_responses_are_none_too_many() {
    let (upstream, _gateway, public) = begin();
    let mut client = connect(public, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    upstream.head(0);
    let bytes = [&b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(8)[..], OK].concat();
    upstream.send(0, &bytes);
    assert_eq!(read_answer(&mut client).status, 200);
}

#[test]
fn a_response_that_breaks_off_never_ends_cleanly_for_the_client() {
    let (upstream, _gateway, public) = begin();
    let (length, chunked) = ("content-length: 10", "transfer-encoding: chunked");
    for (at, (what, framing, body)) in [
        ("too short", length, "abc"),
        ("no last chunk", chunked, "3\r\nabc\r\n"),
        ("a chunk that is none", chunked, "3\r\nabc\r\nzz\r\n"),
        ("a chunk without its end", chunked, "3\r\nabcdef"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = connect(public, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        upstream.head(at);
        upstream.send(
            at,
            format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}").as_bytes(),
        );
        upstream.close(at);
        let (read, _) = read_all(&mut client);
        let text = String::from_utf8(read).unwrap();
        // 502, or no answer at all, where the break came before the head was sent on.
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(text.is_empty(), "{what}: {text}");
            continue;
        };
        if head.starts_with("HTTP/1.1 200") {
            assert!(head.contains(framing), "{what}: {text}");
            assert!(!body.contains("0\r\n") && body.len() < 10, "{what}: {text}");
        } else {
            assert!(head.starts_with("HTTP/1.1 502"), "{what}: {text}");
        }
    }
}

#[test]
fn both_framings_in_a_response_never_leave_bytes_for_the_next() {
    let (upstream, _gateway, public) = begin();
    let mut client = connect(public, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    upstream.head(0);
    upstream.send(
        0,
        b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    assert_eq!(read_answer(&mut client).status, 502);
    // RFC 9112, 6.3: such a connection is closed, since somebody on it reads it otherwise.
    upstream.ended(0);
    served(&upstream, public, 1);
}

/// A request on the connection that [`served`] kept, which the upstream closes before it answers.
fn broken_off(upstream: &Recorder, public: SocketAddr, request: &str) -> TcpStream {
    served(upstream, public, 0);
    let client = connect(public, request.as_bytes());
    upstream.wait("the request on the kept connection", |wires| {
        let text = wires[0].text();
        let (head, body) = request.split_once("\r\n\r\n")?;
        let line = head.split("\r\n").next()?;
        (text.contains(line) && text.ends_with(&format!("\r\n\r\n{body}"))).then_some(())
    });
    upstream.close(0);
    client
}

#[test]
fn a_request_that_may_not_be_repeated_is_not_when_its_kept_connection_closes() {
    for (what, request) in [
        (
            "not idempotent, with a body",
            "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\na",
        ),
        (
            "not idempotent, without a body",
            "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "idempotent, with a body that is gone",
            "PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\na",
        ),
    ] {
        let (upstream, _gateway, public) = begin();
        let mut client = broken_off(&upstream, public, request);
        // Whoever repeats it waits for the answer of another connection.
        assert_eq!(read_answer(&mut client).status, 502, "{what}");
        assert_eq!(upstream.counts().0, 1, "{what}: it was sent twice");
        served(&upstream, public, 1);
    }
}

#[test]
fn an_idempotent_request_is_repeated_once_on_a_new_connection() {
    let get = "GET /again HTTP/1.1\r\nhost: a\r\n\r\n";
    let (upstream, _gateway, public) = begin();
    let mut client = broken_off(&upstream, public, get);
    upstream.head(1);
    upstream.send(1, OK);
    assert_eq!(read_answer(&mut client).status, 200);
    assert_eq!(upstream.counts().0, 2);

    let (upstream, _gateway, public) = begin();
    let mut client = broken_off(&upstream, public, get);
    upstream.head(1);
    upstream.close(1);
    assert_eq!(read_answer(&mut client).status, 502);
    assert_eq!(upstream.counts().0, 2, "it was sent three times");
}
