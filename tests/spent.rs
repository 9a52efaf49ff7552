//! What an attempt holds is given back before the next one needs it, and what counts as one that went out.

use std::io::Write as _;
use std::sync::{Arc, Barrier};

use crate::harness::http::{connect, read_answer, send};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get};
use crate::streams::gone;

const RETRY: &str = "upstream = 'it'\nretry = { backoff = '1ms', budget = false }";

/// One connection, and one request under way.
const ONE: &str =
    "pool = { max_connections = 1 }\nbreaker = { max_requests = 1 }\ntimeouts = { connect = '1s' }";

fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} S\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// With a body that is not over with its head; the origin keeps the connection.
fn busy() -> Vec<u8> {
    let head = "HTTP/1.1 503 S\r\ntransfer-encoding: chunked\r\nx-no: content-length\r\n\r\n";
    format!("{head}4\r\nbusy\r\n0\r\n\r\n").into_bytes()
}

#[test]
fn a_retry_needs_no_second_connection_and_no_second_pass() {
    let origin = Origin::answering(|head, _| match head.starts_with("HEAD") {
        true => b"HTTP/1.1 503 S\r\ncontent-length: 4\r\n\r\n".to_vec(),
        false => busy(),
    });
    let config = Configuration::new()
        .upstream_with("it", origin.address, ONE)
        .route("all", "/**", RETRY);
    let gateway = Gateway::start(&config);
    for (method, body) in [("GET", "busy"), ("HEAD", "")] {
        let before = origin.seen().len();
        let mut client = connect(gateway.listener("public"));
        let head = format!("{method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        let answer = read_answer(&mut client);
        assert_eq!((answer.status, answer.text()), (503, body.to_owned()));
        if method == "HEAD" {
            assert_eq!(answer.header("content-length"), Some("4"));
        }
        assert_eq!(origin.seen().len() - before, 3, "{method}");
    }
    let refused = "gateway_upstream_refused_total{upstream=\"it\",reason=\"max_requests\"}";
    assert_eq!(gateway.metric(refused), 0.0);
}

#[test]
fn an_attempt_that_the_breaker_holds_back_is_no_retry() {
    let origin = Origin::answering(|_, _| answer(503, "busy"));
    let breaker = "breaker = { failure_ratio = 0.1, min_requests = 1, open_for = '1h' }";
    let config = Configuration::new()
        .upstream_with("it", origin.address, breaker)
        .route("all", "/**", "upstream = 'it'\nretry = { backoff = '1ms' }");
    let gateway = Gateway::start(&config);
    assert_eq!(get(gateway.listener("public"), "/", &[]).text(), "busy");
    assert_eq!(origin.seen().len(), 1);
    let retries = "gateway_upstream_retries_total{upstream=\"it\"}";
    assert_eq!(gateway.metric(retries), 0.0);
}

#[test]
fn an_answer_is_kept_up_to_64_kib_where_no_later_attempt_has_one() {
    for (length, status) in [(64 << 10, 503), ((64 << 10) + 1, 502)] {
        let origin = Origin::answering(move |_, _| answer(503, &"x".repeat(length)));
        let retry = "upstream = 'it'\nretry = { attempts = 2, backoff = '1ms', budget = false }";
        let config = Configuration::new()
            .access_log()
            .upstream_of("it", &[origin.address, gone()], ONE)
            .route("all", "/**", retry);
        let gateway = Gateway::start(&config);
        // Of two, one goes there first.
        let mut answers = Vec::new();
        for _ in 0..2 {
            answers.push(get(gateway.listener("public"), "/", &[]));
        }
        let got: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert!(got.contains(&status), "{length}: {got:?}");
        for answer in answers.iter().filter(|answer| answer.status == 503) {
            assert_eq!(answer.body.len(), length);
        }
        if status == 503 {
            assert_eq!(got, [503, 503]);
            let endpoint = format!("\"endpoint\":\"{}\"", origin.address);
            gateway.wait_for_all(&["\"status\":503", &endpoint, "\"upstream_time\""]);
        }
    }
}

#[test]
fn the_first_upstream_is_free_while_the_fallback_is_asked() {
    let (first, other) = (Origin::answering(|_, _| busy()), Recorder::start());
    let config = Configuration::new()
        .upstream_with("it", first.address, ONE)
        .upstream("other", other.address)
        .route(
            "falls",
            "/falls",
            "upstream = 'it'\nfallback = { upstream = 'other', on = [503] }",
        )
        .route("plain", "/plain", "upstream = 'it'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let client = std::thread::spawn(move || get(public, "/falls", &[]));
    other.head(0);
    assert_eq!(get(public, "/plain", &[]).text(), "busy");
    other.close(0);
    let answer = client.join().unwrap();
    assert_eq!((answer.status, answer.text()), (503, "busy".to_owned()));
}

#[test]
fn what_a_breaker_held_back_adds_nothing_to_the_budget_of_retries() {
    let origin = Origin::answering(|_, _| answer(503, "busy"));
    let breaker = "breaker = { failure_ratio = 0.5, min_requests = 1, open_for = '1h' }";
    let retry = "upstream = 'it'\nretry = { attempts = 2, backoff = '1ms', budget = 0.2 }";
    let config = |lines| {
        Configuration::new()
            .upstream_with("it", origin.address, lines)
            .route("all", "/**", retry)
    };
    let gateway = Gateway::start(&config(breaker));
    for _ in 0..100 {
        assert_eq!(get(gateway.listener("public"), "/", &[]).status, 503);
    }
    assert_eq!(origin.seen().len(), 1);
    gateway.configure(&config(""));
    assert_eq!(gateway.post("/reload").status, 200);
    for _ in 0..30 {
        assert_eq!(get(gateway.listener("public"), "/", &[]).status, 503);
    }
    // Ten may always, and of a few that is more than a fifth.
    let seen = origin.seen().len();
    assert!(seen <= 1 + 30 + 10, "{seen}");
}

#[test]
fn fewer_connections_than_idle_ones_are_room_for_a_new_endpoint() {
    let together = Arc::new(Barrier::new(4));
    let old = Origin::answering(move |_, _| {
        together.wait();
        answer(200, "old")
    });
    let new = Origin::answering(|_, _| answer(200, "new"));
    let config = |origin: &Origin, most: usize| {
        let pool =
            format!("pool = {{ max_connections = {most} }}\ntimeouts = {{ connect = '1s' }}");
        Configuration::new()
            .upstream_with("it", origin.address, &pool)
            .route("all", "/**", "upstream = 'it'")
    };
    let gateway = Gateway::start(&config(&old, 4));
    let public = gateway.listener("public");
    let clients = (0..4).map(|_| std::thread::spawn(move || get(public, "/", &[])));
    let clients: Vec<_> = clients.collect();
    for client in clients {
        assert_eq!(client.join().unwrap().text(), "old");
    }
    gateway.configure(&config(&new, 1));
    assert_eq!(gateway.post("/reload").status, 200);
    let answer = get(public, "/", &[]);
    assert_eq!((answer.status, answer.text()), (200, "new".to_owned()));
}

#[test]
fn a_client_stays_at_its_endpoint_though_a_retry_went_elsewhere() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let busy = Origin::answering(move |_, _| {
        match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            1 => answer(503, ""),
            _ => answer(200, "busy"),
        }
    });
    let other = Origin::answering(|_, _| answer(200, "other"));
    let config = Configuration::new()
        .upstream_of(
            "it",
            &[busy.address, other.address],
            "sticky = { cookie = 'gw' }",
        )
        .route("all", "/**", RETRY);
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    // Whoever is sent to `busy` first.
    let cookie = loop {
        let first = get(public, "/", &[]);
        if first.text() == "busy" {
            let cookie = first.header("set-cookie").unwrap().to_owned();
            break cookie.split(';').next().unwrap().to_owned();
        }
    };
    let retried = send(public, "GET", "/", &[("cookie", &cookie)], b"");
    assert_eq!((retried.status, retried.text()), (200, "other".to_owned()));
    assert_eq!(retried.header("set-cookie"), None);
    assert_eq!(get(public, "/", &[("cookie", &cookie)]).text(), "busy");
}
