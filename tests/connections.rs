//! How many connections a listener takes, what happens to the rest, and what it does when descriptors run out.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::http::{connect, read_answer, until};
use crate::harness::{Configuration, Gateway, Origin, raw};

/// `limits` are those of the listener.
fn config(origin: SocketAddr, limits: &str) -> Configuration {
    Configuration::new()
        .server("grace = '20s'")
        .public(&format!("limits = {{ {limits} }}"))
        .upstream("origin", origin)
        .route("all", "/**", "upstream = 'origin'")
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
    let gateway = Gateway::start(&config(origin.address, "connections = 2"));
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
fn a_listener_that_is_full_says_so() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(origin.address, "connections = 1"));
    let public = gateway.listener("public");
    let mut first = ask(public);
    assert_eq!(read_answer(&mut first).status, 200);
    let full = "the listener is full: connections wait until others close";
    let text = gateway.text();
    assert!(!text.contains(full), "{text}");
    let mut second = ask(public);
    gateway.wait_for_all(&["WARN", full, "listener=public", "limit=1", "suppressed=0"]);
    drop(first);
    assert_eq!(read_answer(&mut second).status, 200);
}

#[test]
fn a_limit_that_a_reload_raises_lets_in_who_waits() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(origin.address, "connections = 1"));
    let public = gateway.listener("public");
    let mut first = ask(public);
    assert_eq!(read_answer(&mut first).status, 200);
    let mut second = ask(public);
    assert_waits(&mut second);
    gateway.configure(&config(origin.address, "connections = 5"));
    assert_eq!(gateway.post("/reload").status, 200);
    assert_eq!(read_answer(&mut second).status, 200);
}

#[test]
fn a_limit_that_a_reload_changes_counts_the_connections_from_before() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(origin.address, "connections = 3"));
    let public = gateway.listener("public");
    let mut open: Vec<_> = (0..3).map(|_| ask(public)).collect();
    for stream in &mut open {
        assert_eq!(read_answer(stream).status, 200);
    }
    let reload = |limit: usize| {
        gateway.configure(&config(origin.address, &format!("connections = {limit}")));
        assert_eq!(gateway.post("/reload").status, 200);
    };
    reload(2);
    let mut next = ask(public);
    assert_waits(&mut next);
    // From three to two: no place is free yet.
    drop(open.pop());
    assert_waits(&mut next);
    drop(open.pop());
    assert_eq!(read_answer(&mut next).status, 200);
    // Two are open, of four.
    reload(4);
    let mut more: Vec<_> = (0..3).map(|_| ask(public)).collect();
    for stream in &mut more[..2] {
        assert_eq!(read_answer(stream).status, 200);
    }
    assert_waits(&mut more[2]);
    drop(next);
    assert_eq!(read_answer(&mut more[2]).status, 200);
}

#[test]
fn a_drain_serves_who_waited_for_a_place() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(origin.address, "connections = 1"));
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
    let config = Configuration::new()
        .server("grace = '1s'")
        .public("limits = { connections = 1 }")
        .upstream("silent", silent.local_addr().unwrap())
        .route("all", "/**", "upstream = 'silent'");
    let gateway = Gateway::start(&config);
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
    let patient = "idle = '60s', header_timeout = '60s'";
    let gateway = Gateway::start(&config(origin.address, patient));
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
    let gateway = Gateway::start(&config(origin.address, ""));
    let answer = raw(gateway.listener("public"), b"GET /x HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = origin.seen().remove(0).to_ascii_lowercase();
    assert!(!seen.contains("x-forwarded-host"), "{seen}");
    assert!(seen.contains("x-forwarded-for: 127.0.0.1"), "{seen}");
}

/// Answers without a look at the body.
fn responding() -> Gateway {
    let answer = "respond = { status = 200, body = 'not read' }";
    let short = format!("timeout = '10ms'\n{answer}");
    let config =
        Configuration::new()
            .route("all", "/all/**", answer)
            .route("short", "/all/short", &short);
    Gateway::start(&config)
}

