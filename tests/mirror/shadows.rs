//! Shadows that misbehave: no client notices.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use crate::harness::http::{connect, read_answer};
use crate::harness::recorder::Recorder;
use crate::harness::{Gateway, Origin, get};
use crate::streams::gone;

use super::{count, mirrored, settle, until};

/// An upstream that reads a first piece of each connection, says this, and closes. What it left unread makes the end a
/// reset.
fn saying(what: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // Reset by the gateway, for all it matters.
            let _first = stream.read(&mut [0; 16]);
            let _said = stream.write_all(what);
        }
    });
    address
}

/// An origin that answers with what it was asked for, and its ledger: how often each id came.
fn ledger() -> (Origin, Arc<Mutex<HashMap<String, u32>>>) {
    let ledger = Arc::new(Mutex::new(HashMap::new()));
    let kept = ledger.clone();
    let origin = Origin::forgetting(move |head, body| {
        let id = head.split(' ').nth(1).unwrap_or_default();
        *kept.lock().unwrap().entry(id.to_owned()).or_insert(0) += 1;
        let text = format!("{id} {}", String::from_utf8_lossy(body));
        let length = text.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}").into_bytes()
    });
    (origin, ledger)
}

/// Requests that follow each other: every one is answered whole and right, and came to the origin once.
fn assert_untouched(shadow: SocketAddr, mirror: &str) -> Gateway {
    const REQUESTS: usize = 200;
    let (origin, ledger) = ledger();
    let gateway = Gateway::start(&mirrored(origin.address, shadow, mirror, ""));
    let mut client = connect(gateway.listener("public"));
    for id in 0..REQUESTS {
        let body = "x".repeat(if id % 2 == 0 { 0 } else { id });
        let (method, length) = if body.is_empty() {
            ("GET", 0)
        } else {
            ("POST", id)
        };
        let request =
            format!("{method} /{id} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}");
        client.write_all(request.as_bytes()).unwrap();
        let answer = read_answer(&mut client);
        let got = (answer.status, answer.text());
        assert_eq!(got, (200, format!("/{id} {body}")));
    }
    let ledger = ledger.lock().unwrap();
    assert_eq!(ledger.len(), REQUESTS);
    assert!(ledger.values().all(|times| *times == 1));
    let sampled = || {
        count(&gateway, "sent_total", "") + count(&gateway, "dropped_total", ",reason=\"too_many\"")
    };
    until("every copy was sent or dropped", || {
        sampled() == REQUESTS as u64
    });
    gateway
}

#[test]
fn a_shadow_that_hangs_holds_a_bounded_number_of_copies_and_no_request() {
    let shadow = Recorder::start();
    let gateway = assert_untouched(shadow.address, ", max_concurrent = 5");
    assert_eq!(
        count(&gateway, "dropped_total", ",reason=\"too_many\""),
        195
    );
    assert_eq!(count(&gateway, "under_way", ""), 5);
    assert_eq!(shadow.counts(), (5, 5));
    gateway.wait_for_all(&["a request is not copied", "max_concurrent"]);
}

#[test]
fn a_shadow_that_is_not_there_changes_nothing() {
    let gateway = assert_untouched(gone(), "");
    settle(&gateway);
    let failed = count(&gateway, "failed_total", ",kind=\"connect\"");
    assert_eq!(failed, count(&gateway, "sent_total", ""));
    // The upstream has them too, and the route and the errors of exchanges have nothing of it.
    let of_upstream = "gateway_upstream_failures_total{upstream=\"shadow\",kind=\"connect\"}";
    assert_eq!(gateway.metric(of_upstream) as u64, failed);
    assert_eq!(
        gateway.metric("gateway_errors_total{kind=\"connect\"}"),
        0.0
    );
    assert_eq!(
        gateway.metric("gateway_requests_total{route=\"all\",status=\"200\"}"),
        200.0
    );
    let line = gateway.wait_for("the copy of a request failed");
    for part in ["route=all", "upstream=shadow", "kind=\"connect\""] {
        assert!(line.contains(part), "{line}");
    }
    let lines = gateway
        .text()
        .matches("the copy of a request failed")
        .count();
    assert!(lines < 100, "{lines} lines for 200 copies");
}

#[test]
fn a_shadow_that_resets_or_sends_garbage_changes_nothing() {
    for said in [
        &b""[..],
        b"\0\x01 garbage\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf",
    ] {
        let gateway = assert_untouched(saying(said), "");
        settle(&gateway);
        let failed = ["bad_gateway", "response_broken"]
            .map(|kind| count(&gateway, "failed_total", &format!(",kind=\"{kind}\"")));
        let failed: u64 = failed.iter().sum();
        assert_eq!(failed, count(&gateway, "sent_total", ""), "{said:?}");
    }
}

#[test]
fn what_a_shadow_answers_is_nothing_to_the_client() {
    let shadow = Origin::answering(|_, _| {
        b"HTTP/1.1 500 Broken\r\nset-cookie: a=b\r\ncontent-length: 5\r\n\r\nwrong".to_vec()
    });
    let gateway = assert_untouched(shadow.address, "");
    settle(&gateway);
    // It is an answer: what the shadow says is its own affair.
    assert_eq!(count(&gateway, "failed_total", ",kind=\"bad_gateway\""), 0);
    let answered = gateway.metric("gateway_upstream_requests_total{upstream=\"shadow\"}");
    assert_eq!(answered as u64, count(&gateway, "sent_total", ""));
    assert!(!gateway.text().contains("the copy of a request failed"));
}

#[test]
fn an_answer_without_an_end_is_left_and_one_that_takes_too_long_too() {
    let origin = Origin::start();
    let endless = Recorder::start();
    let gateway = Gateway::start(&mirrored(origin.address, endless.address, "", ""));
    assert_eq!(get(gateway.listener("public"), "/a", &[]).status, 200);
    endless.head(0);
    endless.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
    endless.pour(0, &vec![b'x'; 32 << 20]);
    endless.ended(0);
    settle(&gateway);
    assert_eq!(count(&gateway, "sent_total", ""), 1);
    let broken = count(&gateway, "failed_total", ",kind=\"response_broken\"");
    assert_eq!(broken, 0);

    let slow = Recorder::start();
    // A copy may take as long as its request may.
    let config = mirrored(origin.address, slow.address, "", "timeout = '1s'");
    let gateway = Gateway::start(&config);
    assert_eq!(get(gateway.listener("public"), "/a", &[]).status, 200);
    slow.head(0);
    slow.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx");
    slow.ended(0);
    settle(&gateway);
    assert_eq!(
        count(&gateway, "failed_total", ",kind=\"upstream_timeout\""),
        1
    );
    let of_upstream =
        "gateway_upstream_failures_total{upstream=\"shadow\",kind=\"upstream_timeout\"}";
    assert_eq!(gateway.metric(of_upstream), 1.0);
}
