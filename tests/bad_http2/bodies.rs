//! Bodies that differ from their length, are over the limit, or do not come.

use std::sync::mpsc;

use super::{gateway, replacing};
use crate::harness::frames::{
    CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, PROTOCOL_ERROR, RST_STREAM,
    frame, get_fields, head,
};
use crate::harness::gateway::PATIENCE;
use crate::harness::h2_origin::FrameOrigin;
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway};
use crate::refusals::refusal;

/// RFC 9113, 8.1.1.
#[test]
fn a_body_that_differs_from_its_content_length_is_never_whole_upstream() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    for (what, announced, frames) in [
        ("less", "5", vec![(END_STREAM, "abc")]),
        ("more", "5", vec![(END_STREAM, "abcdefgh")]),
        (
            "more in the second frame",
            "5",
            vec![(0, "abc"), (END_STREAM, "defgh")],
        ),
        ("an empty end", "5", vec![(0, "abc"), (END_STREAM, "")]),
    ] {
        let before = upstream.counts().0;
        let mut client = Http2::connect(gateway.listener("public"));
        let mut fields = replacing(":method", "POST");
        fields.push(("content-length", announced));
        client.frame(HEADERS, END_HEADERS, 1, &head(&fields));
        for (flags, data) in frames {
            client.frame(DATA, flags, 1, data.as_bytes());
        }
        let outcome = client.outcome(1);
        assert!(
            matches!(
                outcome,
                Outcome::Reset(PROTOCOL_ERROR, _) | Outcome::Answer(400, _)
            ),
            "{what}: {outcome:?}"
        );
        // The head may have gone ahead; then the request is broken off before the length it announced.
        for at in before..upstream.counts().0 {
            upstream.ended(at);
            let body = upstream.body(at);
            assert!(body.len() < 5, "{what}: whole upstream: {body:?}");
        }
    }
}

fn post(fields: &[(&str, &str)]) -> Vec<u8> {
    post_to("/x", fields)
}

fn post_to(path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut all = get_fields(path);
    all[0].1 = "POST";
    all.extend_from_slice(fields);
    head(&all)
}

#[test]
fn an_announced_body_over_the_limit_is_413_and_not_one_byte_goes_upstream() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    let block = post(&[("content-length", "1048577")]);
    client.frame(HEADERS, END_HEADERS, 1, &block);
    let outcome = client.outcome(1);
    assert!(matches!(outcome, Outcome::Answer(413, _)), "{outcome:?}");
    client.get(3, "/here");
    assert_eq!(client.outcome(3), Outcome::Answer(200, 4));
    assert_eq!(upstream.counts().0, 0);
}

#[test]
fn a_body_that_grows_over_the_limit_is_413_and_never_whole_upstream() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    client.frame(HEADERS, END_HEADERS, 1, &post(&[]));
    let piece = vec![b'a'; 16 << 10];
    for at in 0..=64 {
        // The window has room: what was sent before is upstream.
        let length = if at == 64 { 1 } else { piece.len() };
        client.frame(DATA, 0, 1, &piece[..length]);
        upstream.wait("the piece", |wires| {
            let body = wires.first()?.body().len();
            (at == 64 || body >= (at + 1) * piece.len()).then_some(())
        });
    }
    let outcome = client.outcome(1);
    assert!(matches!(outcome, Outcome::Answer(413, _)), "{outcome:?}");
    upstream.ended(0);
    assert!(!upstream.body(0).ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_slow_body_is_408() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    client.frame(HEADERS, END_HEADERS, 1, &post(&[]));
    client.frame(DATA, 0, 1, b"abc");
    let outcome = client.outcome(1);
    assert!(matches!(outcome, Outcome::Answer(408, _)), "{outcome:?}");
    upstream.ended(0);
    assert!(!upstream.body(0).ends_with(b"0\r\n\r\n"));
}

/// RFC 9113, section 5.1: what a client had on its way when its stream was answered and reset is nothing wrong.
#[test]
fn late_data_of_many_uploads_that_were_answered_early_ends_nothing() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    client.window_update(0, 1 << 24);
    let piece = [b'a'; 16];
    // For which nothing is waited.
    let block = post(&[("content-length", "1048577")]);
    // 1,024 faults end a connection.
    for round in 0..9 {
        let streams = (round * 150..(round + 1) * 150).map(|at| at * 2 + 1);
        for stream in streams.clone() {
            client.frame(HEADERS, END_HEADERS, stream, &block);
            let outcome = client.outcome(stream);
            assert!(matches!(outcome, Outcome::Answer(413, _)), "{outcome:?}");
        }
        client.round_trip().unwrap();
        for stream in streams {
            client.frame(DATA, 0, stream, &piece);
        }
        client.round_trip().unwrap();
    }
}

