//! What counts against an endpoint and its breaker: its own failures, and no client's.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::http::{connect, read_answer};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn config(endpoint: std::net::SocketAddr, upstream: &str, route: &str) -> Configuration {
    Configuration::new()
        .access_log()
        .upstream_with("it", endpoint, upstream)
        .route("all", "/**", &format!("upstream = 'it'\n{route}"))
}

fn openings(gateway: &Gateway) -> f64 {
    gateway.metric("gateway_upstream_breaker_openings_total{upstream=\"it\"}")
}

fn begun(gateway: &Gateway, length: usize) -> TcpStream {
    let mut client = connect(gateway.listener("public"));
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\nx");
    client.write_all(head.as_bytes()).unwrap();
    client
}

#[test]
fn clients_with_slow_bodies_open_no_breaker() {
    let origin = Origin::answering(|_, _| OK.to_vec());
    let breaker =
        "breaker = { failure_ratio = 0.1, min_requests = 1, open_for = '1h', slow = '2s' }";
    let gateway = Gateway::start(&config(origin.address, breaker, "timeout = '4s'"));
    let mut slow: Vec<_> = (0..3).map(|_| begun(&gateway, 2)).collect();
    let mut never = begun(&gateway, 9);
    std::thread::sleep(Duration::from_millis(2100));
    for client in &mut slow {
        client.write_all(b"y").unwrap();
        assert_eq!(read_answer(client).status, 200);
    }
    // The time of the route ends it.
    assert!(read_answer(&mut never).status >= 400);
    assert_eq!(openings(&gateway), 0.0);
    assert_eq!(get(gateway.listener("public"), "/", &[]).status, 200);
}

#[test]
fn the_time_in_the_queue_of_the_pool_is_not_the_endpoints() {
    let recorder = Recorder::start();
    let upstream = "pool = { max_connections = 1 }\ntimeouts = { connect = '20s' }\n\
        breaker = { failure_ratio = 0.1, min_requests = 1, open_for = '1h' }";
    let gateway = Gateway::start(&config(recorder.address, upstream, "").route(
        "short",
        "/short",
        "upstream = 'it'\ntimeout = '300ms'",
    ));
    let public = gateway.listener("public");
    let held = begun(&gateway, 9);
    recorder.head(0);
    assert_eq!(get(public, "/short", &[]).status, 504);
    let waits = std::thread::spawn(move || get(public, "/", &[]));
    std::thread::sleep(Duration::from_millis(500));
    let free = Instant::now();
    drop(held);
    recorder.head(1);
    recorder.send(1, OK);
    assert_eq!(waits.join().unwrap().status, 200);
    let took = free.elapsed();
    assert_eq!(openings(&gateway), 0.0);
    let sum = format!(
        "gateway_endpoint_latency_seconds_sum{{upstream=\"it\",endpoint=\"{}\"}}",
        recorder.address
    );
    let count = sum.replace("_sum", "_count");
    assert_eq!(gateway.metric(&count), 1.0);
    let sum = gateway.metric(&sum);
    assert!(sum <= took.as_secs_f64(), "{sum} s of {took:?}");
}

#[test]
fn a_client_that_holds_the_probe_holds_nobody_else() {
    let recorder = Recorder::start();
    let breaker = "breaker = { failure_ratio = 0.1, min_requests = 1, open_for = '200ms' }";
    let gateway = Gateway::start(&config(recorder.address, breaker, ""));
    let public = gateway.listener("public");
    let first = std::thread::spawn(move || get(public, "/", &[]));
    recorder.head(0);
    recorder.close(0);
    assert_eq!(first.join().unwrap().status, 502);
    std::thread::sleep(Duration::from_millis(250));
    let _holds = begun(&gateway, 9);
    recorder.head(1);
    let whole = std::thread::spawn(move || get(public, "/", &[]));
    recorder.head(2);
    recorder.send(2, OK);
    assert_eq!(whole.join().unwrap().status, 200);
    gateway.wait_for("the breaker is closed");
}

#[test]
fn a_broken_body_is_a_failure_and_the_whole_answer_of_a_probe_decides() {
    let origin = Origin::answering(|head, _| match head.contains("/whole") {
        true => OK.to_vec(),
        false => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n".to_vec(),
    });
    let breaker =
        "breaker = { failure_ratio = 0.6, min_requests = 4, window = '1h', open_for = '100ms' }";
    let gateway = Gateway::start(&config(origin.address, breaker, ""));
    let public = gateway.listener("public");
    for _ in 0..4 {
        get(public, "/", &[]);
    }
    gateway.wait_for("the breaker opens for 100ms: 4 of 4 requests failed");
    while get(public, "/", &[]).status == 503 {
        std::thread::yield_now();
    }
    gateway.wait_for("the request that was let through failed");
    while get(public, "/whole", &[]).status == 503 {
        std::thread::yield_now();
    }
    gateway.wait_for("the breaker is closed: requests go out");
}

