//! Heads without a body: of requests, of answers to HEAD, of 204 and 304, and of the 101 before a tunnel.

use std::io::{Read, Write};
use std::net::SocketAddr;

use super::{
    HOLD, STREAM, assert_errors, assert_logged_once, gone, lines, probe, route, start, upstream,
};
use crate::harness::frames::{DATA, END_STREAM, HEADERS, Http2};
use crate::harness::http::{connect, read_answer};
use crate::harness::{Gateway, Origin, get};

/// All that comes back on a connection of its own.
fn ask(address: SocketAddr, head: &str) -> String {
    let mut stream = connect(address);
    write!(stream, "{head}\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// `/up` and `/empty` come from an upstream (200 and 204), `/gone` from none, `/made` is made here; each with a streaming
/// plugin under `/s`, and with one that holds under `/h`.
fn gateway(origin: &Origin) -> Gateway {
    let mut tables = vec![
        probe("s", STREAM, ""),
        probe("h", r#""response", "response-body""#, ""),
        upstream("origin", origin.address),
        upstream("gone", gone()),
    ];
    for (under, chain) in [("", ""), ("/s", "s"), ("/h", "h")] {
        for (name, target) in [
            ("up", "upstream = \"origin\""),
            ("empty", "upstream = \"origin\""),
            ("gone", "upstream = \"gone\""),
            ("made", "respond = { status = 200, body = \"made\" }"),
        ] {
            let path = format!("{under}/{name}");
            let name = format!("{name}{chain}");
            tables.push(route(&name, &path, chain, target));
        }
    }
    start(&tables)
}

/// 204 for `/empty`; the length of `up` without its bytes for HEAD.
fn origin() -> Origin {
    Origin::answering(|head, _| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let answer: &[u8] = match (path.ends_with("/empty"), head.starts_with("HEAD")) {
            (true, _) => b"HTTP/1.1 204 No Content\r\nx-up: 1\r\n\r\n",
            (_, true) => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nup",
        };
        answer.to_vec()
    })
}

#[test]
fn an_answer_to_head_is_a_head_and_a_whole_exchange_with_plugins_and_without() {
    let origin = origin();
    let gateway = gateway(&origin);
    for (path, status, length) in [
        ("/up", 200, Some(2)),
        ("/made", 200, Some(4)),
        ("/s/up", 200, None),
        ("/s/made", 200, None),
        ("/h/up", 200, None),
        ("/h/made", 200, Some("made<h>".len())),
        ("/s/empty", 204, None),
        ("/empty", 204, None),
    ] {
        let answer = ask(gateway.listener("public"), &format!("HEAD {path} HTTP/1.1"));
        let start = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&start), "{path}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{path}: {answer}");
        let found = answer.to_ascii_lowercase().lines().find_map(|line| {
            let length = line.strip_prefix("content-length: ")?;
            length.parse::<usize>().ok()
        });
        assert_eq!(found, length, "{path}: {answer}");
        let whole = ["\"complete\":true", "\"bytes_out\":0"];
        assert_logged_once(&gateway, path, &whole);
    }
    assert_errors(&gateway, &[]);
}

#[test]
fn a_failure_for_head_is_the_length_of_its_problem_document() {
    let gateway = gateway(&origin());
    let address = gateway.listener("public");
    let length = get(address, "/gone", &[]).body.len();
    let answer = ask(address, "HEAD /gone HTTP/1.1").to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 502"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    let length = format!("content-length: {length}\r\n");
    assert!(answer.contains(&length), "{answer}");
}

#[test]
fn a_204_has_no_body_whatever_streams_over_http_2_neither() {
    let origin = origin();
    let gateway = gateway(&origin);
    let answer = ask(gateway.listener("public"), "GET /s/empty HTTP/1.1");
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    let mut client = Http2::connect(gateway.listener("public"));
    client.get(1, "/s/empty");
    let head = loop {
        let frame = client.next().unwrap();
        assert_ne!(frame.kind, DATA);
        if frame.kind == HEADERS {
            break frame;
        }
    };
    assert_ne!(head.flags & END_STREAM, 0, "the head ends the stream");
    for line in lines(&gateway, "/s/empty") {
        assert!(line.contains("\"complete\":true"), "{line}");
    }
    assert_errors(&gateway, &[]);
}

#[test]
fn a_body_that_a_plugin_makes_is_not_seen_by_the_streaming_plugins_before_it() {
    let origin = Origin::answering(|_, body| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    });
    let gateway = start(&[
        probe("a", r#""request-stream""#, ""),
        probe("h", r#""request", "request-body""#, ""),
        probe("b", r#""request-stream""#, ""),
        upstream("origin", origin.address),
        route("ahb", "/ahb", "a h b", "upstream = \"origin\""),
    ]);
    let answer = get(gateway.listener("public"), "/ahb", &[]);
    assert_eq!(answer.text(), "<h><b>");
}

#[test]
fn no_tunnel_leads_past_plugins_that_read_bodies() {
    let origin = Origin::answering(|head, _| {
        match head.to_ascii_lowercase().contains("upgrade") {
        true => b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nhello".to_vec(),
        false => b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain".to_vec(),
    }
    });
    let gateway = start(&[
        probe("s", STREAM, ""),
        probe("h", HOLD, ""),
        upstream("origin", origin.address),
        route("ws", "/ws", "s h", "upstream = \"origin\""),
    ]);
    let mut stream = connect(gateway.listener("public"));
    let asked = b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(asked).unwrap();
    let answer = read_answer(&mut stream);
    assert_eq!(
        (answer.status, answer.text()),
        (200, "plain<h><s>".to_owned())
    );
}
