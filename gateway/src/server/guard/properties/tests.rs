//! The properties on the corpora of fuzz/, on streams made of what has broken guards before, and on every cut in two.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fastrand::Rng;

use super::{compare, h1, h2, pieces, scan_h1, scan_h2};
use crate::corpora;
use crate::server::guard::h2::PREFACE;

/// Streams made of parts, from the same seeds each time.
const STREAMS: u64 = 1_500;

#[test]
fn no_verdict_on_http_1_depends_on_the_pieces() {
    corpora::replay("h1_guard", |input| {
        h1(input);
        cut_h1_everywhere(input.get(4..).unwrap_or_default());
    });
}

#[test]
fn no_verdict_on_http_2_depends_on_the_pieces() {
    corpora::replay("h2_guard", h2);
}

#[test]
fn no_verdict_on_requests_of_any_parts_depends_on_the_pieces_and_hyper_finds_the_same() {
    for seed in 0..STREAMS {
        let mut rng = Rng::with_seed(seed);
        let mut stream = String::new();
        for _ in 0..rng.usize(1..4) {
            request(&mut rng, &mut stream);
        }
        let mut stream = stream.into_bytes();
        if rng.u8(..) < 64 {
            let at = rng.usize(..stream.len());
            stream[at] = *rng.choice(b"\r\n \t;:0aZ\0").unwrap();
        }
        let held = catch_unwind(AssertUnwindSafe(|| {
            cut_h1_everywhere(&stream);
            for _ in 0..8 {
                let sizes = [(); 4].map(|()| rng.u8(1..40));
                h1(&[&sizes[..], &stream].concat());
            }
        }));
        assert!(held.is_ok(), "{:?}", String::from_utf8_lossy(&stream));
    }
}

fn cut_h1_everywhere(stream: &[u8]) {
    let whole = scan_h1([stream].into_iter());
    for at in 1..stream.len() {
        let (begin, end) = stream.split_at(at);
        compare(stream, &whole, &scan_h1([begin, end].into_iter()));
    }
}

/// Adds one request, or what nearly is one.
fn request(rng: &mut Rng, stream: &mut String) {
    for _ in 0..rng.usize(..3) {
        stream.push_str(one_of(rng, &["", "", "\r\n", "\n", "\r"]));
    }
    stream.push_str(one_of(
        rng,
        &[
            "GET / HTTP/1.1",
            "POST /x?y HTTP/1.1",
            "POST / HTTP/1.0",
            "PRI * HTTP/2.0",
            "GET /",
        ],
    ));
    line_end(rng, stream);
    for _ in 0..rng.usize(..4) {
        field(rng, stream);
        line_end(rng, stream);
    }
    line_end(rng, stream);
    body(rng, stream);
}

fn field(rng: &mut Rng, stream: &mut String) {
    let name = one_of(
        rng,
        &[
            "Content-Length",
            "content-length",
            "Transfer-Encoding",
            "TRANSFER-ENCODING",
            "Upgrade",
            "Content-Lengthy",
            "X",
        ],
    );
    let value = match name.len() {
        14 => one_of(
            rng,
            &[
                "0",
                "3",
                "5",
                "03",
                "+3",
                "3, 3",
                "",
                "18446744073709551616",
            ],
        ),
        17 => one_of(
            rng,
            &["chunked", "chunked", "Chunked", "gzip, chunked", "identity"],
        ),
        _ => one_of(rng, &["h2c", "websocket", "a\tb", ""]),
    };
    let pad = one_of(rng, &["", " ", "\t", "  "]);
    stream.push_str(name);
    stream.push_str(one_of(rng, &[":", ":", ":", " :"]));
    stream.push_str(&pad.repeat(*rng.choice(&[1, 1, 35, 70]).unwrap()));
    stream.push_str(value);
    stream.push_str(pad);
}

fn body(rng: &mut Rng, stream: &mut String) {
    stream.push_str(one_of(
        rng,
        &[
            "",
            "",
            "abc",
            "hello",
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "00003 ;x=\"y\"\r\nabc\r\n0\r\nT: v\r\nU: w\r\n\r\n",
            "0\r\nT: v\n\r\n",
            "0\r\nT: v\n\r\nGET / HTTP/1.1\r\nContent-Length: 99\r\n\r\n",
            "3\nabc\n0\n\n",
            "3;\nx\r\nabc\r\n0\r\n\r\n",
            "3\r\nabcd0\r\n\r\n",
            "ffffffffffffffff\r\nabc",
        ],
    ));
}

fn line_end(rng: &mut Rng, stream: &mut String) {
    stream.push_str(one_of(
        rng,
        &["\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r\r\n"],
    ));
}

fn one_of<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    rng.choice(all).copied().unwrap()
}

#[test]
fn no_verdict_on_frames_of_any_kind_depends_on_the_pieces() {
    for seed in 0..STREAMS / 10 {
        let mut rng = Rng::with_seed(seed);
        let mut stream = PREFACE.to_vec();
        for _ in 0..rng.usize(1..8) {
            frame(&mut rng, &mut stream);
        }
        let whole = scan_h2([&stream[..]].into_iter());
        for at in 1..stream.len() {
            let (begin, end) = stream.split_at(at);
            assert_eq!(
                whole,
                scan_h2([begin, end].into_iter()),
                "cut at {at}: {stream:?}"
            );
        }
        for _ in 0..8 {
            let sizes = [(); 4].map(|()| rng.u8(1..40));
            let cut = scan_h2(pieces(&stream, &sizes));
            assert_eq!(whole, cut, "cut into {sizes:?}: {stream:?}");
        }
        let flood = rng.u8(..);
        h2(&[&[3, 1, 9, 2, flood], &stream[PREFACE.len()..]].concat());
    }
}

/// Adds a frame: padding, priority, CONTINUATION, reserved bits, and lengths that do not fit their kind.
fn frame(rng: &mut Rng, stream: &mut Vec<u8>) {
    let kind = *rng
        .choice(&[0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 77])
        .unwrap();
    let payload: Vec<u8> = match rng.u8(..4) {
        0 => Vec::new(),
        1 => vec![0, 4, 0, 0, rng.u8(..), 0],
        2 => vec![rng.u8(..), 0, 0, rng.u8(..)],
        _ => (0..rng.usize(..30)).map(|_| rng.u8(..)).collect(),
    };
    let length = u8::try_from(payload.len()).unwrap();
    let flags = *rng.choice(&[0, 1, 4, 5, 8, 0x2d]).unwrap();
    let id = [*rng.choice(&[0, 0x80]).unwrap(), 0, 0, rng.u8(..4)];
    stream.extend([0, 0, length, kind, flags]);
    stream.extend(id);
    stream.extend(payload);
}
