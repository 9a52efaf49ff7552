//! What keeps the guard's eyes open: its limits hold for every head of a connection, however long it takes, and where
//! the end of a request cannot be told, nothing behind it is served.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::{before, statuses};
use crate::harness::http::{connect, read_answer};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get};

/// Sends at once; the statuses of all that comes until the gateway closes.
fn all_statuses(gateway: &Gateway, input: &[u8]) -> Vec<u16> {
    let mut stream = connect(gateway.listener("public"));
    // The gateway may refuse before it has read all.
    let _refused = stream.write_all(input);
    let mut bytes = Vec::new();
    let _reset = stream.read_to_end(&mut bytes);
    statuses(&bytes)
}

const CHUNKED: &str = "POST /chunked HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/// A trailer line that one reader ends at a bare LF and another does not: what is a head to the one is a trailer to the
/// other, and the body announced in it hides all that follows.
#[test]
fn a_trailer_with_a_bare_lf_hides_no_request_behind_it() {
    let origin = Origin::start();
    let gateway = before(origin.address);
    let hidden = "GET /hidden HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
    let large = format!(
        "GET /large HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "a".repeat(30_000)
    );
    let both = "POST /both HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    for behind in [large.as_str(), both] {
        let input = format!("{CHUNKED}0\r\nT: v\n\r\n{hidden}{behind}");
        assert_eq!(
            all_statuses(&gateway, input.as_bytes()),
            [400],
            "{behind:.40}"
        );
    }
    let seen = origin.seen().concat();
    assert!(seen.is_empty(), "{seen}");
}

#[test]
fn trailers_and_the_lines_before_chunks_keep_to_the_limits_of_heads() {
    let origin = Origin::start();
    let gateway = before(origin.address);
    for (what, body) in [
        (
            "a long trailer",
            format!("0\r\nT: {}\r\n\r\n", "v".repeat(5_000)),
        ),
        (
            "many trailers",
            format!("0\r\n{}\r\n", "T: v\r\n".repeat(21)),
        ),
        (
            "a long size",
            format!("{}1\r\na\r\n0\r\n\r\n", "0".repeat(5_000)),
        ),
        (
            "a padded size",
            format!("1{}\r\na\r\n0\r\n\r\n", " ".repeat(5_000)),
        ),
        (
            "a long extension",
            format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(5_000)),
        ),
    ] {
        let input = format!("{CHUNKED}{body}");
        assert_eq!(all_statuses(&gateway, input.as_bytes()), [400], "{what}");
    }
    assert!(origin.seen().is_empty(), "{:?}", origin.seen());
    let fits = format!("{CHUNKED}1\r\na\r\n0\r\n{}\r\n", "T: v\r\n".repeat(20));
    let answer = crate::harness::raw(gateway.listener("public"), fits.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A trailer is part of its body: a byte now and then gives it no more time.
#[test]
fn a_trailer_that_trickles_is_408() {
    let upstream = Recorder::start();
    let gateway = before(upstream.address);
    let mut stream = connect(gateway.listener("public"));
    stream
        .write_all(format!("{CHUNKED}1\r\na\r\n0\r\n").as_bytes())
        .unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let (began, mut first) = (Instant::now(), [0]);
    // Until the answer begins.
    while stream.read(&mut first).is_err() {
        stream.write_all(b"T").unwrap();
        let taken = began.elapsed();
        assert!(taken < Duration::from_secs(20), "open after {taken:?}");
    }
    let mut rest = Vec::new();
    let _reset = stream.read_to_end(&mut rest);
    assert_eq!(statuses(&[&first[..], &rest].concat()), [408]);
}

/// A head is refused behind all that were read before it, also where those are more than hyper serves in one turn.
#[test]
fn a_head_over_the_limits_cuts_off_no_request_before_it() {
    let upstream = Recorder::start();
    let gateway = before(upstream.address);
    let requests = "GET /still HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100);
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(5_000));
    let got = all_statuses(&gateway, format!("{requests}{long}").as_bytes());
    assert_eq!(got, [vec![200; 100], vec![414]].concat());
}

#[test]
fn empty_lines_before_a_request_count_as_bytes_of_its_head() {
    let origin = Origin::start();
    let gateway = before(origin.address);
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for (lines, status) in [(1_000, 200), (2_100, 400)] {
        let input = format!("{}{request}", "\r\n".repeat(lines));
        assert_eq!(
            all_statuses(&gateway, input.as_bytes()),
            [status],
            "{lines}"
        );
    }
}

/// The half of an empty line is no head: it keeps no connection from being idle.
#[test]
fn empty_lines_keep_no_connection_open() {
    let limits = "limits = { header_timeout = '1s', idle = '1s' }";
    let still = "respond = { status = 200 }";
    let config = Configuration::new()
        .public(limits)
        .route("still", "/**", still);
    let gateway = Gateway::start(&config);
    for asked in [false, true] {
        let mut stream = connect(gateway.listener("public"));
        if asked {
            stream
                .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                .unwrap();
            assert_eq!(read_answer(&mut stream).status, 200);
        }
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let began = Instant::now();
        let mut piece: &[u8] = b"\r";
        // Until the gateway closes.
        while stream.write_all(piece).is_ok() && !matches!(stream.read(&mut [0]), Ok(0)) {
            piece = b"\n\r";
            let taken = began.elapsed();
            assert!(taken < Duration::from_secs(20), "open after {taken:?}");
        }
    }
}

/// The time for a head begins with its first byte, also where that leaves open which protocol it is.
#[test]
fn a_head_that_begins_like_http2_has_no_more_time_than_any() {
    const LIMIT: Duration = Duration::from_secs(2);
    let limits = format!("limits = {{ header_timeout = '{}s' }}", LIMIT.as_secs());
    let still = "respond = { status = 200 }";
    let config = Configuration::new()
        .public(&limits)
        .route("still", "/**", still);
    let gateway = Gateway::start(&config);
    // If the time began anew with the second piece, it would last for all of it from there, each time: once is enough,
    // on a machine that has more to do.
    let in_time = (0..5).any(|_| {
        let mut stream = connect(gateway.listener("public"));
        let began = Instant::now();
        stream.write_all(b"PR").unwrap();
        std::thread::sleep(LIMIT / 2);
        let known = began.elapsed();
        // It may be over already.
        let _late = stream.write_all(b"OPFIND / HTTP/1.1\r\n");
        let status = read_answer(&mut stream).status;
        known < LIMIT && status == 408 && began.elapsed() < known + LIMIT
    });
    assert!(in_time, "{}", gateway.text());
}

/// However the length before it is written.
#[test]
fn a_slow_head_is_408_behind_any_request() {
    let origin = Origin::start();
    let gateway = before(origin.address);
    let cases = super::cases::served().into_iter();
    let open: Vec<_> = cases
        .map(|(what, first, count)| {
            let mut stream = connect(gateway.listener("public"));
            stream
                .write_all(format!("{first}GET /slow HTTP/1.1\r\n").as_bytes())
                .unwrap();
            (what, stream, count)
        })
        .collect();
    for (what, mut stream, count) in open {
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        let want = [vec![200; count], vec![408]].concat();
        assert_eq!(statuses(&bytes), want, "{what}: {read:?}");
    }
    assert_eq!(get(gateway.listener("public"), "/still", &[]).status, 200);
}
