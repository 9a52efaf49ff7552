//! How many connections a listener takes, what happens to the rest, and what it does when descriptors run out.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::http::read_answer;
use crate::harness::{Gateway, Origin, raw};

fn config(origin: &Origin, limits: &str) -> String {
    format!(
        r#"
[server]
workers = 1
grace = "20s"
[admin]
address = "127.0.0.1:0"
[[listeners]]
name = "public"
address = "127.0.0.1:0"
limits = {{ {limits} }}
[upstreams.origin]
endpoints = ["{}"]
[[routes]]
name = "all"
match = {{ path = "/**" }}
upstream = "origin"
"#,
        origin.address
    )
}

/// Connects and asks, without waiting for the answer.
fn ask(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
        .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    stream
}

/// Nothing comes on it for a while.
fn assert_waits(stream: &mut TcpStream) {
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
}

#[test]
fn over_the_limit_a_connection_waits_until_another_goes() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(&origin, "connections = 2"));
    let public = gateway.listener("public");
    let (mut first, mut second) = (ask(public), ask(public));
    assert_eq!(read_answer(&mut first).status, 200);
    assert_eq!(read_answer(&mut second).status, 200);
    let (mut third, mut fourth) = (ask(public), ask(public));
    assert_waits(&mut third);
    drop(first);
    assert_eq!(read_answer(&mut third).status, 200);
    assert_waits(&mut fourth);
    drop(second);
    assert_eq!(read_answer(&mut fourth).status, 200);
}

#[test]
fn a_limit_that_a_reload_raises_lets_in_who_waits() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(&origin, "connections = 1"));
    let public = gateway.listener("public");
    let mut first = ask(public);
    assert_eq!(read_answer(&mut first).status, 200);
    let mut second = ask(public);
    assert_waits(&mut second);
    gateway.configure(&config(&origin, "connections = 5"));
    assert_eq!(gateway.post("/reload").status, 200);
    assert_eq!(read_answer(&mut second).status, 200);
}

#[test]
fn a_drain_serves_who_waited_for_a_place() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(&origin, "connections = 1"));
    let public = gateway.listener("public");
    let mut first = ask(public);
    assert_eq!(read_answer(&mut first).status, 200);
    // One is accepted and waits for a place, the others wait in the kernel's queue.
    let mut waiting: Vec<_> = (0..3).map(|_| ask(public)).collect();
    gateway.signal("TERM");
    for stream in &mut waiting {
        let answer = read_answer(stream);
        assert_eq!(answer.status, 200, "{}", gateway.text());
        assert_eq!(answer.header("connection"), Some("close"));
    }
    assert!(gateway.ended().success());
}

#[test]
fn who_never_gets_a_place_is_let_go_with_the_grace() {
    // This origin never answers, so the one place is taken until the end.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "[server]\nworkers = 1\ngrace = \"1s\"\n\
         [[listeners]]\nname = \"public\"\naddress = \"127.0.0.1:0\"\nlimits = {{ connections = 1 }}\n\
         [upstreams.silent]\nendpoints = [\"{}\"]\n\
         [[routes]]\nname = \"all\"\nmatch = {{ path = \"/**\" }}\nupstream = \"silent\"\n",
        silent.local_addr().unwrap()
    );
    let gateway = Gateway::start(&text);
    let public = gateway.listener("public");
    let _busy = ask(public);
    let (_upstream, _) = silent.accept().unwrap();
    let mut waiting: Vec<_> = (0..2).map(|_| ask(public)).collect();
    gateway.signal("TERM");
    for stream in &mut waiting {
        assert_eq!(read_answer(stream).status, 0);
    }
    gateway.assert_drained();
}

#[test]
fn a_lack_of_descriptors_is_waited_out_and_does_not_hold_up_a_drain() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(&origin, "idle = \"60s\", header_timeout = \"60s\""));
    let public = gateway.listener("public");
    let mut early = ask(public);
    assert_eq!(read_answer(&mut early).status, 200);
    gateway.limit_descriptors(10);
    let crowd: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(public).unwrap())
        .collect();
    gateway.wait_for("cannot accept; waiting");
    // Who is connected is served on.
    early
        .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut early).status, 200);
    drop(crowd);
    let mut late = ask(public);
    assert_eq!(read_answer(&mut late).status, 200);
    let _crowd: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(public).unwrap())
        .collect();
    gateway.signal("TERM");
    gateway.wait_for("drained");
    let text = gateway.text();
    assert!(!text.contains("the grace is over"), "{text}");
    assert!(gateway.ended().success());
}

#[test]
fn a_client_of_http_1_0_without_a_host_has_none_forwarded() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(&origin, ""));
    let answer = raw(gateway.listener("public"), b"GET /x HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = origin.seen().remove(0).to_ascii_lowercase();
    assert!(!seen.contains("x-forwarded-host"), "{seen}");
    assert!(seen.contains("x-forwarded-for: 127.0.0.1"), "{seen}");
}

const RESPONDS: &str = r#"
[server]
workers = 1
[[listeners]]
name = "public"
address = "127.0.0.1:0"
[[routes]]
name = "all"
match = { path = "/**" }
respond = { status = 200, body = "not read" }
"#;

/// The answer of a route that reads no body, and whether it ends the connection.
fn unread(stream: &mut TcpStream) -> bool {
    let answer = read_answer(stream);
    assert_eq!((answer.status, answer.text().as_str()), (200, "not read"));
    answer.header("connection") == Some("close")
}

#[test]
fn a_small_body_that_nobody_reads_does_not_end_the_connection() {
    let gateway = Gateway::start(RESPONDS);
    let mut stream = TcpStream::connect(gateway.listener("public")).unwrap();
    for (head, body) in [
        ("content-length: 5", "12345"),
        ("transfer-encoding: chunked", "5\r\n12345\r\n0\r\n\r\n"),
    ] {
        write!(stream, "POST / HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n").unwrap();
        assert_waits(&mut stream);
        stream.write_all(body.as_bytes()).unwrap();
        assert!(!unread(&mut stream), "{head}");
    }
    write!(stream, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert!(!unread(&mut stream));
}

#[test]
fn a_body_that_is_not_awaited_ends_the_connection_and_the_answer_says_so() {
    let gateway = Gateway::start(RESPONDS);
    for (head, body) in [
        ("content-length: 1000000", "12345"),
        ("content-length: 10", "12345"),
        ("transfer-encoding: chunked", "5\r\n12345\r\n"),
        ("content-length: 5\r\nexpect: 100-continue", ""),
    ] {
        let mut stream = TcpStream::connect(gateway.listener("public")).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        write!(stream, "POST / HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n{body}").unwrap();
        assert!(unread(&mut stream), "{head}");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{head}");
    }
}
