//! `retry`: what is sent again, what never is, and how much of it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use crate::harness::http::{Answer, read_answer, send};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get};
use crate::streams::gone;

fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} S\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// Answers 503 so often, then 200.
fn busy(times: usize) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::answering(move |_, _| match count.fetch_add(1, SeqCst) < times {
        true => answer(503, "busy"),
        false => answer(200, "here"),
    })
}

fn gateway(endpoints: &[SocketAddr], retry: &str) -> Gateway {
    let config = Configuration::new()
        .access_log()
        .upstream_of("it", endpoints, "")
        .route("all", "/**", &format!("upstream = 'it'\nretry = {retry}"));
    Gateway::start(&config)
}

fn ask(gateway: &Gateway, method: &str, body: &str) -> Answer {
    send(
        gateway.listener("public"),
        method,
        "/",
        &[],
        body.as_bytes(),
    )
}

fn retries(gateway: &Gateway) -> f64 {
    gateway.metric("gateway_upstream_retries_total{upstream=\"it\"}")
}

#[test]
fn a_request_goes_to_another_endpoint_where_one_is_gone_or_busy() {
    let (busy, good) = (busy(usize::MAX), Origin::start());
    let gateway = gateway(
        &[gone(), busy.address, good.address],
        "{ backoff = '1ms', budget = false }",
    );
    for at in 0..30 {
        let answer = get(gateway.listener("public"), &format!("/{at}"), &[]);
        assert_eq!(answer.json()["path"], format!("/{at}"));
    }
    assert_eq!(good.seen().len(), 30);
    assert!(retries(&gateway) >= 20.0);
    gateway.wait_for("\"attempts\":3");
    assert_eq!(
        gateway.metric("gateway_errors_total{kind=\"connect\"}"),
        0.0
    );
}

#[test]
fn attempts_that_are_used_up_hand_on_the_answer_of_the_upstream() {
    let first = busy(usize::MAX);
    let gateway = gateway(
        &[first.address],
        "{ attempts = 4, backoff = '1ms', budget = false }",
    );
    let answer = ask(&gateway, "GET", "");
    assert_eq!((answer.status, answer.text()), (503, "busy".to_owned()));
    assert_eq!(first.seen().len(), 4);
    // Where the last attempt has no answer, that of the one before stands.
    let first = busy(usize::MAX);
    let both = self::gateway(
        &[first.address, gone()],
        "{ attempts = 2, backoff = '1ms', budget = false }",
    );
    for _ in 0..2 {
        let answer = ask(&both, "GET", "");
        assert_eq!((answer.status, answer.text()), (503, "busy".to_owned()));
    }
    assert_eq!(first.seen().len(), 2);
}

#[test]
fn what_may_have_been_seen_is_sent_again_only_if_its_method_is_listed_and_its_body_held() {
    let origin = busy(usize::MAX);
    let plugin = "config = { phases = ['request', 'request-body'] }";
    let retry = "upstream = 'it'\nretry = { backoff = '1ms', budget = false }";
    let posts = "upstream = 'it'\nretry = { backoff = '1ms', budget = false, methods = ['POST'] }";
    let config = Configuration::new()
        .upstream("it", origin.address)
        .probe(origin.address, plugin)
        .route("plain", "/plain", retry)
        .chain("held", "/held", &["probe"], retry)
        .chain("posts", "/posts", &["probe"], posts);
    let gateway = Gateway::start(&config);
    let sent = |method: &str, path: &str, body: &str| {
        let before = origin.seen().len();
        let answer = send(
            gateway.listener("public"),
            method,
            path,
            &[],
            body.as_bytes(),
        );
        assert_eq!(answer.status, 503, "{method} {path}");
        origin.seen().len() - before
    };
    assert_eq!(sent("GET", "/plain", ""), 3);
    assert_eq!(sent("DELETE", "/plain", ""), 3);
    assert_eq!(sent("POST", "/plain", ""), 1);
    assert_eq!(sent("PUT", "/plain", "streamed"), 1);
    assert_eq!(sent("PUT", "/held", "held"), 3);
    assert_eq!(sent("POST", "/held", "held"), 1);
    assert_eq!(sent("PATCH", "/held", "held"), 1);
    assert_eq!(sent("POST", "/posts", "held"), 3);
    assert_eq!(sent("GET", "/posts", ""), 1);
}

#[test]
fn a_request_of_which_nothing_was_sent_goes_again_whatever_its_method() {
    let good = Origin::start();
    let gateway = gateway(&[gone(), good.address], "{ backoff = '1ms' }");
    for method in ["POST", "PUT", "PATCH"] {
        let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
        let head = format!("{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc");
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(b"def").unwrap();
        let answer = read_answer(&mut client);
        assert_eq!(
            (answer.status, answer.json()["body"].as_u64()),
            (200, Some(6)),
            "{method}"
        );
    }
    assert_eq!(good.seen().len(), 3, "none of them twice");
}

