//! `breaker`: when it opens, what is told then, and how it closes.

use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::SeqCst;

use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get};

/// Answers with the status that it is told.
fn told(status: u16) -> (Origin, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(status));
    let told = status.clone();
    let origin = Origin::answering(move |_, _| {
        let status = told.load(SeqCst);
        format!("HTTP/1.1 {status} S\r\ncontent-length: 0\r\n\r\n").into_bytes()
    });
    (origin, status)
}

fn config(origin: &Origin, breaker: &str, route: &str) -> Configuration {
    Configuration::new()
        .access_log()
        .upstream_with("it", origin.address, &format!("breaker = {breaker}"))
        .route("all", "/**", &format!("upstream = 'it'\n{route}"))
}

fn ask(gateway: &Gateway) -> u16 {
    get(gateway.listener("public"), "/", &[]).status
}

fn open(gateway: &Gateway) -> f64 {
    gateway.metric("gateway_upstream_breaker_open{upstream=\"it\"}")
}

const BREAKER: &str = "{ failure_ratio = 0.5, min_requests = 4, window = '1h', open_for = '1h' }";

#[test]
fn it_opens_once_enough_requests_failed_and_stays_so_over_a_reload() {
    let (origin, status) = told(200);
    let wanted = config(&origin, BREAKER, "");
    let gateway = Gateway::start(&wanted);
    for (answer, count) in [(200, 2), (500, 2)] {
        status.store(answer, SeqCst);
        for _ in 0..count {
            assert_eq!(ask(&gateway), answer);
        }
    }
    let answer = get(gateway.listener("public"), "/", &[]);
    assert_eq!(answer.status, 503);
    let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((3_500..=3_601).contains(&after), "{after}");
    assert_eq!(origin.seen().len(), 4, "nothing is sent");
    gateway.wait_for("the breaker opens for 3600s: 2 of 4 requests failed");
    gateway.wait_for("\"error\":\"breaker_open\"");
    assert_eq!(open(&gateway), 1.0);
    gateway.configure(&wanted.route("more", "/more", "respond = { status = 204 }"));
    assert_eq!(gateway.post("/reload").status, 200);
    assert_eq!(ask(&gateway), 503);
    let refused = "gateway_upstream_refused_total{upstream=\"it\",reason=\"breaker_open\"}";
    assert_eq!(gateway.metric(refused), 2.0);
}

#[test]
fn one_request_is_let_through_and_closes_it_or_does_not() {
    let (origin, status) = told(500);
    let breaker = "{ failure_ratio = 0.5, min_requests = 2, window = '1h', open_for = '100ms' }";
    let gateway = Gateway::start(&config(&origin, breaker, ""));
    for _ in 0..2 {
        assert_eq!(ask(&gateway), 500);
    }
    // A probe fails, and it stays open; another succeeds, and it is closed.
    while ask(&gateway) != 500 {
        std::thread::yield_now();
    }
    gateway.wait_for("the request that was let through failed");
    let openings = "gateway_upstream_breaker_openings_total{upstream=\"it\"}";
    assert!(gateway.metric(openings) >= 2.0);
    status.store(200, SeqCst);
    while ask(&gateway) != 200 {
        std::thread::yield_now();
    }
    gateway.wait_for("the breaker is closed");
    assert_eq!(open(&gateway), 0.0);
    for _ in 0..10 {
        assert_eq!(ask(&gateway), 200);
    }
}

#[test]
fn its_fallback_answers_while_it_is_open() {
    let (origin, _status) = told(500);
    let fallback = "fallback = { respond = { body = 'later' }, on = ['breaker'] }";
    let gateway = Gateway::start(&config(&origin, BREAKER, fallback));
    for _ in 0..4 {
        assert_eq!(ask(&gateway), 500);
    }
    let answer = get(gateway.listener("public"), "/", &[]);
    assert_eq!((answer.status, answer.text()), (200, "later".to_owned()));
    gateway.wait_for("\"fallback\":\"breaker_open\"");
}

#[test]
fn an_answer_that_is_slow_counts_as_a_failure() {
    let origin = Origin::answering(|_, _| {
        std::thread::sleep(std::time::Duration::from_millis(60));
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()
    });
    let breaker = "{ failure_ratio = 0.5, min_requests = 3, open_for = '1h', slow = '50ms' }";
    let gateway = Gateway::start(&config(&origin, breaker, ""));
    for _ in 0..3 {
        assert_eq!(ask(&gateway), 200);
    }
    assert_eq!(ask(&gateway), 503);
}

#[test]
fn no_more_requests_are_under_way_than_may_be() {
    let recorder = Recorder::start();
    let config = Configuration::new()
        .upstream_with("it", recorder.address, "breaker = { max_requests = 1 }")
        .route("all", "/**", "upstream = 'it'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let first = std::thread::spawn(move || get(public, "/", &[]));
    recorder.head(0);
    let refused = get(public, "/", &[]);
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    recorder.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(first.join().unwrap().status, 200);
    let reason = "gateway_upstream_refused_total{upstream=\"it\",reason=\"max_requests\"}";
    assert_eq!(gateway.metric(reason), 1.0);
}

/// Of one upstream, whose breaker is this, if it has one.
fn bounded(recorder: &Recorder, breaker: &str) -> Configuration {
    Configuration::new()
        .upstream_with("it", recorder.address, breaker)
        .route("all", "/**", "upstream = 'it'")
}

#[test]
fn what_is_under_way_counts_over_reloads_whatever_they_change() {
    let recorder = Recorder::start();
    let bound = |most, more| format!("breaker = {{ max_requests = {most}{more} }}");
    // Requests of a time without a breaker count too.
    for begins in [bound(2, ""), String::new()] {
        let gateway = Gateway::start(&bounded(&recorder, &begins));
        let public = gateway.listener("public");
        let at = recorder.counts().0;
        let held = [0, 1].map(|more| {
            let asking = std::thread::spawn(move || get(public, "/", &[]).status);
            recorder.head(at + more);
            asking
        });
        let reload = |breaker: &str| {
            gateway.configure(&bounded(&recorder, breaker));
            assert_eq!(gateway.post("/reload").status, 200);
        };
        let more = ", failure_ratio = 0.5, min_requests = 20";
        for breaker in [bound(1, ""), bound(2, more), String::new(), bound(2, "")] {
            reload(&breaker);
            if !breaker.is_empty() {
                assert_eq!(get(public, "/", &[]).status, 503, "{begins}, {breaker}");
            }
        }
        reload(&bound(3, ""));
        let third = std::thread::spawn(move || get(public, "/", &[]).status);
        recorder.head(at + 2);
        assert_eq!(get(public, "/", &[]).status, 503, "{begins}");
        for (more, asking) in held.into_iter().chain([third]).enumerate() {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            recorder.send(at + more, answer);
            assert_eq!(asking.join().unwrap(), 200);
        }
        assert_eq!(get_answered(&recorder, public, at), 200, "{begins}");
    }
}

/// Whether another is let out, over one of the connections from `at` on.
fn get_answered(recorder: &Recorder, public: std::net::SocketAddr, at: usize) -> u16 {
    let asking = std::thread::spawn(move || get(public, "/", &[]).status);
    let over = recorder.wait("one more", |wires| {
        let mut wires = wires.iter().enumerate().skip(at);
        wires.find_map(|(at, wire)| (wire.text().matches("GET ").count() == 2).then_some(at))
    });
    recorder.send(over, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    asking.join().unwrap()
}
