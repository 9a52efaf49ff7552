//! Malformed and oversized requests over HTTP/2, frame by frame, with an upstream that remembers every byte it got.

use std::net::SocketAddr;

use crate::harness::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, PROTOCOL_ERROR,
    REFUSED_STREAM, RST_STREAM, STREAM_CLOSED, get_fields, head, text,
};
use crate::harness::recorder::Recorder;
use crate::harness::tls::Certificate;
use crate::harness::{Gateway, get};

/// A gateway before one upstream, with limits that a test reaches in no time.
pub(crate) fn gateway(upstream: SocketAddr) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    Certificate::new(&["a"]).write(directory.path(), "a");
    let limits = r#"{ header_bytes = "8KiB", header_count = 30, body = "1MiB", header_timeout = "1s", body_idle = "1s", idle = "2s", h2_streams = 50 }"#;
    let config = format!(
        r#"
[server]
workers = 1
[admin]
address = "127.0.0.1:0"
[[listeners]]
name = "public"
address = "127.0.0.1:0"
limits = {limits}
[[listeners]]
name = "secure"
address = "127.0.0.1:0"
limits = {limits}
[listeners.tls]
certificates = [{{ cert = "a.pem", key = "a.key" }}]
[upstreams.origin]
endpoints = ["{upstream}"]
timeouts = {{ connect = "2s", first_byte = "20s", idle = "20s" }}
[[routes]]
name = "here"
match = {{ path = "/here" }}
respond = {{ status = 200, body = "here" }}
[[routes]]
name = "all"
match = {{ path = "/**" }}
upstream = "origin"
"#
    );
    Gateway::start_in(directory, &config, &[])
}

type Fields = Vec<(&'static str, &'static str)>;

fn with(more: &[(&'static str, &'static str)]) -> Fields {
    let mut fields = get_fields("/");
    fields.extend_from_slice(more);
    fields
}

fn without(name: &str) -> Fields {
    let mut fields = get_fields("/");
    fields.retain(|(each, _)| *each != name);
    fields
}

fn replacing(name: &'static str, value: &'static str) -> Fields {
    let mut fields = without(name);
    fields.push((name, value));
    fields
}

