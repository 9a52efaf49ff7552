//! A body that an upstream may leave unread, and take for the next request, ends its connection.

use std::net::SocketAddr;

use crate::harness::http::read_answer;
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway};
use crate::upstreams::{OK, begin, connect};

/// Sends a request and waits for all of it on connection `at`; what came there, so far.
fn sent(upstream: &Recorder, public: SocketAddr, at: usize, request: &str) -> String {
    let mut client = connect(public, request.as_bytes());
    let line = request.lines().next().unwrap();
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let text = upstream.wait("the request", |wires| {
        let text = wires.get(at)?.text();
        let whole = text.contains(line) && text.ends_with(body) && wires[at].has_head();
        whole.then_some(text)
    });
    upstream.send(at, OK);
    assert_eq!(read_answer(&mut client).status, 200, "{request}");
    text
}

fn with_body(method: &str, framing: &str, body: &str) -> String {
    format!("{method} /x HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{body}")
}

const LENGTH: &str = "content-length: 3";
const CHUNKED: &str = "transfer-encoding: chunked";

#[test]
fn a_body_that_may_be_left_unread_ends_its_connection() {
    let (upstream, _gateway, public) = begin();
    let methods = ["GET", "DELETE", "OPTIONS", "PROPFIND"];
    let requests = methods.iter().flat_map(|method| {
        [
            (method, LENGTH, "abc"),
            (method, CHUNKED, "3\r\nabc\r\n0\r\n\r\n"),
        ]
    });
    for (at, (method, framing, body)) in requests.enumerate() {
        let text = sent(&upstream, public, at, &with_body(method, framing, body));
        assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
        upstream.ended(at);
    }
}

#[test]
fn trailers_alone_are_a_body_too() {
    let (upstream, _gateway, public) = begin();
    let text = sent(
        &upstream,
        public,
        0,
        &with_body("GET", CHUNKED, "0\r\nx-a: b\r\n\r\n"),
    );
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    upstream.ended(0);
}

#[test]
fn a_body_that_every_upstream_reads_keeps_its_connection() {
    let (upstream, _gateway, public) = begin();
    for method in ["POST", "PUT", "PATCH", "QUERY"] {
        let text = sent(&upstream, public, 0, &with_body(method, LENGTH, "abc"));
        assert!(!text.contains("connection: close"), "{text}");
    }
    assert_eq!(upstream.counts(), (1, 1));
}

#[test]
fn an_upstream_that_reads_every_body_keeps_its_connections() {
    let upstream = Recorder::start();
    let config = Configuration::new()
        .upstream_with("origin", upstream.address, "reads_bodies = true")
        .route("all", "/**", "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    for method in ["GET", "DELETE"] {
        let text = sent(&upstream, public, 0, &with_body(method, LENGTH, "abc"));
        assert!(!text.contains("connection: close"), "{text}");
    }
    assert_eq!(upstream.counts(), (1, 1));
}

#[test]
fn a_body_of_no_bytes_is_none() {
    let (upstream, _gateway, public) = begin();
    let bodies = [
        ("content-length: 0", ""),
        (CHUNKED, "0\r\n\r\n"),
        ("x-a: b", ""),
    ];
    let mut text = String::new();
    for (before, (framing, body)) in bodies.into_iter().enumerate() {
        let request = with_body("GET", framing, body);
        let mut client = connect(public, request.as_bytes());
        text = upstream.wait("the request", |wires| {
            let text = wires.first()?.text();
            let whole = text.matches("GET ").count() > before && text.ends_with("\r\n\r\n");
            whole.then_some(text)
        });
        upstream.send(0, OK);
        assert_eq!(read_answer(&mut client).status, 200, "{framing}");
    }
    assert!(!text.contains("connection: close"), "{text}");
    assert!(!text.contains("chunked"), "{text}");
    assert_eq!(upstream.counts(), (1, 1));
}

#[test]
fn a_body_that_a_plugin_holds_is_one_all_the_same() {
    let upstream = Recorder::start();
    let config = Configuration::new()
        .probe(upstream.address, "config = { phases = ['request-body'] }")
        .chain("held", "/**", &["probe"], "upstream = 'echo'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let text = sent(&upstream, public, 0, &with_body("GET", LENGTH, "abc"));
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    upstream.ended(0);
}

#[test]
fn no_upgrade_is_asked_for_with_a_body_that_may_be_left_unread() {
    let (upstream, _gateway, public) = begin();
    let framing = format!("connection: upgrade\r\nupgrade: echo\r\n{LENGTH}");
    let text = sent(&upstream, public, 0, &with_body("GET", &framing, "abc"));
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    assert!(!text.contains("upgrade"), "{text}");
    upstream.ended(0);
    let mut client = connect(public, with_body("POST", &framing, "abc").as_bytes());
    upstream.wait("an upgrade with a body that is read", |wires| {
        let text = wires.get(1)?.text();
        (text.contains("upgrade: echo\r\n") && text.ends_with("abc")).then_some(())
    });
    upstream.send(1, OK);
    assert_eq!(read_answer(&mut client).status, 200);
}
