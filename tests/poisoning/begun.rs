//! A connection is taken when the first byte of a body is there, or its end: a client that claims a body and never sends
//! it takes none.

use std::io::{Read, Write};
use std::net::SocketAddr;

use crate::harness::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, get_fields, head,
};
use crate::harness::http::read_answer;
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, get};
use crate::upstreams::{OK, begin, connect};

/// What a client may claim of a body.
const CLAIMS: [&str; 3] = [
    "content-length: 5",
    "transfer-encoding: chunked",
    "content-length: 5\r\nexpect: 100-continue",
];

fn claim(method: &str, claimed: &str) -> String {
    format!("{method} /x HTTP/1.1\r\nhost: a\r\n{claimed}\r\n\r\n")
}

fn post() -> Vec<u8> {
    let mut fields = get_fields("/x");
    fields[0].1 = "POST";
    head(&fields)
}

/// Whole exchanges, so that whatever might be on its way had the time to arrive.
fn others(public: SocketAddr) {
    for _ in 0..20 {
        assert_eq!(get(public, "/here", &[]).status, 200);
    }
}

#[test]
fn a_client_that_never_sends_its_body_takes_no_connection() {
    let (upstream, _gateway, public) = begin();
    let claims = CLAIMS
        .iter()
        .flat_map(|claimed| [("POST", claimed), ("GET", claimed)]);
    let clients: Vec<_> = claims
        .map(|(method, claimed)| (claimed, connect(public, claim(method, claimed).as_bytes())))
        .collect();
    let mut h2 = Http2::connect(public);
    h2.frame(HEADERS, END_HEADERS, 1, &post());
    others(public);
    assert_eq!(upstream.counts().0, 0);
    for (claimed, mut client) in clients {
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(said.contains("HTTP/1.1 408 "), "{claimed}: {said}");
        let went_on = said.starts_with("HTTP/1.1 100 ");
        assert_eq!(went_on, claimed.contains("expect"), "{said}");
    }
    let outcome = h2.outcome(1);
    assert!(matches!(outcome, Outcome::Answer(408, _)), "{outcome:?}");
    assert_eq!(upstream.counts().0, 0);
}

#[test]
fn the_first_byte_of_a_body_takes_the_connection() {
    for claimed in CLAIMS {
        let (upstream, _gateway, public) = begin();
        let mut client = connect(public, claim("POST", claimed).as_bytes());
        if claimed.contains("expect") {
            let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
            client.read_exact(&mut go_on).unwrap();
            assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        others(public);
        assert_eq!(upstream.counts().0, 0, "{claimed}");
        let (first, rest) = match claimed.contains("chunked") {
            true => ("1\r\na\r\n", "4\r\nbcde\r\n0\r\n\r\n"),
            false => ("a", "bcde"),
        };
        client.write_all(first.as_bytes()).unwrap();
        upstream.wait("the first byte", |wires| {
            (wires.first()?.body() == first.as_bytes()).then_some(())
        });
        client.write_all(rest.as_bytes()).unwrap();
        upstream.wait("the rest", |wires| {
            wires[0].body().ends_with(rest.as_bytes()).then_some(())
        });
        upstream.send(0, OK);
        assert_eq!(read_answer(&mut client).status, 200, "{claimed}");
    }
}

#[test]
fn the_first_data_of_a_stream_takes_the_connection_and_empty_data_does_not() {
    let (upstream, _gateway, public) = begin();
    let mut client = Http2::connect(public);
    client.frame(HEADERS, END_HEADERS, 1, &post());
    client.frame(DATA, 0, 1, b"");
    client.round_trip().unwrap();
    others(public);
    assert_eq!(upstream.counts().0, 0);
    client.frame(DATA, 0, 1, b"a");
    upstream.wait("the first byte", |wires| {
        (wires.first()?.body() == b"1\r\na\r\n").then_some(())
    });
    client.frame(DATA, END_STREAM, 1, b"");
    upstream.wait("the end", |wires| {
        wires[0].body().ends_with(b"0\r\n\r\n").then_some(())
    });
    upstream.send(0, OK);
    assert_eq!(client.outcome(1), Outcome::Answer(200, 2));
}

#[test]
fn the_end_of_a_stream_without_data_takes_the_connection_without_a_body() {
    let (upstream, _gateway, public) = begin();
    let mut client = Http2::connect(public);
    client.frame(HEADERS, END_HEADERS, 1, &head(&get_fields("/x")));
    client.round_trip().unwrap();
    others(public);
    assert_eq!(upstream.counts().0, 0);
    client.frame(DATA, END_STREAM, 1, b"");
    upstream.head(0);
    upstream.send(0, OK);
    assert_eq!(client.outcome(1), Outcome::Answer(200, 2));
    upstream.wait("no body", |wires| {
        let text = wires[0].text();
        (!text.contains("chunked") && !text.contains("connection: close")).then_some(())
    });
}

#[test]
fn a_body_that_has_not_begun_by_the_timeout_of_the_route_is_408() {
    let upstream = Recorder::start();
    let config = Configuration::new()
        .upstream("origin", upstream.address)
        .route("all", "/**", "upstream = 'origin'\ntimeout = '200ms'");
    let gateway = Gateway::start(&config);
    let request = claim("POST", "content-length: 5");
    let mut client = connect(gateway.listener("public"), request.as_bytes());
    assert_eq!(read_answer(&mut client).status, 408, "{}", gateway.text());
    assert_eq!(upstream.counts().0, 0);
    let line = "gateway_upstream_failures_total{upstream=\"origin\",kind=\"body_timeout\"}";
    assert_eq!(gateway.metric(line), 0.0, "it is not the upstream's fault");
}

#[test]
fn a_body_through_a_plugin_takes_the_connection_with_its_first_byte() {
    let upstream = Recorder::start();
    let config = Configuration::new()
        .probe(upstream.address, "config = { phases = ['request-stream'] }")
        .route("here", "/here", "respond = { status = 200 }")
        .chain("streamed", "/x", &["probe"], "upstream = 'echo'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let mut client = connect(public, claim("POST", "content-length: 5").as_bytes());
    others(public);
    assert_eq!(upstream.counts().0, 0);
    client.write_all(b"a").unwrap();
    upstream.wait("the first byte", |wires| {
        // The plugin writes in capitals.
        let body = wires.first()?.body();
        body.starts_with(b"1\r\nA\r\n").then_some(())
    });
    client.write_all(b"bcde").unwrap();
    upstream.wait("the end", |wires| {
        wires[0].body().ends_with(b"0\r\n\r\n").then_some(())
    });
    upstream.send(0, OK);
    assert_eq!(read_answer(&mut client).status, 200);
}
