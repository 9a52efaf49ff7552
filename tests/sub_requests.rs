//! What plugins' sub-requests carry of the exchange they are made for, and where they are counted.

use std::io::Write;
use std::net::TcpStream;

use crate::harness::http::read_answer;
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The values of a field of a request.
fn all<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    let fields = request.lines().filter_map(|line| line.split_once(": "));
    let found = fields.filter(|(each, _)| each.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value).collect()
}

#[test]
fn a_sub_request_carries_the_id_and_the_trace_of_the_request_it_is_made_for() {
    let origin = Origin::start();
    let gateway = Gateway::start(&Configuration::new().probed(origin.address, ""));
    let trace = [("traceparent", TRACE), ("tracestate", "a=b")];
    let answer = get(gateway.listener("public"), "/probe/send-all", &trace);
    assert_eq!(answer.status, 200, "{}", gateway.text());
    let id = answer.header("x-request-id").unwrap();
    let seen = origin.seen();
    assert_eq!(seen.len(), 2);
    for request in &seen {
        assert_eq!(all(request, "x-request-id"), [id], "{request}");
        assert_eq!(all(request, "traceparent"), [TRACE], "{request}");
        assert_eq!(all(request, "tracestate"), ["a=b"], "{request}");
    }
    get(gateway.listener("public"), "/probe/send", &[]);
    let request = &origin.seen()[2];
    assert!(all(request, "traceparent").is_empty(), "{request}");
}

#[test]
fn sub_requests_count_in_the_metrics_of_their_upstream_and_in_its_queue() {
    let upstream = Recorder::start();
    let one = "pool = { max_connections = 1 }\ntimeouts = { connect = '20s' }\nbreaker = { max_pending = 1 }";
    let config = Configuration::new()
        .secret("token", "s3cret")
        .plugin(
            "probe",
            "guest_probe",
            "grants = { upstreams = ['echo'], secrets = ['token'], state = true }\ntimeout = '20s'",
        )
        .upstream_with("echo", upstream.address, one)
        .chain("probed", "/probe/**", &["probe"], "upstream = 'echo'");
    let gateway = Gateway::start(&config);
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    client
        .write_all(b"GET /probe/send-all HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    // Two at once, by one connection: one waits.
    for path in ["/one", "/two"] {
        upstream.wait(path, |wires| {
            wires.first()?.text().contains(path).then_some(())
        });
        upstream.send(0, ok);
    }
    assert_eq!(read_answer(&mut client).status, 200);
    assert_eq!(upstream.counts().0, 1);
    let requests = r#"gateway_upstream_requests_total{upstream="echo"}"#;
    assert_eq!(gateway.metric(requests), 2.0);

    client
        .write_all(b"GET /probe/send HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    upstream.wait("the third", |wires| {
        (wires[0].text().matches("/one ").count() == 2).then_some(())
    });
    upstream.close(0);
    assert_eq!(read_answer(&mut client).status, 200);
    let failures = r#"gateway_upstream_failures_total{upstream="echo",kind="bad_gateway"}"#;
    assert_eq!(gateway.metric(failures), 1.0);
}
