//! A route's `timeout` holds for bodies that a plugin wants whole, too.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::harness::http::read_answer;
use crate::harness::{Configuration, Gateway, Origin, get, raw};

/// A byte, and how many of them: far longer than the route's `timeout`, and none of them late.
const PAUSE: Duration = Duration::from_millis(20);
const BYTES: usize = 250;

fn gateway(upstream: SocketAddr, phase: &str) -> Gateway {
    let held = "upstream = 'echo'\ntimeout = '1s'";
    let config = Configuration::new()
        .probe(upstream, &format!("config = {{ phases = ['{phase}'] }}"))
        .chain("held", "/**", &["probe"], held);
    Gateway::start(&config)
}

/// Writes the body byte by byte until somebody answers; whether all of it was taken.
fn trickle(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PAUSE)).unwrap();
    for _ in 0..BYTES {
        let answered = stream.peek(&mut [0]).is_ok();
        if answered || stream.write_all(b"x").is_err() {
            return false;
        }
    }
    true
}

#[test]
fn a_request_body_that_trickles_into_a_plugin_ends_with_408_at_the_routes_timeout() {
    let origin = Origin::start();
    let gateway = gateway(origin.address, "request-body");
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {BYTES}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    assert!(!trickle(&mut client), "all of it was taken");
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert_eq!(read_answer(&mut client).status, 408, "{}", gateway.text());
    assert!(origin.seen().is_empty());
    let whole = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    let answer = raw(gateway.listener("public"), whole.as_bytes());
    assert_eq!(answer.json()["body"], 3, "a body that is there is held");
}

#[test]
fn a_response_body_that_trickles_into_a_plugin_ends_with_504_at_the_routes_timeout() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = gateway(upstream.local_addr().unwrap(), "response-body");
    let taken = std::thread::spawn(move || {
        let (mut stream, _) = upstream.accept().unwrap();
        // One read is the whole head.
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        trickle_out(&mut stream)
    });
    let answer = get(gateway.listener("public"), "/", &[]);
    assert_eq!(answer.status, 504, "{}", gateway.text());
    assert!(!taken.join().unwrap(), "all of it was taken");
}

/// Writes the body byte by byte until the connection is closed; whether all of it was taken.
fn trickle_out(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PAUSE)).unwrap();
    for _ in 0..BYTES {
        let closed = stream.read(&mut [0]).is_ok_and(|read| read == 0);
        if closed || stream.write_all(b"x").is_err() {
            return false;
        }
    }
    true
}

/// A plugin that was cut off is not at fault.
#[test]
fn a_sub_request_that_the_routes_timeout_ends_is_504_whatever_the_plugin_makes_of_it() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let grants = "grants = { upstreams = ['origin'], secrets = ['mine'], state = true }";
    let plugin = format!("{grants}\nconfig = {{ act = 'wait' }}\ntimeout = '20s'");
    let config = Configuration::new()
        .access_log()
        .upstream("origin", upstream.local_addr().unwrap())
        .secret("mine", "my s3cret")
        .plugin("hostile", "guest_hostile", &plugin)
        .chain(
            "waits",
            "/**",
            &["hostile"],
            "upstream = 'origin'\ntimeout = '300ms'",
        );
    let gateway = Gateway::start(&config);
    let answer = get(gateway.listener("public"), "/", &[]);
    assert_eq!(answer.status, 504, "{}", gateway.text());
    gateway.wait_for("\"error\":\"deadline\"");
    let line = gateway.wait_for("plugin failed");
    assert!(
        line.contains("WARN") && line.contains("kind=\"deadline\""),
        "{line}"
    );
}
