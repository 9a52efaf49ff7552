//! Frames that may not stand where they stand, or in the shape they have, and streams over their limit.

use super::{gateway, gateway_with};
use crate::harness::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, PROTOCOL_ERROR,
    REFUSED_STREAM, RST_STREAM, STREAM_CLOSED, frame, get_fields, head, text,
};
use crate::harness::get;
use crate::harness::recorder::Recorder;

type Attack = (&'static str, Box<dyn Fn(&mut Http2)>);

fn on_wrong_streams() -> Vec<Attack> {
    vec![
        (
            "DATA on an idle stream",
            Box::new(|client| {
                client.frame(DATA, END_STREAM, 1, b"abc");
            }),
        ),
        (
            "DATA on stream 0",
            Box::new(|client| {
                client.frame(DATA, END_STREAM, 0, b"abc");
            }),
        ),
        (
            "HEADERS on stream 0",
            Box::new(|client| {
                client.frame(HEADERS, END_HEADERS | END_STREAM, 0, &request_block());
            }),
        ),
        (
            "HEADERS on an even stream",
            Box::new(|client| {
                client.frame(HEADERS, END_HEADERS | END_STREAM, 2, &request_block());
            }),
        ),
        (
            "RST_STREAM of an idle stream",
            Box::new(|client| {
                client.frame(RST_STREAM, 0, 1, &[0; 4]);
            }),
        ),
        (
            "CONTINUATION without HEADERS",
            Box::new(|client| {
                client.frame(CONTINUATION, END_HEADERS, 1, &request_block());
            }),
        ),
    ]
}

fn in_wrong_shape() -> Vec<Attack> {
    vec![
        (
            "another frame inside a header block",
            Box::new(|client| {
                client.frame(HEADERS, END_STREAM, 1, &request_block()[..4]);
                client.frame(DATA, 0, 1, b"abc");
            }),
        ),
        (
            "CONTINUATION of another stream",
            Box::new(|client| {
                client.frame(HEADERS, END_STREAM, 1, &request_block()[..4]);
                client.frame(CONTINUATION, END_HEADERS, 3, &request_block()[4..]);
            }),
        ),
        (
            "a window over 2^31",
            Box::new(|client| {
                client.window_update(0, 0x7fff_ffff);
            }),
        ),
        (
            "a frame larger than was allowed",
            Box::new(|client| {
                client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &vec![0; 20_000]);
            }),
        ),
        (
            "padding longer than its frame",
            Box::new(|client| {
                client.frame(HEADERS, END_HEADERS | END_STREAM | 8, 1, &[200, 0, 0]);
            }),
        ),
        (
            "an index outside the table",
            Box::new(|client| {
                client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0x10]);
            }),
        ),
    ]
}

fn request_block() -> Vec<u8> {
    head(&get_fields("/"))
}

/// RFC 9113, 5.1 and 6: what may not stand there ends the connection.
#[test]
fn frames_out_of_place_end_the_connection() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    for (what, attack) in on_wrong_streams().into_iter().chain(in_wrong_shape()) {
        let mut client = Http2::connect(gateway.listener("public"));
        client.round_trip().unwrap();
        attack(&mut client);
        let away = client.away();
        assert!(away.is_some_and(|code| code != 0), "{what}: {away:?}");
        assert_eq!(upstream.counts().0, 0, "{what} reached the upstream");
    }
    assert_eq!(get(gateway.listener("public"), "/here", &[]).status, 200);
}

/// RFC 9113, 5.1: half-closed (remote).
#[test]
fn data_behind_the_end_of_a_request_ends_it_and_the_request_upstream() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    client.get(1, "/wait");
    upstream.head(0);
    client.frame(DATA, END_STREAM, 1, b"abc");
    let outcome = client.outcome(1);
    assert!(
        matches!(
            outcome,
            Outcome::Reset(STREAM_CLOSED, 0) | Outcome::Away(PROTOCOL_ERROR | STREAM_CLOSED)
        ),
        "{outcome:?}"
    );
    upstream.ended(0);
    assert!(upstream.body(0).is_empty());
}

#[test]
fn a_header_block_that_does_not_go_on_ends_the_connection() {
    let upstream = Recorder::start();
    let gateway = gateway_with(upstream.address, "1s");
    let mut client = Http2::connect(gateway.listener("public"));
    client.round_trip().unwrap();
    let mut block = vec![0];
    text(&mut block, &[b'a'; 100]);
    client.frame(HEADERS, END_STREAM, 1, &block[..50]);
    // No CONTINUATION: the time for a head ends the connection.
    assert_eq!(client.outcome(1), Outcome::Closed);
    assert_eq!(upstream.counts().0, 0);
}

/// RFC 9113, 5.1.2: refused as streams that may be tried again.
#[test]
fn streams_over_the_limit_are_refused_and_never_forwarded() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    for stream in 0..60 {
        client.get(2 * stream + 1, "/wait");
    }
    for refused in 50..60 {
        assert_eq!(
            client.outcome(2 * refused + 1),
            Outcome::Reset(REFUSED_STREAM, 0)
        );
    }
    upstream.wait("50 requests", |wires| (wires.len() == 50).then_some(()));
    client.round_trip().unwrap();
    assert_eq!(upstream.counts().0, 50);
}

/// Padding, priority and CONTINUATION, each byte of them read alone.
#[test]
fn a_byte_at_a_time_changes_no_answer() {
    const PADDED_WITH_PRIORITY: u8 = 0x28;
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let public = gateway.listener("public");
    let block = head(&get_fields("/here"));
    let (first, rest) = block.split_at(7);
    let (second, third) = rest.split_at(11);
    let begin = [&[3, 0, 0, 0, 0, 16][..], first, &[0; 3]].concat();
    let request = [
        frame(HEADERS, END_STREAM | PADDED_WITH_PRIORITY, 1, &begin),
        frame(CONTINUATION, 0, 1, second),
        frame(CONTINUATION, 0, 1, &[]),
        frame(CONTINUATION, END_HEADERS, 1, third),
    ]
    .concat();
    let mut client = Http2::connect(public);
    for byte in request {
        client.send(&[byte]);
        // Answered when the byte has been read.
        assert_eq!(get(public, "/here", &[]).status, 200);
    }
    assert_eq!(client.outcome(1), Outcome::Answer(200, 4));
    client.get(3, "/here");
    assert_eq!(client.outcome(3), Outcome::Answer(200, 4));
    assert_eq!(upstream.counts().0, 0);
}
