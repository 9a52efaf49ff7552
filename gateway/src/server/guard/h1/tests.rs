use std::sync::atomic::Ordering::Relaxed;

use super::{Clocks, Scanner};

/// Feeds `input` in pieces of every size; returns what was noted, and how much passed.
fn scan(input: &str, check: impl Fn(&Clocks, usize)) {
    for size in 1..=input.len() {
        let (clocks, mut scanner) = (Clocks::default(), Scanner::new(200, 5));
        let mut passed = 0;
        for piece in input.as_bytes().chunks(size) {
            passed += scanner.scan(piece, &clocks);
            if clocks.refuse.load(Relaxed) != 0 || scanner.is_lost() {
                break;
            }
        }
        check(&clocks, passed);
    }
}

#[test]
fn both_framings_are_flagged_in_either_order_behind_any_body() {
    for (input, number) in [
        (
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            1,
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\nx: y\r\nCONTENT-LENGTH:3\r\n\r\n",
            1,
        ),
        (
            "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            2,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            2,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1a;x=y\r\nTransfer-Encoding: chunked\r\n0\r\nT: v\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            2,
        ),
    ] {
        scan(input, |clocks, passed| {
            assert_eq!(clocks.ambiguous.load(Relaxed), number, "{input}");
            assert_eq!(passed, input.len());
        });
    }
}

#[test]
fn one_framing_is_not_flagged_and_bodies_are_not_heads() {
    for input in [
        "POST / HTTP/1.1\r\nContent-Length: 52\r\n\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n    ",
        "POST / HTTP/1.1\r\nContent-Lengthy: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nX: Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        scan(input, |clocks, _| {
            assert_eq!(clocks.ambiguous.load(Relaxed), 0, "{input}");
            assert_eq!(clocks.refuse.load(Relaxed), 0, "{input}");
        });
    }
}

#[test]
fn the_limits_hold_exactly() {
    let head = |bytes: usize| {
        let start = "GET / HTTP/1.1\r\na: ";
        format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
    };
    scan(&head(200), |clocks, _| {
        assert_eq!(clocks.refuse.load(Relaxed), 0)
    });
    scan(&head(201), |clocks, _| {
        assert_eq!(clocks.refuse.load(Relaxed), 431)
    });
    scan(
        &format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200)),
        |clocks, _| {
            assert_eq!(clocks.refuse.load(Relaxed), 414);
        },
    );
    let fields = |n: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(n));
    scan(&fields(5), |clocks, _| {
        assert_eq!(clocks.refuse.load(Relaxed), 0)
    });
    scan(&fields(6), |clocks, _| {
        assert_eq!(clocks.refuse.load(Relaxed), 431)
    });
}

/// RFC 9110, 5.6.3: any space is legal there.
#[test]
fn a_length_is_read_however_far_it_is_padded() {
    let (head, body) = ("POST / HTTP/1.1\r\nContent-Length:", "3  \r\n\r\nabc");
    for pad in [0, 48, 49, 150] {
        let input = format!("{head}{}{body}GET", " ".repeat(pad));
        scan(&input, |clocks, passed| {
            assert_eq!(passed, input.len());
            assert_eq!(clocks.heads.load(Relaxed), 1);
            assert!(!clocks.body_to_come.load(Relaxed));
            assert_ne!(clocks.head_since.load(Relaxed), 0, "the second head began");
        });
    }
}

#[test]
fn nothing_behind_a_request_without_a_known_end_is_passed_on() {
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let zeros = "0".repeat(200);
    let extension = format!("1;{}", "x".repeat(198));
    let field = format!("0\r\n{}", "x".repeat(200));
    let fields = format!("0\r\n{}T: v\r", "T: v\r\n".repeat(5));
    for (begin, rest) in [
        ("0\r\nT: v", "\n\r\n"),
        ("0\r\n", "\n"),
        ("0\r\nT: v\r", "T"),
        ("0\r\n\r", "G"),
        ("1;x", "\n"),
        ("1;x", "\0\r\n"),
        ("1;x=\t\"", "\x7f\"\r\n"),
        ("1;x=\"\r", "\"\r\n"),
        ("1 ", "2\r\n"),
        ("", "\r\n"),
        ("", "\n"),
        ("1", "\n"),
        ("1", "g\r\n"),
        ("1\r\na", "b\r\n"),
        ("1\r\na", "\n"),
        ("1\r\na\r", "0\r\n"),
        ("ffffffffffffffff", "f\r\n"),
        (&zeros, "0\r\n"),
        (&extension, "x\r\n"),
        (&field, "x\r\n"),
        (&fields, "\n\r\n"),
    ] {
        let known = format!("{chunked}{begin}");
        scan(
            &format!("{known}{rest}GET / HTTP/1.1\r\n\r\n"),
            |clocks, passed| {
                assert_eq!(passed, known.len(), "{begin:?} {rest:?}");
                assert_eq!(clocks.heads.load(Relaxed), 1);
                assert!(clocks.body_to_come.load(Relaxed));
            },
        );
    }
}

