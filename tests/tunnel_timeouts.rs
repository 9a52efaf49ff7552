//! How long a tunnel may be without a byte: `timeouts.tunnel` of an upstream or a route, else `idle`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::http::{connect, until};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway};

const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";

/// What ends the tunnels here that are to end.
const SHORT: Duration = Duration::from_millis(200);

/// Opens a tunnel to a path, as connection `at` of the upstream.
fn tunnel(gateway: &Gateway, upstream: &Recorder, path: &str, at: usize) -> TcpStream {
    let mut client = connect(gateway.listener("public"));
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    upstream.head(at);
    upstream.send(at, SWITCHED);
    assert!(until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 101"));
    client
}

/// Upstreams and routes of these names, with these timeouts of either.
fn gateway(upstream: &Recorder, kinds: &[(&str, &str, &str)]) -> Gateway {
    let mut config = Configuration::new().access_log();
    for (name, of_upstream, of_route) in kinds {
        config = config
            .upstream_with(
                name,
                upstream.address,
                &format!("timeouts = {{ {of_upstream} }}"),
            )
            .route(
                name,
                &format!("/{name}"),
                &format!("upstream = '{name}'\ntimeouts = {{ {of_route} }}"),
            );
    }
    Gateway::start(&config)
}

#[test]
fn a_tunnel_ends_after_its_own_time_without_a_byte_or_that_of_a_response() {
    for (of_upstream, of_route) in [
        ("idle = '200ms'", ""),
        ("idle = '60s'", "idle = '200ms'"),
        ("idle = '60s', tunnel = '200ms'", ""),
        ("idle = '60s', tunnel = '200ms'", "idle = '60s'"),
        ("idle = '60s', tunnel = '60s'", "tunnel = '200ms'"),
    ] {
        let upstream = Recorder::start();
        let gateway = gateway(&upstream, &[("it", of_upstream, of_route)]);
        let began = Instant::now();
        let mut client = tunnel(&gateway, &upstream, "/it", 0);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        assert!(began.elapsed() >= SHORT, "{of_upstream}, {of_route}");
        upstream.ended(0);
        gateway.wait_for_all(&["\"status\":101", "\"error\":\"idle\""]);
    }
}

#[test]
fn a_tunnel_outlives_the_idle_time_of_a_response_where_it_has_a_longer_one() {
    let upstream = Recorder::start();
    let kinds = [
        ("upstreams", "idle = '200ms', tunnel = '60s'", ""),
        ("routes", "idle = '200ms'", "tunnel = '60s'"),
        ("both", "idle = '60s', tunnel = '60s'", "idle = '200ms'"),
        ("short", "idle = '200ms'", ""),
    ];
    let gateway = gateway(&upstream, &kinds);
    let paths = ["/upstreams", "/routes", "/both", "/short"];
    let tunnels = (0..).zip(paths);
    let mut clients: Vec<_> = tunnels
        .map(|(at, path)| tunnel(&gateway, &upstream, path, at))
        .collect();
    // By the time that two short ones one after the other have ended, the others have been quiet for longer.
    assert_eq!(clients.pop().unwrap().read(&mut [0]).unwrap(), 0);
    let mut short = tunnel(&gateway, &upstream, "/short", 4);
    assert_eq!(short.read(&mut [0]).unwrap(), 0);
    for (at, client) in clients.iter_mut().enumerate() {
        upstream.send(at, b"down");
        let mut down = [0; 4];
        client.read_exact(&mut down).unwrap();
        client.write_all(b"up").unwrap();
        upstream.wait("what went up", |wires| {
            (wires[at].body() == b"up").then_some(())
        });
    }
}
