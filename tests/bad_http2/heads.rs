//! Heads that are malformed or over the limits.

use super::{Fields, gateway, replacing, without};
use crate::harness::frames::{
    END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, PROTOCOL_ERROR, get_fields, head,
};
use crate::harness::get;
use crate::harness::recorder::Recorder;

fn with(more: &[(&'static str, &'static str)]) -> Fields {
    let mut fields = get_fields("/");
    fields.extend_from_slice(more);
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