type Case = (&'static str, Fields);

fn malformed_fields() -> Vec<Case> {
    vec![
        ("Host differs from :authority", with(&[("host", "b")])),
        ("two Hosts", with(&[("host", "a"), ("host", "a")])),
        ("connection", with(&[("connection", "close")])),
        ("keep-alive", with(&[("keep-alive", "5")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("upgrade", with(&[("upgrade", "websocket")])),
        (
            "transfer-encoding",
            with(&[("transfer-encoding", "chunked")]),
        ),
        ("te other than trailers", with(&[("te", "gzip")])),
        ("a name in upper case", with(&[("X-Up", "1")])),
        ("a name with a space", with(&[("x y", "1")])),
        ("a name with a colon", with(&[("x:y", "1")])),
        ("an empty name", with(&[("", "1")])),
        ("CR LF in a value", with(&[("x", "1\r\ny: 2")])),
        ("NUL in a value", with(&[("x", "a\0b")])),
    ]
}

fn malformed_pseudo_fields() -> Vec<Case> {
    vec![
        ("no :method", without(":method")),
        ("no :scheme", without(":scheme")),
        ("no :path", without(":path")),
        ("an empty :path", replacing(":path", "")),
        ("a :path without a slash", replacing(":path", "here")),
        ("a :path with a space", replacing(":path", "/a b")),
        ("a :path that is not ASCII", replacing(":path", "/ä")),
        (
            "a :path with CR LF",
            replacing(":path", "/ HTTP/1.1\r\nx: y"),
        ),
        (
            ":method with a space",
            replacing(":method", "GET /evil HTTP/1.1\r\nx:"),
        ),
        (
            ":authority with user information",
            replacing(":authority", "u@a"),
        ),
        (":authority that is none", replacing(":authority", "a b")),
        ("an unknown pseudo field", with(&[(":unknown", "1")])),
        (":status in a request", with(&[(":status", "200")])),
        (":path twice", with(&[(":path", "/")])),
        (":method twice", with(&[(":method", "GET")])),
        (
            "a pseudo field behind a field",
            vec![
                (":method", "GET"),
                (":scheme", "http"),
                ("x", "1"),
                (":path", "/"),
                (":authority", "a"),
            ],
        ),
        (
            "neither :authority nor Host",
            vec![(":method", "GET"), (":scheme", "http"), (":path", "/")],
        ),
        (
            ":protocol that was not offered",
            with(&[(":protocol", "websocket")]),
        ),
        ("an encoded slash", replacing(":path", "/a%2fb")),
        (
            "differing Content-Lengths",
            with(&[("content-length", "1"), ("content-length", "2")]),
        ),
        (
            "a Content-Length that is no number",
            with(&[("content-length", "x")]),
        ),
        (
            "a Content-Length without a body",
            with(&[("content-length", "3")]),
        ),
    ]
}

/// RFC 9113, 8.1.1: a stream error PROTOCOL_ERROR; a 400 before it is allowed.
#[test]
fn a_malformed_head_is_refused_and_never_forwarded() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let public = gateway.listener("public");
    for (what, fields) in malformed_fields()
        .into_iter()
        .chain(malformed_pseudo_fields())
    {
        let mut client = Http2::connect(public);
        client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(&fields));
        match client.outcome(1) {
            Outcome::Reset(PROTOCOL_ERROR, _) | Outcome::Answer(400, _) => {
                client.get(3, "/here");
                assert_eq!(client.outcome(3), Outcome::Answer(200, 4), "after {what}");
            }
            // What no header block may hold at all, h2 takes for a connection error, as RFC 9113, 5.4.1 allows.
            Outcome::Away(PROTOCOL_ERROR) => {}
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(upstream.counts().0, 0, "{what} reached the upstream");
    }
    assert_eq!(get(public, "/here", &[]).status, 200);
}

/// RFC 9113, 8.1.1.
#[test]
fn a_body_that_differs_from_its_content_length_is_never_whole_upstream() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    for (what, announced, frames) in [
        ("less", "5", vec![(END_STREAM, "abc")]),
        ("more", "5", vec![(END_STREAM, "abcdefgh")]),
        (
            "more in the second frame",
            "5",
            vec![(0, "abc"), (END_STREAM, "defgh")],
        ),
        ("an empty end", "5", vec![(0, "abc"), (END_STREAM, "")]),
    ] {
        let before = upstream.counts().0;
        let mut client = Http2::connect(gateway.listener("public"));
        let mut fields = replacing(":method", "POST");
        fields.push(("content-length", announced));
        client.frame(HEADERS, END_HEADERS, 1, &head(&fields));
        for (flags, data) in frames {
            client.frame(DATA, flags, 1, data.as_bytes());
        }
        let outcome = client.outcome(1);
        assert!(
            matches!(
                outcome,
                Outcome::Reset(PROTOCOL_ERROR, _) | Outcome::Answer(400, _)
            ),
            "{what}: {outcome:?}"
        );
        // The head may have gone ahead; then the request is broken off before the length it announced.
        for at in before..upstream.counts().0 {
            upstream.ended(at);
            let body = upstream.body(at);
            assert!(body.len() < 5, "{what}: whole upstream: {body:?}");
        }
    }
}

/// RFC 6585, 5, where the head could be read; else the stream or the connection ends.
#[test]
fn a_head_over_the_limits_is_431() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let public = gateway.listener("public");
    let value = "v".repeat(3000);
    let many = vec![("x", "1"); 40];
    let large = [("a", value.as_str()), ("b", &value), ("c", &value)];
    for (what, more) in [("too many fields", &many[..]), ("too many bytes", &large)] {
        let mut client = Http2::connect(public);
        let fields = [&get_fields("/"), more].concat();
        client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(&fields));
        let outcome = client.outcome(1);
        assert!(
            matches!(outcome, Outcome::Answer(431, _)),
            "{what}: {outcome:?}"
        );
        client.get(3, "/here");
        assert_eq!(client.outcome(3), Outcome::Answer(200, 4), "after {what}");
    }
    assert_eq!(upstream.counts().0, 0);
}

/// RFC 9113, 5.1.2: refused as streams that may be tried again.
#[test]
fn streams_over_the_limit_are_refused_and_never_forwarded() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    for stream in 0..60 {
        client.get(2 * stream + 1, "/wait");
    }
    for refused in 50..60 {
        assert_eq!(
            client.outcome(2 * refused + 1),
            Outcome::Reset(REFUSED_STREAM, 0)
        );
    }
    upstream.wait("50 requests", |wires| (wires.len() == 50).then_some(()));
    client.round_trip().unwrap();
    assert_eq!(upstream.counts().0, 50);
}

