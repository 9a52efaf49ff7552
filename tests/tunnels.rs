//! Upgrades (RFC 9110, 7.8): whose the bytes behind the request are, before and behind other requests.

use std::io::{Read, Write};

use crate::harness::http::{connect, read_answer, until};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, get};

const ASKS: &str =
    "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

fn gateway(upstream: &Recorder) -> Gateway {
    let limits = "limits = { header_bytes = '4KiB', header_timeout = '1s', body = '1MiB' }";
    let config = Configuration::new()
        .public(limits)
        .upstream("origin", upstream.address)
        .route("all", "/**", "upstream = 'origin'")
        .route("here", "/here", "respond = { status = 200, body = 'here' }");
    Gateway::start(&config)
}

/// Waits until so many bytes went through the tunnel on connection `at`, and returns them.
fn tunnelled(upstream: &Recorder, at: usize, length: usize) -> Vec<u8> {
    upstream.wait("bytes of the tunnel", |wires| {
        let body = wires.get(at)?.body();
        (body.len() >= length).then(|| body.to_vec())
    })
}

#[test]
fn an_upgrade_behind_other_requests_opens_a_tunnel_both_ways() {
    let before = [
        "GET /here HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /here HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        "POST /here HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ];
    for (count, first) in [
        (1, before[0]),
        (1, before[1]),
        (1, before[2]),
        (20, before[0]),
    ] {
        let upstream = Recorder::start();
        let gateway = gateway(&upstream);
        let mut client = connect(gateway.listener("public"));
        let requests = first.repeat(count);
        client
            .write_all(format!("{requests}{ASKS}").as_bytes())
            .unwrap();
        for _ in 0..count {
            until(&mut client, "\r\n\r\nhere");
        }
        upstream.head(0);
        upstream.send(0, SWITCHED);
        assert!(until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 101"));
        // More than a head may have, and nothing of HTTP.
        let up = vec![b'u'; 100_000];
        client.write_all(&up).unwrap();
        assert!(tunnelled(&upstream, 0, up.len()) == up);
        upstream.send(0, b"down");
        until(&mut client, "down");
        drop(client);
        upstream.ended(0);
    }
}

#[test]
fn what_comes_behind_an_upgrade_goes_into_the_tunnel_after_the_101_and_not_before() {
    let early = [b"early, and no HTTP".as_slice(), &[b'e'; 5_000]].concat();
    for first in ["", "GET /here HTTP/1.1\r\nhost: a\r\n\r\n"] {
        let upstream = Recorder::start();
        let gateway = gateway(&upstream);
        let mut client = connect(gateway.listener("public"));
        let input = [first.as_bytes(), ASKS.as_bytes(), &early].concat();
        client.write_all(&input).unwrap();
        upstream.head(0);
        client.write_all(b"late").unwrap();
        // Whatever was on its way arrives while these are served.
        for _ in 0..3 {
            assert_eq!(get(gateway.listener("public"), "/here", &[]).status, 200);
        }
        assert_eq!(upstream.body(0), b"");
        upstream.send(0, SWITCHED);
        let all = [&early[..], b"late"].concat();
        assert!(tunnelled(&upstream, 0, all.len()) == all);
        upstream.send(0, b"down");
        until(&mut client, "down");
    }
}

#[test]
fn what_came_behind_a_refused_upgrade_is_the_next_request_and_checked_like_any() {
    let next = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";
    let both =
        "POST /both HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(5_000));
    let slow = "GET /slow HTTP/1.1\r\n";
    for (last, status) in [(both, 400), (long.as_str(), 414), (slow, 408)] {
        let upstream = Recorder::start();
        let gateway = gateway(&upstream);
        let mut client = connect(gateway.listener("public"));
        client
            .write_all(format!("{ASKS}{next}{last}").as_bytes())
            .unwrap();
        upstream.head(0);
        upstream.send(0, b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
        let refused = until(&mut client, "\r\n\r\nno");
        assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
        assert!(!refused.contains("connection: close"), "{refused}");
        // On the same connection to the upstream.
        upstream.wait("the next request", |wires| {
            wires
                .iter()
                .any(|wire| wire.text().contains("GET /next "))
                .then_some(())
        });
        upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext");
        until(&mut client, "\r\n\r\nnext");
        assert_eq!(read_answer(&mut client).status, status);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
}

/// A socket that is closed over unread bytes is reset.
#[test]
fn a_refusal_reaches_a_client_that_asked_for_an_upgrade_and_still_sends() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    for protocol in ["h2c", "websocket"] {
        let mut client = connect(gateway.listener("public"));
        let head = format!(
            "POST /large HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: {protocol}\r\ncontent-length: 4000000\r\n\r\n"
        );
        client.write_all(head.as_bytes()).unwrap();
        // A reset may break it off: then no answer comes.
        let _reset = client.write_all(&vec![b'x'; 4_000_000]);
        assert_eq!(read_answer(&mut client).status, 413, "{protocol}");
    }
}

/// RFC 9110, 7.8: a server switches once it has read the whole request. What is left of it is no part of the tunnel.
#[test]
fn the_rest_of_a_body_never_goes_into_a_tunnel() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut client = connect(gateway.listener("public"));
    client
        .write_all(b"POST /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 10\r\n\r\nbegin")
        .unwrap();
    upstream.wait("the beginning of the body", |wires| {
        wires.first()?.text().ends_with("begin").then_some(())
    });
    upstream.send(0, SWITCHED);
    until(&mut client, "\r\n\r\n");
    // The gateway may have closed.
    let _closed = client.write_all(b"rest.tunnel");
    upstream.ended(0);
    assert_eq!(upstream.body(0), b"begin");
}