#[test]
fn empty_lines_before_a_request_are_no_head_yet_but_bytes_of_it() {
    let input = format!("{}GET / HTTP/1.1\r\n\r\n", "\r\n".repeat(91));
    scan(&input, |clocks, _| {
        assert_eq!(clocks.heads.load(Relaxed), 1);
        assert_eq!(clocks.refuse.load(Relaxed), 0);
    });
    scan(&format!("\r\n{input}"), |clocks, _| {
        assert_eq!(clocks.refuse.load(Relaxed), 431);
    });
    scan(&"\r\n".repeat(101), |clocks, _| {
        assert_eq!(clocks.head_since.load(Relaxed), 0);
        assert_eq!(clocks.refuse.load(Relaxed), 400);
    });
    scan("\rGET / HTTP/1.1\r\n\r\n", |clocks, _| {
        assert_eq!(clocks.refuse.load(Relaxed), 400);
    });
}

/// RFC 9112, 2.2: to one reader it ends a line, to another it does not.
#[test]
fn a_bare_lf_is_refused_wherever_a_line_ends() {
    for input in [
        "\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\n",
    ] {
        scan(input, |clocks, _| {
            assert_eq!(clocks.refuse.load(Relaxed), 400, "{input:?}");
            assert_eq!(clocks.heads.load(Relaxed), 0, "{input:?}");
        });
    }
}

#[test]
fn a_refused_head_does_not_hold_back_the_one_before() {
    let first = "GET / HTTP/1.1\r\n\r\n";
    let (clocks, mut scanner) = (Clocks::default(), Scanner::new(100, 5));
    let input = format!("{first}GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100));
    assert_eq!(scanner.scan(input.as_bytes(), &clocks), first.len());
    assert_eq!(clocks.refuse.load(Relaxed), 414);
}

#[test]
fn the_clock_runs_only_while_a_head_is_incomplete() {
    let (clocks, mut scanner) = (Clocks::default(), Scanner::new(100, 5));
    scanner.scan(b"GET / HTTP/1.1\r\n\r\n", &clocks);
    assert_eq!(clocks.head_since.load(Relaxed), 0);
    scanner.scan(b"G", &clocks);
    assert_ne!(clocks.head_since.load(Relaxed), 0);
    scanner.scan(b"ET / HTTP/1.1\r\n\r\n", &clocks);
    assert_eq!(clocks.head_since.load(Relaxed), 0);
    scanner.scan(b"\r", &clocks);
    scanner.scan(b"\n", &clocks);
    assert_eq!(clocks.head_since.load(Relaxed), 0);
}

#[test]
fn a_request_is_whole_once_its_body_is() {
    let (clocks, mut scanner) = (Clocks::default(), Scanner::new(100, 5));
    for (piece, heads, to_come) in [
        ("GET / HTTP/1.1\r\n\r\n", 1, false),
        ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na", 2, true),
        ("b", 2, false),
        (
            "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na",
            4,
            true,
        ),
        ("bGET / HTTP/1.1\r\n\r\nGET", 5, false),
    ] {
        scanner.scan(piece.as_bytes(), &clocks);
        assert_eq!(clocks.heads.load(Relaxed), heads, "{piece}");
        assert_eq!(clocks.body_to_come.load(Relaxed), to_come, "{piece}");
    }
}

const UPGRADE: &str = "GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n";

#[test]
fn what_comes_behind_an_upgrade_waits_for_its_answer() {
    for first in ["", "GET / HTTP/1.1\r\n\r\n"] {
        let asked = format!("{first}{UPGRADE}");
        let number = if first.is_empty() { 1 } else { 2 };
        scan(
            &format!("{asked}GET / HTTP/1.1\r\n\r\n"),
            |clocks, passed| {
                assert_eq!(passed, asked.len());
                assert_eq!(clocks.upgrade.load(Relaxed), number);
                assert_eq!(clocks.heads.load(Relaxed), number);
            },
        );
    }
}

#[test]
fn what_came_behind_a_refused_upgrade_is_a_head_like_any_other() {
    let (clocks, mut scanner) = (Clocks::default(), Scanner::new(100, 5));
    scanner.scan(UPGRADE.as_bytes(), &clocks);
    assert!(scanner.awaits_tunnel());
    let next = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100));
    assert_eq!(scanner.scan(next.as_bytes(), &clocks), 0);
    assert_eq!(clocks.refuse.load(Relaxed), 0);
    clocks.refuse_upgrade();
    assert_eq!(scanner.scan(next.as_bytes(), &clocks), 0);
    assert_eq!(clocks.refuse.load(Relaxed), 414);
}
