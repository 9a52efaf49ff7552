//! One vocabulary of failure, in the log and the metrics; an exchange is counted once.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{
    STREAM, assert_counted, assert_errors, assert_logged_once, gone, probe, route, start, upstream,
};
use crate::harness::recorder::Recorder;
use crate::harness::{Gateway, Origin, get};

const REQUESTS: &str = "gateway_upstream_requests_total";
const FAILURES: &str = "gateway_upstream_failures_total";

/// An upstream that declares 10 bytes, sends 3 and closes.
fn broken() -> Origin {
    Origin::answering(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec())
}

/// A route whose plugin makes a sub-request to `origin`.
fn asking(origin: std::net::SocketAddr) -> Gateway {
    let plugin = r#"
[plugins.p]
path = "{plugins}/guest_probe.wasm"
config = { upstream = "origin" }
grants = { upstreams = ["origin"], secrets = ["token"], state = true }
"#;
    start(&[
        plugin.to_owned(),
        upstream("origin", origin),
        route("asking", "/probe/**", "p", ""),
    ])
}

/// Has the plugin send its sub-request; what it saw. The exchange does not fail with it.
#[track_caller]
fn sub_request(gateway: &Gateway) -> serde_json::Value {
    let answer = get(gateway.listener("public"), "/probe/send", &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_logged_once(gateway, "/probe/send", &["\"complete\":true"]);
    assert_errors(gateway, &[]);
    answer.json()["saw"].clone()
}

#[test]
fn an_answer_that_breaks_off_is_response_broken_in_log_and_metrics_with_plugins_and_without() {
    for chain in ["", "s"] {
        let origin = Recorder::start();
        let gateway = start(&[
            probe("s", STREAM, ""),
            upstream("origin", origin.address),
            route("all", "/x", chain, "upstream = \"origin\""),
        ]);
        let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
        client
            .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        origin.head(0);
        origin.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
        origin.close(0);
        // What comes of the answer, if anything does before it breaks, is not a whole one.
        let mut read = Vec::new();
        let _reset = client.read_to_end(&mut read);
        assert!(!read.ends_with(b"0\r\n\r\n"), "{read:?}");
        let broken = ["\"error\":\"response_broken\"", "\"complete\":false"];
        assert_logged_once(&gateway, "/x", &broken);
        assert_errors(&gateway, &[("kind=response_broken", 1)]);
        let failed = [("upstream=origin,kind=response_broken", 1)];
        assert_counted(&gateway, FAILURES, &failed);
    }
}

#[test]
fn a_sub_request_without_a_connection_counts_connect_for_its_upstream() {
    let gateway = asking(gone());
    assert!(sub_request(&gateway)["error"].is_string());
    assert_counted(&gateway, FAILURES, &[("upstream=origin,kind=connect", 1)]);
    assert_counted(&gateway, REQUESTS, &[]);
}

#[test]
fn a_sub_request_whose_answer_breaks_off_counts_response_broken_for_its_upstream() {
    let origin = broken();
    let gateway = asking(origin.address);
    assert!(sub_request(&gateway)["error"].is_string());
    let failed = [("upstream=origin,kind=response_broken", 1)];
    assert_counted(&gateway, FAILURES, &failed);
}

#[test]
fn a_sub_request_that_is_answered_counts_as_a_request_of_its_upstream() {
    let origin = Origin::start();
    let gateway = asking(origin.address);
    assert_eq!(sub_request(&gateway)["status"], 200);
    assert_counted(&gateway, REQUESTS, &[("upstream=origin", 1)]);
    assert_counted(&gateway, FAILURES, &[]);
}

#[test]
fn an_exchange_in_which_several_things_fail_has_the_kind_of_the_first_and_is_counted_once() {
    let gateway = start(&[
        probe("f", r#""response""#, ""),
        upstream("gone", gone()),
        route("failing", "/probe/**", "f", "upstream = \"gone\""),
    ]);
    let path = "/probe/response/fail";
    let answer = get(gateway.listener("public"), path, &[]);
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_logged_once(&gateway, path, &["\"error\":\"connect\"", "\"status\":502"]);
    assert_errors(&gateway, &[("kind=connect", 1)]);
    assert_counted(&gateway, FAILURES, &[("upstream=gone,kind=connect", 1)]);
    let plugins = "gateway_plugin_failures_total";
    let failed = [("plugin=f,route=failing,kind=refused", 1)];
    assert_counted(&gateway, plugins, &failed);
}
