//! What h2 leaves out of a request in silence, and the gateway refuses.

use super::gateway;
use crate::harness::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, frame, get_fields, head,
};
use crate::harness::recorder::Recorder;
use crate::refusals::refusal;

/// `/a#b` as it stands in a block, and in the Huffman code.
const RAW: &[u8] = b"\x04/a#b";
const CODED: &[u8] = b"\x84\x60\x7f\xf5\x1f";

/// A request whose `:path` is written so: GET, http, for `a`.
fn block(path: &[&[u8]]) -> Vec<u8> {
    [&[0x82, 0x86][..], &path.concat(), b"\x01\x01a"].concat()
}

/// RFC 9112, section 3.2: no target has one.
#[test]
fn a_fragment_in_a_target_is_refused_however_it_is_encoded() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    let mut stream = 1;
    for (what, path) in [
        ("not added", vec![&b"\x04"[..], RAW]),
        ("never to be added", vec![b"\x14", RAW]),
        ("added", vec![b"\x44", RAW]),
        ("out of the table", vec![b"\xbe"]),
        ("with a name out of the table", vec![b"\x0f\x2f", RAW]),
        ("coded", vec![b"\x04", CODED]),
        ("coded and added", vec![b"\x45", CODED]),
        ("coded, out of the table", vec![b"\xbe"]),
        ("before what was added since", vec![b"\xbf"]),
        ("with its name", vec![b"\x00\x05:path", RAW]),
        (
            "with its name coded",
            vec![b"\x00\x84\xb9\x58\xd3\x3f", CODED],
        ),
        ("nothing but a fragment", vec![b"\x04\x01#"]),
    ] {
        let lines = (stream as usize).div_ceil(4);
        client.frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&path));
        let outcome = client.outcome(stream);
        assert!(
            matches!(outcome, Outcome::Answer(400, _) | Outcome::Reset(1, 0)),
            "{what}: {outcome:?}"
        );
        let line = refusal(&gateway, lines);
        assert!(line.contains("\"status\":400,"), "{what}: {line}");
        // Others go on.
        client.get(stream + 2, "/here");
        assert_eq!(client.outcome(stream + 2), Outcome::Answer(200, 4));
        stream += 4;
    }
    assert_eq!(upstream.counts().0, 0);
}

#[test]
fn a_fragment_is_found_in_any_pieces() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    let bad = block(&[b"\x04", CODED]);
    for at in 0..=bad.len() {
        let stream = at as u32 * 2 + 1;
        let frames = [
            frame(HEADERS, END_STREAM, stream, &bad[..at]),
            frame(CONTINUATION, END_HEADERS, stream, &bad[at..]),
        ];
        for piece in frames.concat().chunks(11) {
            client.send(piece);
        }
        let outcome = client.outcome(stream);
        assert!(
            matches!(outcome, Outcome::Answer(400, _)),
            "{at}: {outcome:?}"
        );
    }
    assert_eq!(upstream.counts().0, 0);
}

/// RFC 9113, section 8.1.
#[test]
fn a_request_with_pseudo_header_fields_behind_its_body_is_broken() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut fields = get_fields("/x");
    fields[0].1 = "POST";
    let post = head(&fields);
    for (what, trailers) in [
        (":path", head(&[(":path", "/y")])),
        (":method out of the table", vec![0x83]),
        (":status", vec![0x88]),
        (
            "one behind a trailer",
            head(&[("x", "1"), (":authority", "b")]),
        ),
    ] {
        let before = upstream.counts().0;
        let mut client = Http2::connect(gateway.listener("public"));
        client.frame(HEADERS, END_HEADERS, 1, &post);
        client.frame(DATA, 0, 1, b"xyz");
        upstream.wait("the body", |wires| {
            wires.get(before)?.text().contains("xyz").then_some(())
        });
        client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers);
        let outcome = client.outcome(1);
        assert!(
            matches!(outcome, Outcome::Answer(400, _) | Outcome::Reset(1, 0)),
            "{what}: {outcome:?}"
        );
        upstream.ended(before);
        let text = upstream.wait("the request", |wires| Some(wires.get(before)?.text()));
        assert!(!text.contains("\r\n0\r\n"), "{what}: {text:?}");
        client.get(3, "/here");
        assert_eq!(client.outcome(3), Outcome::Answer(200, 4), "after {what}");
    }
}

#[test]
fn a_request_that_is_known_to_be_flawed_goes_nowhere() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    let mut fields = get_fields("/x");
    fields[0].1 = "POST";
    let all = [
        frame(HEADERS, END_HEADERS, 1, &head(&fields)),
        frame(DATA, 0, 1, b"xyz"),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x83]),
    ];
    client.send(&all.concat());
    let outcome = client.outcome(1);
    assert!(matches!(outcome, Outcome::Answer(400, _)), "{outcome:?}");
    let line = refusal(&gateway, 1);
    assert!(line.contains("\"status\":400,"), "{line}");
    assert_eq!(upstream.counts().0, 0);
}

