//! Upstreams that are too slow, or have too many at once: the exact status for the client, and the kind of failure
//! in the metrics.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::faulty::Full;
use crate::harness::http::read_answer;
use crate::harness::recorder::Recorder;
use crate::harness::{Answer, Configuration, Gateway, get};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// `upstream` and `route` are further lines of their tables.
fn gateway(address: SocketAddr, upstream: &str, route: &str) -> Gateway {
    let config = Configuration::new()
        .access_log()
        .upstream_with("origin", address, upstream)
        .route("all", "/**", &format!("upstream = 'origin'\n{route}"));
    Gateway::start(&config)
}

/// The answer to a request that fails, which is counted once as `kind`, also for the upstream.
fn failed(gateway: &Gateway, kind: &str) -> Answer {
    let answer = get(gateway.listener("public"), "/x", &[]);
    let counted = [
        format!("gateway_errors_total{{kind=\"{kind}\"}}"),
        format!("gateway_upstream_failures_total{{upstream=\"origin\",kind=\"{kind}\"}}"),
    ];
    for line in counted {
        assert_eq!(gateway.metric(&line), 1.0, "{line}\n{}", gateway.text());
    }
    let logged = format!("\"error\":\"{kind}\"");
    gateway.wait_for_all(&[&logged, "\"path\":\"/x\""]);
    answer
}

fn ask(gateway: &Gateway) -> TcpStream {
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    client
        .write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    client
}

#[test]
fn an_upstream_that_takes_no_connection_in_time_is_504() {
    let upstream = Full::start();
    let connect = "timeouts = { connect = \"200ms\", first_byte = \"20s\" }";
    let gateway = gateway(upstream.address, connect, "");
    assert_eq!(failed(&gateway, "connect_timeout").status, 504);
    gateway.wait_for("no connection within 200ms");
}

#[test]
fn the_timeout_of_a_route_bounds_connecting_too() {
    let upstream = Full::start();
    let (connect, route) = ("timeouts = { connect = \"20s\" }", "timeout = \"200ms\"");
    let gateway = gateway(upstream.address, connect, route);
    assert_eq!(failed(&gateway, "deadline").status, 504);
}

#[test]
fn an_answer_that_does_not_begin_in_time_is_504_and_its_connection_is_closed() {
    let upstream = Recorder::start();
    let first_byte = "timeouts = { first_byte = \"200ms\" }";
    let gateway = gateway(upstream.address, first_byte, "");
    assert_eq!(failed(&gateway, "upstream_timeout").status, 504);
    upstream.ended(0);
    assert_eq!(upstream.counts().0, 1, "it was asked again");
}

#[test]
fn a_route_that_takes_too_long_is_504_and_its_connection_is_closed() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address, "", "timeout = \"600ms\"");
    assert_eq!(failed(&gateway, "deadline").status, 504);
    upstream.ended(0);
    assert_eq!(upstream.counts().0, 1, "it was asked again");
}

#[test]
fn an_answer_that_stops_half_way_is_broken_off() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address, "timeouts = { idle = \"200ms\" }", "");
    let mut client = ask(&gateway);
    upstream.head(0);
    upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    let mut read = Vec::new();
    // A reset is as good an end of half a message.
    let _end = client.read_to_end(&mut read);
    let text = String::from_utf8(read).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nabc"), "{text}");
    upstream.ended(0);
    let parts = ["\"path\":\"/held\"", "\"error\":\"response_broken\""];
    let line = gateway.wait_for_all(&parts);
    for part in ["\"status\":200", "\"bytes_out\":3", "\"complete\":false"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let told = gateway.wait_for("paused for longer than `timeouts.idle`");
    let endpoint = format!("endpoint={}", upstream.address);
    assert!(told.contains(&endpoint), "{told}");
}

#[test]
fn a_full_pool_is_503_until_a_connection_is_free() {
    let upstream = Recorder::start();
    let one = "pool = { max_connections = 1 }\ntimeouts = { connect = '600ms' }";
    let gateway = gateway(upstream.address, one, "");
    let mut first = ask(&gateway);
    upstream.head(0);
    let refused = failed(&gateway, "saturated");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    gateway.wait_for("all 1 connections that `pool.max_connections` allows are taken, and none came free within the 600ms");
    upstream.send(0, OK);
    assert_eq!(read_answer(&mut first).status, 200);
    let mut next = ask(&gateway);
    upstream.wait("the next request on the same connection", |wires| {
        (wires[0].text().matches("GET /held ").count() == 2).then_some(())
    });
    upstream.send(0, OK);
    assert_eq!(read_answer(&mut next).status, 200);
    assert_eq!(upstream.counts().0, 1);
}