/// Posts at once; whether the answer, which reads no body, says that it ends the connection.
fn ends(stream: &mut TcpStream, path: &str, head: &str, body: &str) -> bool {
    // In one piece, so that all of it is there while the gateway waits a moment for the body.
    let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let answer = read_answer(stream);
    if path.starts_with("/all/") {
        assert_eq!((answer.status, answer.text().as_str()), (200, "not read"));
    } else {
        assert_eq!(answer.status, 404);
    }
    answer.header("connection") == Some("close")
}

#[test]
fn a_body_that_nobody_reads_does_not_end_the_connection_up_to_64_kib() {
    let gateway = responding();
    let mut stream = connect(gateway.listener("public"));
    // More than is read at once: the gateway has to read on.
    let large = "x".repeat(60_000);
    for (head, body) in [
        ("content-length: 0", String::new()),
        ("content-length: 5", "12345".to_owned()),
        (
            "transfer-encoding: chunked",
            "5\r\n12345\r\n0\r\n\r\n".to_owned(),
        ),
        ("content-length: 60000", large.clone()),
        (
            "transfer-encoding: chunked",
            format!("ea60\r\n{large}\r\n0\r\n\r\n"),
        ),
    ] {
        for path in ["/all/x", "/no/route"] {
            assert!(!ends(&mut stream, path, head, &body), "{path} {head}");
        }
    }
}

#[test]
fn a_body_that_is_not_awaited_ends_the_connection_and_the_answer_says_so() {
    let gateway = responding();
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for (head, body) in [
        ("content-length: 1000000", "12345"),
        ("content-length: 10", "12345"),
        ("transfer-encoding: chunked", "5\r\n12345\r\n"),
        // All of it is there, but hyper reads one piece of what is left.
        (
            "transfer-encoding: chunked",
            &format!("{chunk}{chunk}1\r\nx\r\n0\r\n\r\n"),
        ),
        (
            "transfer-encoding: chunked\r\nexpect: 100-continue",
            "5\r\n12345\r\n0\r\n\r\n",
        ),
        ("content-length: 5\r\nexpect: 100-continue", ""),
    ] {
        for path in ["/all/x", "/no/route"] {
            let mut stream = connect(gateway.listener("public"));
            assert!(ends(&mut stream, path, head, body), "{path} {head}");
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{path} {head}");
        }
    }
}

#[test]
fn an_answer_waits_for_a_body_but_a_moment_and_not_past_the_deadline() {
    let gateway = responding();
    // Otherwise the first would wait as long as for any body, and the second for the moment, which is 150 ms.
    for (path, most) in [("/all/x", 5_000), ("/all/short", 140)] {
        // Once is enough, on a machine that has more to do.
        let soon = (0..20).any(|_| {
            let mut stream = connect(gateway.listener("public"));
            let began = Instant::now();
            assert!(ends(&mut stream, path, "content-length: 10", "12345"));
            began.elapsed() < Duration::from_millis(most)
        });
        assert!(soon, "{path}");
    }
}

#[test]
fn an_answer_that_begins_before_the_body_has_ended_does_not_end_the_connection() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::start(&config(upstream.local_addr().unwrap(), ""));
    let mut client = connect(gateway.listener("public"));
    for _ in 0..2 {
        write!(
            client,
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nup\r\n"
        )
        .unwrap();
        let (mut echo, _) = upstream.accept().unwrap();
        until(&mut echo, "up\r\n");
        write!(
            echo,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndown\r\n"
        )
        .unwrap();
        let head = until(&mut client, "down\r\n");
        assert!(!head.contains("connection:"), "{head}");
        write!(client, "0\r\n\r\n").unwrap();
        until(&mut echo, "0\r\n\r\n");
        write!(echo, "0\r\n\r\n").unwrap();
        until(&mut client, "0\r\n\r\n");
    }
}