type Attack = (&'static str, Box<dyn Fn(&mut Http2)>);

fn on_wrong_streams() -> Vec<Attack> {
    vec![
        (
            "DATA on an idle stream",
            Box::new(|client| {
                client.frame(DATA, END_STREAM, 1, b"abc");
            }),
        ),
        (
            "DATA on stream 0",
            Box::new(|client| {
                client.frame(DATA, END_STREAM, 0, b"abc");
            }),
        ),
        (
            "HEADERS on stream 0",
            Box::new(|client| {
                client.frame(HEADERS, END_HEADERS | END_STREAM, 0, &request_block());
            }),
        ),
        (
            "HEADERS on an even stream",
            Box::new(|client| {
                client.frame(HEADERS, END_HEADERS | END_STREAM, 2, &request_block());
            }),
        ),
        (
            "RST_STREAM of an idle stream",
            Box::new(|client| {
                client.frame(RST_STREAM, 0, 1, &[0; 4]);
            }),
        ),
        (
            "CONTINUATION without HEADERS",
            Box::new(|client| {
                client.frame(CONTINUATION, END_HEADERS, 1, &request_block());
            }),
        ),
    ]
}

fn in_wrong_shape() -> Vec<Attack> {
    vec![
        (
            "another frame inside a header block",
            Box::new(|client| {
                client.frame(HEADERS, END_STREAM, 1, &request_block()[..4]);
                client.frame(DATA, 0, 1, b"abc");
            }),
        ),
        (
            "CONTINUATION of another stream",
            Box::new(|client| {
                client.frame(HEADERS, END_STREAM, 1, &request_block()[..4]);
                client.frame(CONTINUATION, END_HEADERS, 3, &request_block()[4..]);
            }),
        ),
        (
            "a window over 2^31",
            Box::new(|client| {
                client.window_update(0, 0x7fff_ffff);
            }),
        ),
        (
            "a frame larger than was allowed",
            Box::new(|client| {
                client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &vec![0; 20_000]);
            }),
        ),
        (
            "padding longer than its frame",
            Box::new(|client| {
                client.frame(HEADERS, END_HEADERS | END_STREAM | 8, 1, &[200, 0, 0]);
            }),
        ),
        (
            "an index outside the table",
            Box::new(|client| {
                client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0x10]);
            }),
        ),
    ]
}

fn request_block() -> Vec<u8> {
    head(&get_fields("/"))
}

/// RFC 9113, 5.1 and 6: what may not stand there ends the connection.
#[test]
fn frames_out_of_place_end_the_connection() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    for (what, attack) in on_wrong_streams().into_iter().chain(in_wrong_shape()) {
        let mut client = Http2::connect(gateway.listener("public"));
        client.round_trip().unwrap();
        attack(&mut client);
        let away = client.away();
        assert!(away.is_some_and(|code| code != 0), "{what}: {away:?}");
        assert_eq!(upstream.counts().0, 0, "{what} reached the upstream");
    }
    assert_eq!(get(gateway.listener("public"), "/here", &[]).status, 200);
}

/// RFC 9113, 5.1: half-closed (remote).
#[test]
fn data_behind_the_end_of_a_request_ends_it_and_the_request_upstream() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    client.get(1, "/wait");
    upstream.head(0);
    client.frame(DATA, END_STREAM, 1, b"abc");
    let outcome = client.outcome(1);
    assert!(
        matches!(
            outcome,
            Outcome::Reset(STREAM_CLOSED, 0) | Outcome::Away(PROTOCOL_ERROR | STREAM_CLOSED)
        ),
        "{outcome:?}"
    );
    upstream.ended(0);
    assert!(upstream.body(0).is_empty());
}

#[test]
fn a_header_block_that_does_not_go_on_ends_the_connection() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    client.round_trip().unwrap();
    let mut block = vec![0];
    text(&mut block, &[b'a'; 100]);
    client.frame(HEADERS, END_STREAM, 1, &block[..50]);
    // No CONTINUATION: the time for a head ends the connection.
    assert_eq!(client.outcome(1), Outcome::Closed);
    assert_eq!(upstream.counts().0, 0);
}

fn post(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut all = get_fields("/x");
    all[0].1 = "POST";
    all.extend_from_slice(fields);
    head(&all)
}

#[test]
fn an_announced_body_over_the_limit_is_413_and_not_one_byte_goes_upstream() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    let block = post(&[("content-length", "1048577")]);
    client.frame(HEADERS, END_HEADERS, 1, &block);
    let outcome = client.outcome(1);
    assert!(matches!(outcome, Outcome::Answer(413, _)), "{outcome:?}");
    client.get(3, "/here");
    assert_eq!(client.outcome(3), Outcome::Answer(200, 4));
    assert_eq!(upstream.counts().0, 0);
}

#[test]
fn a_body_that_grows_over_the_limit_is_413_and_never_whole_upstream() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    client.frame(HEADERS, END_HEADERS, 1, &post(&[]));
    let piece = vec![b'a'; 16 << 10];
    for at in 0..=64 {
        // The window has room: what was sent before is upstream.
        let length = if at == 64 { 1 } else { piece.len() };
        client.frame(DATA, 0, 1, &piece[..length]);
        upstream.wait("the piece", |wires| {
            let body = wires.first()?.body().len();
            (at == 64 || body >= (at + 1) * piece.len()).then_some(())
        });
    }
    let outcome = client.outcome(1);
    assert!(matches!(outcome, Outcome::Answer(413, _)), "{outcome:?}");
    upstream.ended(0);
    assert!(!upstream.body(0).ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_slow_body_is_408() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    client.frame(HEADERS, END_HEADERS, 1, &post(&[]));
    client.frame(DATA, 0, 1, b"abc");
    let outcome = client.outcome(1);
    assert!(matches!(outcome, Outcome::Answer(408, _)), "{outcome:?}");
    upstream.ended(0);
    assert!(!upstream.body(0).ends_with(b"0\r\n\r\n"));
}
