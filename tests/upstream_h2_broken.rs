//! What an answer of HTTP/2 breaks, and what goes out again: for its neighbours on the connection, and by `retry`.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::frames::{
    DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, REFUSED_STREAM, RST_STREAM, frame,
    head,
};
use crate::harness::gateway::PATIENCE;
use crate::harness::h2_origin::FrameOrigin;
use crate::harness::http::{connect, send};
use crate::harness::{Answer, Configuration, Gateway, Origin, get};

/// SETTINGS_MAX_CONCURRENT_STREAMS.
const MOST: (u16, u32) = (3, 100);

fn gateway(endpoints: &[SocketAddr], upstream: &str, route: &str) -> Gateway {
    let config = Configuration::new()
        .access_log()
        .upstream_of("a", endpoints, &format!("protocol = 'h2'\n{upstream}"))
        .route("a", "/**", &format!("upstream = 'a'\n{route}"));
    Gateway::start(&config)
}

fn asked(public: SocketAddr, method: &'static str) -> JoinHandle<Answer> {
    std::thread::spawn(move || send(public, method, "/x", &[], b""))
}

fn retries(gateway: &Gateway) -> f64 {
    gateway.metric(r#"gateway_upstream_retries_total{upstream="a"}"#)
}

/// The head of an answer with a field that is none (RFC 9110, section 5.5).
fn malformed(stream: u32) -> Vec<u8> {
    let fields = [&[0x88][..], &head(&[("x", "a\u{1}b")])].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields)
}

#[test]
fn who_is_beside_a_malformed_answer_goes_out_again_if_it_may_and_the_offender_does_not() {
    let connections = AtomicUsize::new(0);
    let origin = FrameOrigin::start(move |mut link| {
        link.begin(&[MOST]);
        let is_first = connections.fetch_add(1, SeqCst) == 0;
        if is_first {
            // Nobody is answered before the last one.
            let last = (0..5).map_while(|_| link.request()).last();
            let _gone = link.stream.write_all(&malformed(last.unwrap_or_default()));
        }
        while let Some(stream) = link.request() {
            link.answer(stream);
        }
    });
    let breaker = "breaker = { failure_ratio = 0.5, min_requests = 3, window = '60s' }";
    let gateway = gateway(&[origin.address], breaker, "");
    let public = gateway.listener("public");
    let beside = ["GET", "PUT", "POST", "POST"].map(|method| asked(public, method));
    until("all are there", || origin.requests() == 4);
    assert_eq!(get(public, "/x", &[]).status, 502);
    let statuses = beside.map(|asked| asked.join().unwrap().status);
    assert_eq!(statuses, [200, 200, 502, 502], "{}", gateway.text());
    assert_eq!((origin.connections(), origin.requests()), (2, 7));
    assert_eq!(retries(&gateway), 2.0);
    gateway.wait_for("the answer, or one that came with it, breaks a rule");
    let open = gateway.metric(r#"gateway_upstream_breaker_open{upstream="a"}"#);
    assert_eq!(open, 0.0, "it is one failure");
}

#[test]
fn an_answer_that_breaks_with_the_first_of_its_body_is_none() {
    let origin = FrameOrigin::start(|mut link| {
        link.begin(&[MOST]);
        while let Some(stream) = link.request() {
            // One segment, so that all are there at once.
            let head = frame(HEADERS, END_HEADERS, stream, &[0x88]);
            let data = frame(DATA, 0, stream, b"part");
            let reset = frame(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes());
            let all = [head, data, reset].concat();
            link.stream.write_all(&all).unwrap();
        }
    });
    let gateway = gateway(&[origin.address], "", "");
    assert_eq!(get(gateway.listener("public"), "/x", &[]).status, 502);
}

/// Ends a connection with an error at its first request, and leaves that out or not.
fn calming(leaves_out: bool) -> FrameOrigin {
    FrameOrigin::start(move |mut link| {
        link.begin(&[MOST]);
        if let Some(stream) = link.request() {
            let last = if leaves_out { 0 } else { stream };
            link.go_away(last, ENHANCE_YOUR_CALM);
        }
    })
}

#[test]
fn what_a_goaway_with_an_error_leaves_out_goes_elsewhere_by_retry_and_else_what_may_be_seen_twice()
{
    let cases = [
        (true, "GET", 200),
        (true, "POST", 200),
        (false, "GET", 200),
        (false, "POST", 502),
    ];
    for (leaves_out, method, status) in cases {
        let calming = calming(leaves_out);
        let good = FrameOrigin::start(|mut link| {
            link.begin(&[MOST]);
            while let Some(stream) = link.request() {
                link.answer(stream);
            }
        });
        let retry = "retry = { attempts = 2, backoff = '1ms' }";
        let gateway = gateway(&[calming.address, good.address], "", retry);
        // The first of both is the first to have its turn. A body that streams goes on only where it was left out.
        let body = if leaves_out { &b"body"[..] } else { b"" };
        let answer = send(gateway.listener("public"), method, "/x", &[], body);
        let case = format!("{method}, left out: {leaves_out}: {}", gateway.text());
        assert_eq!(answer.status, status, "{case}");
        assert_eq!(calming.requests(), 1, "{case}");
        let again = usize::from(status == 200);
        assert_eq!(
            (good.requests(), retries(&gateway)),
            (again, again as f64),
            "{case}"
        );
    }
}

/// Answers one request of a connection, reads the next and closes.
fn closing() -> Origin {
    let requests = Mutex::new(0);
    Origin::answering(move |_, _| {
        let mut requests = requests.lock().unwrap();
        *requests += 1;
        match *requests {
            2 => Vec::new(),
            _ => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(),
        }
    })
}

#[test]
fn a_route_without_retries_repeats_on_a_kept_connection_only_what_may_be_seen_twice() {
    for (method, status, requests, again) in [("POST", 502, 2, 0.0), ("GET", 200, 3, 1.0)] {
        let origin = closing();
        let config = Configuration::new().upstream("a", origin.address).route(
            "a",
            "/**",
            "upstream = 'a'\nretry = false",
        );
        let gateway = Gateway::start(&config);
        let public = gateway.listener("public");
        assert_eq!(get(public, "/x", &[]).status, 200);
        let answer = send(public, method, "/x", &[], b"");
        assert_eq!(answer.status, status, "{method}");
        assert_eq!(origin.seen().len(), requests, "{method}");
        assert_eq!(retries(&gateway), again, "{method}");
    }
}

fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// RFC 9113, section 8.1: only behind the end of an answer is a reset without an error none.
#[test]
fn an_answer_that_is_reset_before_its_end_is_never_whole_whatever_the_reason() {
    let origin = FrameOrigin::start(|mut link| {
        link.begin(&[MOST]);
        while let Some(stream) = link.request() {
            link.send(HEADERS, END_HEADERS, stream, &[0x88]);
            link.send(DATA, 0, stream, b"half");
            link.send(RST_STREAM, 0, stream, &[0; 4]);
        }
    });
    let gateway = gateway(&[origin.address], "", "");
    let mut client = connect(gateway.listener("public"));
    client
        .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let mut text = Vec::new();
    let _ended = client.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap();
    // Where the reset came with the head, there is no answer.
    let is_none = text.starts_with("HTTP/1.1 502 ");
    assert!(is_none || !text.ends_with("0\r\n\r\n"), "{text}");
    gateway.wait_for(match is_none {
        true => "\"error\":\"bad_gateway\"",
        false => "\"error\":\"response_broken\"",
    });
}