/// Whatever the client says of the reason.
#[test]
fn a_body_that_a_client_resets_is_never_whole_upstream() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    for reason in [0, CANCEL] {
        let before = upstream.counts().0;
        let mut client = Http2::connect(gateway.listener("public"));
        client.frame(HEADERS, END_HEADERS, 1, &post(&[]));
        client.frame(DATA, 0, 1, b"xyz");
        upstream.wait("the body", |wires| {
            wires.get(before)?.text().contains("xyz").then_some(())
        });
        client.frame(RST_STREAM, 0, 1, &reason.to_be_bytes());
        upstream.ended(before);
        let text = upstream.wait("the request", |wires| Some(wires.get(before)?.text()));
        assert!(!text.contains("\r\n0\r\n"), "{reason}: {text:?}");
        client.get(3, "/here");
        assert_eq!(client.outcome(3), Outcome::Answer(200, 4), "{reason}");
        gateway.wait_for("\"error\":\"client_closed\"");
    }
}

/// RFC 9113, section 8.1.1. What the client does wrong is its own fault, not that it left.
#[test]
fn a_malformed_body_to_an_upstream_of_http_2_is_broken_and_reset_there() {
    let (tell, told) = mpsc::channel();
    let origin = FrameOrigin::start(move |mut link| {
        link.begin(&[(3, 100)]);
        while let Some(frame) = link.read() {
            let _gone = tell.send((frame.kind, frame.flags & END_STREAM));
        }
    });
    let config = Configuration::new()
        .access_log()
        .upstream_with("origin", origin.address, "protocol = 'h2'")
        .route("all", "/**", "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let pseudo = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x83]);
    let announced = &[("content-length", "5")];
    for (path, what, fields, rest) in [
        (
            "/short",
            "shorter than announced",
            &announced[..],
            frame(DATA, END_STREAM, 1, b""),
        ),
        (
            "/long",
            "longer than announced",
            announced,
            frame(DATA, 0, 1, b"defgh"),
        ),
        ("/pseudo", "pseudo-header fields behind it", &[], pseudo),
    ] {
        let mut client = Http2::connect(gateway.listener("public"));
        client.frame(HEADERS, END_HEADERS, 1, &post_to(path, fields));
        client.frame(DATA, 0, 1, b"abc");
        while told.recv_timeout(PATIENCE).unwrap().0 != DATA {}
        client.send(&rest);
        let outcome = client.outcome(1);
        assert!(
            matches!(
                outcome,
                Outcome::Reset(PROTOCOL_ERROR, _) | Outcome::Answer(400, _)
            ),
            "{what}: {outcome:?}"
        );
        loop {
            let (kind, end) = told.recv_timeout(PATIENCE).unwrap();
            assert_eq!(end, 0, "{what}: whole upstream");
            if kind == RST_STREAM {
                break;
            }
        }
        let line = gateway.wait_for(&format!("\"{path}\""));
        assert!(line.contains("\"error\":\"body_broken\""), "{what}: {line}");
    }
}

/// However what comes is cut. The gateway ends it, and the client is there.
#[test]
fn a_malformed_trailer_block_is_a_broken_body_and_no_client_that_left() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let whole = END_HEADERS | END_STREAM;
    let cases = [
        (whole, head(&[("te", "gzip")])),
        (whole, head(&[("connection", "x")])),
        (END_HEADERS, head(&[("x-t", "1")])),
        (whole, head(&[("X-T", "1")])),
    ];
    let mut refused = 0;
    for (at, (flags, trailers)) in cases.iter().enumerate() {
        for door in ["/x", "/here"] {
            for apart in [false, true] {
                let path = format!("{door}?{at}-{apart}");
                let mut client = Http2::connect(gateway.listener("public"));
                client.round_trip().unwrap();
                let begun = [
                    frame(HEADERS, END_HEADERS, 1, &post_to(&path, &[])),
                    frame(DATA, 0, 1, b"x"),
                ];
                let rest = frame(HEADERS, *flags, 1, trailers);
                if apart {
                    client.send(&begun.concat());
                    client.round_trip().unwrap();
                    client.send(&rest);
                } else {
                    client.send(&[begun.concat(), rest].concat());
                }
                let outcome = client.outcome(1);
                // Where the block cannot be read, the connection ends before a request is made of the head that came with it.
                let (line, error) = match at == 3 && !apart {
                    true => {
                        refused += 1;
                        (refusal(&gateway, refused), "refused")
                    }
                    false => (gateway.wait_for(&format!("\"{path}\"")), "body_broken"),
                };
                for part in [&format!("\"error\":\"{error}\"")[..], "\"status\":400,"] {
                    assert!(line.contains(part), "{path}: {outcome:?}: {line}");
                }
            }
        }
    }
}
