//! Bodies: copied whole or not at all, and never in the way.

use crate::harness::http::{read_answer, send};
use crate::harness::recorder::Recorder;
use crate::harness::{Gateway, Origin};

use super::{Shadow, count, mirrored, settle, stream, until};

const LIMIT: &str = ", max_body = '1KiB'";

#[test]
fn a_body_is_copied_up_to_the_limit_and_beyond_it_the_request_goes_on_alone() {
    let (origin, shadow) = (Origin::start(), Shadow::start());
    let gateway = Gateway::start(&mirrored(origin.address, shadow.address, LIMIT, ""));
    let public = gateway.listener("public");
    let whole = [b'x'; 1024];
    assert_eq!(send(public, "POST", "/a", &[], &whole).json()["body"], 1024);
    assert_eq!(shadow.next().1, whole);
    let over = send(public, "POST", "/a", &[], &[b'x'; 1025]);
    assert_eq!(over.json()["body"], 1025);
    // Chunked, so that no length tells beforehand.
    let head = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = [b"200\r\n", &[b'y'; 512][..], b"\r\n"].concat();
    for (chunks, length) in [(2, 1024), (3, 1536)] {
        let mut pieces = vec![&chunk[..]; chunks];
        pieces.push(b"0\r\n\r\n");
        let mut client = stream(public, head, &pieces);
        assert_eq!(read_answer(&mut client).json()["body"], length);
    }
    let (head, body) = shadow.next();
    assert_eq!(body, [b'y'; 1024]);
    assert!(head.contains("content-length: 1024\r\n"), "{head}");
    settle(&gateway);
    shadow.assert_nothing_more();
    assert_eq!(count(&gateway, "sent_total", ""), 2);
    assert_eq!(count(&gateway, "dropped_total", ",reason=\"too_large\""), 2);
    let line = gateway.wait_for("a request is not copied");
    for part in ["route=all", "upstream=shadow", "reason=\"too_large\""] {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn a_body_that_breaks_or_is_left_unread_is_not_copied() {
    let (origin, shadow) = (Recorder::start(), Shadow::start());
    let gateway = Gateway::start(&mirrored(origin.address, shadow.address, "", ""));
    let public = gateway.listener("public");
    let incomplete = || count(&gateway, "dropped_total", ",reason=\"incomplete\"");
    let chunked = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let known = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n";
    for (number, (head, piece)) in [(known, &b"xyz"[..]), (chunked, b"3\r\nxyz\r\n")]
        .into_iter()
        .enumerate()
    {
        let client = stream(public, head, &[piece]);
        origin.wait("the first piece", |wires| {
            let text = wires.get(number)?.text();
            text.contains("xyz").then_some(())
        });
        assert_eq!(count(&gateway, "under_way", ""), 1);
        drop(client);
        until("the body is known to be broken", || {
            incomplete() == number as u64 + 1
        });
    }
    // The upstream answers without having read all of it.
    let mut client = stream(public, known, &[b"xyz"]);
    origin.wait("the first piece", |wires| {
        let text = wires.get(2)?.text();
        text.contains("xyz").then_some(())
    });
    origin.send(2, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(read_answer(&mut client).status, 200);
    until("the body is known to be left", || incomplete() == 3);
    settle(&gateway);
    shadow.assert_nothing_more();
    assert_eq!(count(&gateway, "sent_total", ""), 0);
}

#[test]
fn a_body_that_a_plugin_made_is_the_body_of_the_copy() {
    for phase in ["request-body", "request-stream"] {
        let (origin, shadow) = (Origin::start(), Shadow::start());
        let config = mirrored(origin.address, shadow.address, "", "plugins = ['probe']");
        let lines = format!("config = {{ phases = ['request', '{phase}'], tail = ' and more' }}");
        let gateway = Gateway::start(&config.probe(origin.address, &lines));
        let answer = send(gateway.listener("public"), "POST", "/a", &[], b"abc");
        assert_eq!(answer.json()["body"], 12, "{phase} {}", answer.text());
        let (_, body) = shadow.next();
        assert_eq!(String::from_utf8(body).unwrap(), "abc and more", "{phase}");
    }
}
