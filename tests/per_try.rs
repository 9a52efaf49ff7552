//! `per_try` of a retry that ends before anything was sent: what may go out again, and whom it says something about.

use std::io::Write;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::http::{connect, read_answer, send};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin};
use crate::health::grpc::Server;
use crate::health::until;
use crate::unix_upstreams::full::full;
use crate::upstreams::OK;

fn config(endpoints: &[&str], lines: &str, retry: &str) -> Configuration {
    Configuration::new()
        .access_log()
        .with(&format!(
            "[upstreams.it]\nendpoints = {endpoints:?}\n{lines}"
        ))
        .route("all", "/**", &format!("upstream = 'it'\nretry = {retry}"))
}

fn start(directory: TempDir, config: &Configuration) -> Gateway {
    Gateway::start_in(directory, config, &[])
}

fn ejections(gateway: &Gateway, endpoint: &str) -> f64 {
    gateway.metric(&format!(
        "gateway_endpoint_ejections_total{{upstream=\"it\",endpoint=\"{endpoint}\"}}"
    ))
}

const RETRY: &str = "{ on = ['timeout'], per_try = '300ms', backoff = '1ms', budget = false }";

#[test]
fn what_no_connection_was_found_for_goes_elsewhere_whatever_its_method() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("full.sock");
    let _full = full(&path);
    let (of_h1, of_h2) = (Origin::start(), Server::start());
    of_h2.says(None, "0");
    for (protocol, good) in [("h1", of_h1.address), ("h2", of_h2.address)] {
        let endpoints = [format!("unix:{}", path.display()), good.to_string()];
        let lines = format!(
            "protocol = '{protocol}'\ntimeouts = {{ connect = '60s' }}\noutlier = {{ consecutive_failures = 1 }}"
        );
        let config = config(&[&endpoints[0], &endpoints[1]], &lines, RETRY);
        let gateway = start(tempfile::tempdir().unwrap(), &config);
        // One of the two goes to the full one first.
        for _ in 0..2 {
            let answer = send(gateway.listener("public"), "POST", "/", &[], b"body");
            assert_eq!(answer.status, 200, "{protocol}\n{}", gateway.text());
        }
        gateway.wait_for_all(&["\"attempts\":2", "\"status\":200"]);
        // It takes no connection, and that is its own fault.
        assert_eq!(ejections(&gateway, &endpoints[0]), 1.0);
    }
}

#[test]
fn waiting_for_a_place_in_the_own_pool_says_nothing_about_an_endpoint_nor_to_the_breaker() {
    let (one, other) = (Recorder::start(), Recorder::start());
    let endpoints = [one.address, other.address].map(|it| it.to_string());
    let endpoints: Vec<&str> = endpoints.iter().map(|it| &**it).collect();
    let lines = "pool = { max_connections = 1 }\ntimeouts = { connect = '60s' }\n\
        outlier = { consecutive_failures = 1 }\n\
        breaker = { failure_ratio = 0.1, min_requests = 1 }";
    let config = config(&endpoints, lines, RETRY).route("held", "/held", "upstream = 'it'");
    let gateway = start(tempfile::tempdir().unwrap(), &config);
    let public = gateway.listener("public");
    let mut holds = connect(public);
    holds
        .write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let holder = || [&one, &other].into_iter().find(|it| it.counts().0 == 1);
    until(&gateway, "a request", || holder().is_some());
    let holder = holder().unwrap();
    holder.head(0);
    let began = Instant::now();
    let answer = send(public, "POST", "/waits", &[], b"body");
    assert_eq!(answer.status, 504);
    assert!(began.elapsed() >= 3 * Duration::from_millis(300));
    // Each attempt left the POST whole for the next.
    gateway.wait_for_all(&["\"path\":\"/waits\"", "\"attempts\":3", "upstream_timeout"]);
    gateway.wait_for("all 1 connections that `pool.max_connections` allows are taken, and none came free within `retry.per_try`");
    for endpoint in &endpoints {
        assert_eq!(ejections(&gateway, endpoint), 0.0);
    }
    assert_eq!(
        gateway.metric("gateway_upstream_breaker_open{upstream=\"it\"}"),
        0.0
    );
    holder.send(0, OK);
    assert_eq!(read_answer(&mut holds).text(), "ok");
}

/// A client may take its time with a body: no attempt is over before there is something to send.
#[test]
fn an_attempt_begins_with_the_first_byte_of_a_body() {
    let upstream = Recorder::start();
    let endpoint = upstream.address.to_string();
    let retry = "{ on = ['timeout'], per_try = '500ms', backoff = '1ms' }";
    let gateway = start(
        tempfile::tempdir().unwrap(),
        &config(&[&endpoint], "", retry),
    );
    let mut client = connect(gateway.listener("public"));
    let head = "POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    client.write_all(b"bo").unwrap();
    upstream.wait("the first bytes", |wires| {
        (wires.first()?.body() == b"bo").then_some(())
    });
    std::thread::sleep(Duration::from_millis(700));
    client.write_all(b"dy").unwrap();
    upstream.wait("the last bytes", |wires| {
        (wires[0].body() == b"body").then_some(())
    });
    // And then the endpoint has as long as it says, and no longer.
    let began = Instant::now();
    assert_eq!(read_answer(&mut client).status, 504);
    assert!(began.elapsed() >= Duration::from_millis(400));
    gateway.wait_for_all(&["\"path\":\"/slow\"", "\"error\":\"upstream_timeout\""]);
    upstream.ended(0);
}
