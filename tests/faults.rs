//! Upstreams that fail in every way, one of three at a time: what clients see of it, and what is sent twice.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use crate::harness::faulty::{Fault, Faulty};
use crate::harness::http::{connect, read_answer, send};
use crate::harness::{Configuration, Gateway};

/// Those after which a request can be sent again: no head of an answer came.
const BEFORE_THE_ANSWER: [Fault; 8] = [
    Fault::Refuses,
    Fault::BlackHole,
    Fault::Slow,
    Fault::ResetInHead,
    Fault::Garbage,
    Fault::TwoLengths,
    Fault::TlsAlert,
    Fault::Busy,
];

/// Those after which there is no way back.
const WITHIN_THE_ANSWER: [Fault; 2] = [Fault::ResetInBody, Fault::TooShort];

const OUTLIER: &str = "outlier = { consecutive_failures = 3, ejection = '1h' }";

/// With a long `per_try` no healthy endpoint is too slow on a busy machine.
const RETRY: &str = "retry = { on = ['connect', 'reset', 'timeout', 502, 503, 504], per_try = '2s', backoff = '1ms' }";

fn gateway(endpoints: &[SocketAddr]) -> Gateway {
    let config = Configuration::new()
        .upstream_of("it", endpoints, OUTLIER)
        .route("all", "/**", &format!("upstream = 'it'\n{RETRY}"));
    Gateway::start(&config)
}

/// Asks so often, by four clients, each with a target of its own; what came to each.
fn ask(gateway: &Gateway, method: &str, count: usize) -> Vec<(String, u16, String)> {
    let (next, answers) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let public = gateway.listener("public");
    std::thread::scope(|clients| {
        for _ in 0..4 {
            clients.spawn(|| {
                loop {
                    let at = next.fetch_add(1, SeqCst);
                    if at >= count {
                        return;
                    }
                    let target = format!("/{method}-{at}");
                    let body = if method == "POST" { "a body" } else { "" };
                    let answer = send(public, method, &target, &[], body.as_bytes());
                    let text = answer.text();
                    answers.lock().unwrap().push((target, answer.status, text));
                }
            });
        }
    });
    answers.into_inner().unwrap()
}

#[test]
fn idempotent_requests_lose_nothing_while_two_of_three_endpoints_are_well() {
    for fault in BEFORE_THE_ANSWER {
        let origins = [fault, Fault::None, Fault::None].map(Faulty::start);
        let gateway = gateway(&origins.each_ref().map(|origin| origin.address));
        for (target, status, text) in ask(&gateway, "GET", 60) {
            assert_eq!(
                (status, &*text),
                (200, &*target),
                "{fault:?}\n{}",
                gateway.text()
            );
        }
        if fault == Fault::Slow {
            continue;
        }
        let ejected = r#"gateway_endpoint_ejections_total{upstream="it",endpoint=""#;
        let ejected = format!("{ejected}{}\"}}", origins[0].address);
        assert_eq!(gateway.metric(&ejected), 1.0, "{fault:?}");
        let retries = gateway.metric(r#"gateway_upstream_retries_total{upstream="it"}"#);
        assert!(retries <= 60.0 * 0.2, "{fault:?}: {retries}");
    }
}

#[test]
fn an_answer_that_breaks_off_ends_broken_and_its_endpoint_is_left_alone() {
    for fault in WITHIN_THE_ANSWER {
        let origins = [fault, Fault::None, Fault::None].map(Faulty::start);
        let gateway = gateway(&origins.each_ref().map(|origin| origin.address));
        let public = gateway.listener("public");
        let mut broken = 0;
        for at in 0..60 {
            let mut client = connect(public);
            let target = format!("/{at}");
            let head = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            std::io::Write::write_all(&mut client, head.as_bytes()).unwrap();
            let answer = read_answer(&mut client);
            let is_whole = answer.status == 200
                && answer.text() == target
                && answer.header("content-length") != Some("1000");
            broken += usize::from(!is_whole);
        }
        assert_eq!(broken, 3, "{fault:?}: as many as eject it");
    }
}

#[test]
fn what_is_not_idempotent_is_never_sent_twice_whatever_fails() {
    for fault in BEFORE_THE_ANSWER
        .into_iter()
        .chain(WITHIN_THE_ANSWER)
        .chain([Fault::Early])
    {
        let origins = [fault, Fault::None, Fault::None].map(Faulty::start);
        let gateway = gateway(&origins.each_ref().map(|origin| origin.address));
        ask(&gateway, "POST", 30);
        let mut seen: Vec<_> = origins.iter().flat_map(Faulty::seen).collect();
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all, "{fault:?}");
    }
}

#[test]
fn an_endpoint_that_is_killed_under_load_costs_nobody_an_answer() {
    let respond = "respond = { body = '{path}', headers = { content-type = 'text/plain' } }";
    let config = Configuration::new().route("all", "/**", respond);
    let processes = [(); 3].map(|()| Gateway::start(&config));
    let gateway = gateway(&processes.each_ref().map(|it| it.listener("public")));
    let (asked, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let public = gateway.listener("public");
    std::thread::scope(|clients| {
        for client in 0..4 {
            let (asked, failed) = (&asked, &failed);
            clients.spawn(move || {
                for at in 0..250 {
                    let target = format!("/{client}-{at}");
                    let answer = send(public, "GET", &target, &[], b"");
                    asked.fetch_add(1, SeqCst);
                    if answer.status != 200 || answer.text() != target {
                        failed.lock().unwrap().push((target, answer.status));
                    }
                }
            });
        }
        while asked.load(SeqCst) < 300 {
            std::thread::yield_now();
        }
        processes[0].signal("KILL");
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:?}\n{}", gateway.text());
    assert_eq!(asked.load(SeqCst), 1000);
}
