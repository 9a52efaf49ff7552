//! Connections that nobody uses for a while: what they keep, and that they serve on as if nothing had been.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustls::version::TLS13;

use crate::harness::http::connect;
use crate::harness::tls::{Certificate, Tls};
use crate::harness::{Configuration, Gateway};

const CONNECTIONS: u64 = 400;

/// The listener `public` and, with a certificate, `tls` have these limits; `patient` waits longer.
fn config(limits: &str) -> Configuration {
    let limits = format!("limits = {{ {limits} }}");
    let certificates = "tls = { certificates = [{ cert = 'a.pem', key = 'a.key' }] }";
    Configuration::new()
        .server("grace = '20s'")
        .public(&limits)
        .listener("patient", "limits = { idle = '60s' }")
        .listener("tls", &format!("{limits}\n{certificates}"))
        .route("all", "/**", "respond = { status = 200, body = 'served' }")
}

/// Sends the parts one after the other and expects as many answers.
fn ask(stream: &mut (impl Read + Write), parts: &[&str], answers: usize) {
    for part in parts {
        stream.write_all(part.as_bytes()).unwrap();
    }
    let mut read = Vec::new();
    while String::from_utf8_lossy(&read).matches("served").count() < answers {
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "closed after {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&buffer[..n]);
    }
    assert!(read.ends_with(b"served"));
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";

/// Opens connections, waits until what they served with is given back, and uses them again.
fn rests<S: Read + Write>(gateway: &Gateway, connect: impl Fn() -> S, most: u64) {
    let before = gateway.allocated();
    let mut idle: Vec<S> = (0..CONNECTIONS)
        .map(|_| {
            let mut stream = connect();
            ask(&mut stream, &[GET], 1);
            stream
        })
        .collect();
    let each = || gateway.allocated().saturating_sub(before) / CONNECTIONS;
    let (busy, began) = (each(), Instant::now());
    while each() > most {
        let patient = began.elapsed() < Duration::from_secs(60);
        assert!(patient, "{busy} bytes each at first, {} at rest", each());
        std::thread::sleep(Duration::from_millis(50));
    }
    for stream in &mut idle {
        // In pieces, two at once, with a body, and after an empty line.
        ask(
            stream,
            &["GET / HT", "TP/1.1\r\nhost:", " a.test\r\n\r\n"],
            1,
        );
        ask(stream, &[GET, GET], 2);
        let post = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 2\r\n\r\nab";
        ask(stream, &[post], 1);
        ask(stream, &["\r\n", GET], 1);
    }
}

#[test]
fn at_rest_a_connection_keeps_little_and_then_serves_on() {
    let gateway = gateway_with(&Certificate::new(&["a.test"]), "");
    let clear = gateway.listener("public");
    rests(&gateway, || connect(clear), 12 << 10);
}

#[test]
fn the_same_over_tls_which_keeps_its_session() {
    let certificate = Certificate::new(&["a.test"]);
    let gateway = gateway_with(&certificate, "");
    let address = gateway.listener("tls");
    let tls = Tls::new(&[&certificate], &TLS13, &["http/1.1"]);
    rests(&gateway, || tls.over(connect(address), "a.test"), 24 << 10);
}

fn gateway_with(certificate: &Certificate, limits: &str) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    certificate.write(directory.path(), "a");
    Gateway::start_in(directory, &config(limits), &[])
}

#[test]
fn the_idle_limit_and_the_end_of_the_gateway_end_a_connection_at_rest() {
    let certificate = Certificate::new(&["a.test"]);
    let gateway = gateway_with(&certificate, "idle = \"5s\"");
    let mut last = connect(gateway.listener("patient"));
    ask(&mut last, &[GET], 1);
    let mut short = connect(gateway.listener("public"));
    let began = Instant::now();
    ask(&mut short, &[GET], 1);
    assert_eq!(short.read(&mut [0]).unwrap(), 0);
    let lasted = began.elapsed();
    assert!(lasted > Duration::from_millis(4_900), "{lasted:?}");
    // That was longer than it takes to be at rest.
    let began = Instant::now();
    gateway.signal("TERM");
    gateway.wait_for("draining");
    let mut answer = String::new();
    // It lingers for a second, for which a machine may stand still: then it is closed without an answer.
    let _late = last.write_all(GET.as_bytes());
    let _reset = last.read_to_string(&mut answer);
    let late = answer.is_empty() && began.elapsed() > Duration::from_secs(1);
    assert!(answer.ends_with("served") || late, "{answer}");
    gateway.assert_drained();
}
