//! What a plugin that is left out keeps its hands off: bodies, codings, ranges, tunnels and informational responses.

use std::io::Write;
use std::net::TcpStream;

use super::{probes, through};
use crate::harness::http::{self, send, until};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get};

const HOLDS: &str = "'request', 'request-body', 'response', 'response-body'";
const STREAMS: &str = "'request-stream', 'response-stream'";

fn conditional(origin: &Origin, phases: &str) -> Gateway {
    let config = probes(Configuration::new(), origin, &[("probe", phases)]);
    let link = "{ name = 'probe', when = { headers = { x-see = '1' } } }";
    Gateway::start(&through(config, link))
}

#[test]
fn a_body_is_neither_held_nor_decoded_nor_limited_for_a_plugin_that_is_left_out() {
    let origin = Origin::start();
    for phases in [HOLDS, STREAMS] {
        let gateway = conditional(&origin, phases);
        let public = gateway.listener("public");
        // No coding that the gateway could decode.
        let fields = [("content-encoding", "x-none"), ("x-see", "1")];
        assert_eq!(send(public, "POST", "/", &fields, b"body").status, 415);
        let answer = send(public, "POST", "/", &fields[..1], b"body");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.text().contains("<probe>"), "{}", answer.text());
        let seen = origin.seen().pop().unwrap();
        assert!(
            seen.contains("content-encoding: x-none") && seen.ends_with("body"),
            "{seen}"
        );
        let answer = send(public, "POST", "/", &fields[1..], b"body");
        assert!(answer.text().ends_with("<probe>"), "{}", answer.text());
        assert!(origin.seen().pop().unwrap().ends_with("body<probe>"));
    }
    let gateway = conditional(&origin, HOLDS);
    let large = vec![b'a'; (1 << 20) + 1];
    let large = |fields| send(gateway.listener("public"), "POST", "/", fields, &large).status;
    assert_eq!(large(&[("x-see", "1")]), 413);
    assert_eq!(large(&[]), 200);
}

#[test]
fn the_upstream_is_asked_for_identity_and_the_whole_only_for_a_plugin_that_reads_it() {
    let origin = Origin::start();
    for phases in ["'response', 'response-body'", "'response-stream'"] {
        let gateway = conditional(&origin, phases);
        let public = gateway.listener("public");
        let fields = [
            ("accept-encoding", "br"),
            ("range", "bytes=0-1"),
            ("x-see", "1"),
        ];
        assert_eq!(get(public, "/", &fields).status, 200);
        let seen = origin.seen().pop().unwrap();
        assert!(
            seen.contains("accept-encoding: identity") && !seen.contains("range:"),
            "{seen}"
        );
        assert_eq!(get(public, "/", &fields[..2]).status, 200);
        let seen = origin.seen().pop().unwrap();
        assert!(
            seen.contains("accept-encoding: br") && seen.contains("range: bytes=0-1"),
            "{seen}"
        );
    }
}

/// A part of what one plugin would have to read whole, where another that reads it is left out.
#[test]
fn the_types_of_a_plugin_that_is_left_out_do_not_count() {
    let origin = Origin::answering(|head, _| {
        let part = "HTTP/1.1 206 Partial Content\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1/9\r\ncontent-length: 2\r\n\r\nab";
        let whole =
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\nabcdefghi";
        if head.contains("range:") { part } else { whole }
            .as_bytes()
            .to_vec()
    });
    let grants = "grants = { upstreams = ['echo'], secrets = ['token'], state = true }";
    let reads = |name: &str, types: &str| {
        format!(
            "[plugins.{name}]\npath = '{{plugins}}/guest_probe.wasm'\n{grants}\n\
             config = {{ phases = ['response-stream'], types = ['{types}'], tail = '<{name}>' }}\n"
        )
    };
    let config = probes(Configuration::new(), &origin, &[])
        .with(&reads("json", "application/json"))
        .with(&reads("text", "text/plain"));
    let link = "'json', { name = 'text', when = { headers = { x-see = '1' } } }";
    let gateway = Gateway::start(&through(config, link));
    let public = gateway.listener("public");
    let fields = [("range", "bytes=0-1"), ("x-see", "1")];
    let answer = get(public, "/", &fields);
    assert_eq!((answer.status, &*answer.text()), (200, "abcdefghi<text>"));
    let answer = get(public, "/", &fields[..1]);
    assert_eq!((answer.status, &*answer.text()), (206, "ab"));
}

fn connect(gateway: &Gateway, request: &str) -> TcpStream {
    let mut stream = http::connect(gateway.listener("public"));
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn recorded(upstream: &Recorder, phases: &str) -> Gateway {
    let lines = format!(
        "config = {{ phases = [{phases}] }}\ngrants = {{ upstreams = ['echo'], secrets = ['token'], state = true }}"
    );
    let config = Configuration::new()
        .secret("token", "s3cret")
        .upstream("echo", upstream.address)
        .plugin("probe", "guest_probe", &lines);
    let link = "{ name = 'probe', when = { headers = { x-see = '1' } } }";
    Gateway::start(&through(config, link))
}

#[test]
fn a_tunnel_opens_where_the_plugin_that_reads_bodies_is_left_out() {
    let upstream = Recorder::start();
    let gateway = recorded(&upstream, "'response-stream'");
    let asks = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
    let mut client = connect(&gateway, &format!("{asks}\r\n"));
    upstream.head(0);
    let switched =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    upstream.send(0, switched.as_bytes());
    assert!(until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 101"));
    upstream.send(0, b"frame");
    assert_eq!(until(&mut client, "frame"), "frame");
    // A body that it reads may not be one that it cannot read.
    let mut client = connect(&gateway, &format!("{asks}x-see: 1\r\n\r\n"));
    upstream.head(1);
    let asked = upstream.wait("a head", |wires| Some(wires.get(1)?.text()));
    assert!(!asked.contains("upgrade"), "{asked}");
    upstream.send(1, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert!(until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 200"));
}

#[test]
fn early_hints_pass_where_the_plugin_that_edits_answers_is_left_out() {
    let upstream = Recorder::start();
    let gateway = recorded(&upstream, "'response'");
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    for (field, first) in [("", "HTTP/1.1 103 "), ("x-see: 1\r\n", "HTTP/1.1 200 ")] {
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{field}connection: close\r\n\r\n");
        let mut client = connect(&gateway, &request);
        upstream.wait("a head", |wires| {
            let text: String = wires.iter().map(|wire| wire.text()).collect();
            let wanted = if field.is_empty() { 1 } else { 2 };
            (text.matches("GET /").count() == wanted).then_some(())
        });
        upstream.send(0, format!("{hints}{ok}").as_bytes());
        let head = until(&mut client, "\r\n\r\n");
        assert!(head.starts_with(first), "{head}");
        assert!(until(&mut client, "ok").ends_with("ok"));
    }
}