/// Streams, and what ends with them: frames by which h2 loses its place in the block, or in the table of the connection.
#[test]
fn what_hides_a_field_from_one_of_two_readers_ends_the_connection() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let hash = [&b"\x82\x86\x01\x01a\x44"[..], RAW].concat();
    let added = |path: &[u8]| [&b"\x82\x86\x01\x01a"[..], path].concat();
    let flags = END_HEADERS | END_STREAM;
    let on_itself = [&[0, 0, 0, 3, 9][..], b"\x82\x40\x01a\x01b"].concat();
    let nameless = [&b"\x82\x01\x01a\x00\x00\x87\x04"[..], RAW].concat();
    let pushed = [&b"\0\0\0\x02\x40\x01x\x01y\x44"[..], RAW].concat();
    for (what, frames) in [
        (
            "a stream that depends on itself",
            vec![
                frame(HEADERS, flags, 1, &hash),
                frame(HEADERS, flags | 0x20, 3, &on_itself),
                frame(HEADERS, flags, 5, &added(b"\xbe")),
            ],
        ),
        (
            "a field without a name in a part of a block",
            vec![
                frame(HEADERS, END_STREAM, 1, &nameless),
                frame(CONTINUATION, END_HEADERS, 1, b""),
            ],
        ),
        (
            "a part of a block that is malformed",
            vec![
                frame(HEADERS, END_STREAM, 1, b"\x82\x00\x0aconnection\x01x"),
                frame(HEADERS, flags, 3, &added(&[b"\x04", RAW].concat())),
            ],
        ),
        (
            "PUSH_PROMISE",
            vec![
                frame(5, END_HEADERS, 1, &pushed),
                frame(HEADERS, flags, 1, &added(b"\xbe")),
            ],
        ),
        (
            "an even number",
            vec![
                frame(HEADERS, flags, 1000, b"\x82\x00\x0aconnection\x01x"),
                frame(HEADERS, flags, 1001, &added(&[b"\x04", RAW].concat())),
            ],
        ),
    ] {
        let mut client = Http2::connect(gateway.listener("public"));
        client.send(&frames.concat());
        let away = client.away();
        assert!(away.is_some(), "{what}: {away:?}");
        let before = upstream.counts().0;
        assert_eq!(before, 0, "{what}");
        // Others are served.
        let mut other = Http2::connect(gateway.listener("public"));
        other.get(1, "/here");
        assert_eq!(other.outcome(1), Outcome::Answer(200, 4));
    }
    let line = refusal(&gateway, 6);
    assert!(line.contains("\"status\":400,"), "{line}");
}

/// Who reads the last byte that was announced takes the body for whole.
#[test]
fn a_body_of_an_announced_length_is_whole_upstream_once_it_has_ended() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut fields = get_fields("/x");
    fields[0].1 = "POST";
    fields.push(("content-length", "5"));
    let post = head(&fields);
    for (what, end, status) in [
        (
            "trailers",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x01x\x01y"),
            0,
        ),
        ("nothing", frame(DATA, END_STREAM, 1, b""), 0),
        (
            "pseudo-header fields",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x83]),
            400,
        ),
        ("more", frame(DATA, END_STREAM, 1, b"z"), 400),
    ] {
        let before = upstream.counts().0;
        let mut client = Http2::connect(gateway.listener("public"));
        client.frame(HEADERS, END_HEADERS, 1, &post);
        client.frame(DATA, 0, 1, b"vw");
        upstream.wait("the beginning", |wires| {
            wires.get(before)?.text().contains("vw").then_some(())
        });
        client.frame(DATA, 0, 1, b"xyz");
        client.round_trip().unwrap();
        client.send(&end);
        if status == 0 {
            upstream.wait(what, |wires| {
                wires.get(before)?.text().contains("vwxyz").then_some(())
            });
            continue;
        }
        let outcome = client.outcome(1);
        assert!(
            matches!(outcome, Outcome::Answer(400, _) | Outcome::Reset(1, 0)),
            "{what}: {outcome:?}"
        );
        upstream.ended(before);
        let text = upstream.wait("the request", |wires| Some(wires.get(before)?.text()));
        assert!(!text.contains("xyz"), "{what}: {text:?}");
    }
}

#[test]
fn an_empty_cookie_among_others_is_no_white_space() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    for (stream, cookies, status) in [
        (1, ["a=b", "", ""], 200),
        (3, ["", "a=b", "c=d"], 200),
        (5, ["a=b", "c=d ", "e=f"], 400),
    ] {
        let mut fields = get_fields("/here");
        fields.extend(cookies.map(|cookie| ("cookie", cookie)));
        client.frame(HEADERS, END_HEADERS | END_STREAM, stream, &head(&fields));
        let outcome = client.outcome(stream);
        assert!(
            matches!(outcome, Outcome::Answer(got, _) if got == status),
            "{cookies:?}: {outcome:?}"
        );
    }
}