#[test]
fn a_connection_that_breaks_before_the_answer_is_reset_and_only_that() {
    let recorder = Recorder::start();
    let gateway = gateway(
        &[recorder.address],
        "{ on = ['reset'], attempts = 2, backoff = '1ms' }",
    );
    let public = gateway.listener("public");
    let client = std::thread::spawn(move || get(public, "/", &[]));
    recorder.head(0);
    recorder.close(0);
    recorder.head(1);
    recorder.send(1, &answer(502, "its own"));
    let answer = client.join().unwrap();
    assert_eq!((answer.status, answer.text()), (502, "its own".to_owned()));
    assert_eq!(retries(&gateway), 1.0);
}

#[test]
fn an_attempt_that_takes_longer_than_it_may_makes_way_for_the_next() {
    let (silent, good) = (Recorder::start(), Origin::start());
    let retry = "{ on = ['timeout'], per_try = '1s', backoff = '1ms' }";
    let gateway = gateway(&[silent.address, good.address], retry);
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "GET", "").status, 200);
    }
    assert!(silent.counts().0 >= 1, "it was asked first");
    // Alone it is asked three times, and the client told that it was late.
    let silent = Recorder::start();
    let gateway = self::gateway(&[silent.address], retry);
    assert_eq!(ask(&gateway, "GET", "").status, 504);
    gateway.wait_for_all(&["\"attempts\":3", "\"error\":\"upstream_timeout\""]);
}

#[test]
fn no_more_than_the_budget_goes_out_again_where_all_of_it_fails() {
    let origin = busy(usize::MAX);
    let gateway = gateway(&[origin.address], "{ backoff = '1ms', budget = 0.2 }");
    for _ in 0..100 {
        assert_eq!(ask(&gateway, "GET", "").status, 503);
    }
    let seen = origin.seen().len();
    assert!((110..=120).contains(&seen), "{seen}");
    assert_eq!(retries(&gateway) as usize, seen - 100);
    let spent = "gateway_upstream_retry_budget_spent_total{upstream=\"it\"}";
    assert!(gateway.metric(spent) >= 80.0);
}

#[test]
fn nothing_goes_again_after_the_time_of_the_exchange_or_where_a_route_says_so() {
    let origin = busy(usize::MAX);
    let config = Configuration::new()
        .upstream("it", origin.address)
        .with("[defaults]\nretry = { attempts = 2, backoff = '1ms', budget = false }")
        .route("usual", "/usual", "upstream = 'it'")
        .route("never", "/never", "upstream = 'it'\nretry = false")
        .route(
            "late",
            "/late",
            "upstream = 'it'\ntimeout = '2s'\nretry = { backoff = '10m' }",
        );
    let gateway = Gateway::start(&config);
    for (path, count) in [("/usual", 2), ("/never", 1), ("/late", 1)] {
        let before = origin.seen().len();
        assert_eq!(get(gateway.listener("public"), path, &[]).status, 503);
        assert_eq!(origin.seen().len() - before, count, "{path}");
    }
}

#[test]
fn the_fallback_comes_after_the_attempts() {
    let (first, other) = (busy(usize::MAX), Origin::start());
    let config = Configuration::new()
        .upstream("it", first.address)
        .upstream("other", other.address)
        .route(
            "all",
            "/**",
            "upstream = 'it'\nretry = { backoff = '1ms', budget = false }\nfallback = { upstream = 'other', on = [503] }",
        );
    let gateway = Gateway::start(&config);
    assert_eq!(ask(&gateway, "GET", "").status, 200);
    assert_eq!((first.seen().len(), other.seen().len()), (3, 1));
}

#[test]
fn the_example_does_what_its_page_says() {
    let (a, b, prices) = (busy(usize::MAX), Origin::start(), busy(usize::MAX));
    let addresses = [
        ("SHOP_A", a.address),
        ("SHOP_B", b.address),
        ("PRICES", prices.address),
    ];
    let gateway = Gateway::example("retries", &addresses);
    let public = gateway.listener("public");
    for _ in 0..2 {
        assert_eq!(get(public, "/shop/1", &[]).status, 200);
    }
    for _ in 0..2 {
        send(public, "POST", "/payments/1", &[], b"");
    }
    let seen = [a.seen(), b.seen()].concat();
    let payments = seen.iter().filter(|request| request.starts_with("POST"));
    assert_eq!(payments.count(), 2, "none of them twice");
    for _ in 0..20 {
        assert_eq!(get(public, "/prices/1", &[]).status, 503);
    }
    assert_eq!(
        get(public, "/prices/1", &[]).json()["prices"],
        "of yesterday"
    );
}