#[test]
fn an_endpoint_that_is_silent_until_its_clients_give_up_is_seen() {
    let recorder = Recorder::start();
    let breaker =
        "breaker = { failure_ratio = 0.5, min_requests = 2, open_for = '1h', slow = '100ms' }";
    let gateway = Gateway::start(&config(recorder.address, breaker, ""));
    for at in 0..2 {
        let mut client = connect(gateway.listener("public"));
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        recorder.head(at);
        std::thread::sleep(Duration::from_millis(200));
        drop(client);
        recorder.ended(at);
    }
    gateway.wait_for("the breaker opens for 3600s: 2 of 2 requests failed");
    let endpoint = format!("\"endpoint\":\"{}\"", recorder.address);
    gateway.wait_for_all(&["\"status\":499", &endpoint]);
    let aborted = format!(
        "gateway_endpoint_failures_total{{upstream=\"it\",endpoint=\"{}\",kind=\"client_closed\"}}",
        recorder.address
    );
    assert_eq!(gateway.metric(&aborted), 2.0);
}

#[test]
fn a_method_that_an_endpoint_does_not_know_is_no_failure_of_it() {
    let origin = Origin::answering(|head, _| match head.starts_with("BREW") {
        true => b"HTTP/1.1 501 N\r\ncontent-length: 0\r\n\r\n".to_vec(),
        false => OK.to_vec(),
    });
    let breaker = "breaker = { failure_ratio = 0.1, min_requests = 1, open_for = '1h' }";
    let gateway = Gateway::start(&config(origin.address, breaker, ""));
    for _ in 0..3 {
        let mut client = connect(gateway.listener("public"));
        client
            .write_all(b"BREW / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(&mut client).status, 501);
    }
    assert_eq!(get(gateway.listener("public"), "/", &[]).status, 200);
    assert_eq!(openings(&gateway), 0.0);
}

#[test]
fn a_reload_that_changes_or_removes_an_open_breaker_closes_it() {
    let origin = Origin::answering(|_, _| b"HTTP/1.1 500 S\r\ncontent-length: 0\r\n\r\n".to_vec());
    let breaker = |ratio| {
        format!("breaker = {{ failure_ratio = {ratio}, min_requests = 1, open_for = '1h' }}")
    };
    let of = |ratio| config(origin.address, &breaker(ratio), "");
    let gateway = Gateway::start(&of("0.5"));
    let without = Configuration::new().route("all", "/**", "respond = { status = 204 }");
    let open = || gateway.metric("gateway_upstream_breaker_open{upstream=\"it\"}");
    for next in [of("0.6"), config(origin.address, "", ""), without] {
        gateway.configure(&of("0.5"));
        assert_eq!(gateway.post("/reload").status, 200);
        get(gateway.listener("public"), "/", &[]);
        assert_eq!(open(), 1.0);
        gateway.configure(&next);
        assert_eq!(gateway.post("/reload").status, 200);
        assert_eq!(open(), 0.0);
    }
    gateway.wait_for("the breaker is closed: the configuration has it no more");
}

#[test]
fn a_shadow_that_hangs_is_told_so_and_its_breaker_opens() {
    let (origin, shadow) = (Origin::answering(|_, _| OK.to_vec()), Recorder::start());
    let breaker = "breaker = { failure_ratio = 0.5, min_requests = 2, open_for = '1h' }";
    let gateway = Gateway::start(
        &config(
            origin.address,
            "",
            "timeout = '3s'\nmirror = { upstream = 'shadow' }",
        )
        .upstream_with("shadow", shadow.address, breaker),
    );
    for at in 0..2 {
        assert_eq!(get(gateway.listener("public"), "/", &[]).status, 200);
        shadow.head(at);
    }
    gateway.wait_for_all(&["shadow", "the breaker opens for 3600s: 2 of 2"]);
    let late = format!(
        "gateway_endpoint_failures_total{{upstream=\"shadow\",endpoint=\"{}\",kind=\"upstream_timeout\"}}",
        shadow.address
    );
    assert_eq!(gateway.metric(&late), 2.0);
}
