use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{CONTROL, Clocks, END_HEADERS, Fault, HALF_RESETS, PREFACE, Scanner, UPDATES};

const LONGEST: usize = 200;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

fn ping() -> Vec<u8> {
    frame(6, 0, 0, &[0; 8])
}

fn open() -> (Clocks, Scanner) {
    let (clocks, mut scanner) = (Clocks::default(), Scanner::new(LONGEST, Arc::default()));
    scanner.scan(PREFACE, &clocks).unwrap();
    (clocks, scanner)
}

#[test]
fn the_frame_beyond_the_allowance_of_its_kind_is_a_flood() {
    for (bytes, allowed) in [
        (ping(), CONTROL),
        (frame(8, 0, 0, &[0, 0, 0, 1]), UPDATES),
        (frame(3, 0, 1, &[0; 4]), HALF_RESETS / 2),
    ] {
        let (clocks, mut scanner) = open();
        for _ in 0..allowed {
            scanner.scan(&bytes, &clocks).unwrap();
        }
        assert_eq!(scanner.scan(&bytes, &clocks), Err(Fault::Flood(bytes[3])));
    }
}

#[test]
fn settings_priority_goaway_and_unknown_frames_count_as_control_frames() {
    for kind in [2, 4, 7, 99] {
        let (clocks, mut scanner) = open();
        for _ in 0..CONTROL - 1 {
            scanner.scan(&ping(), &clocks).unwrap();
        }
        scanner.scan(&frame(kind, 0, 0, &[]), &clocks).unwrap();
        assert_eq!(
            scanner.scan(&frame(kind, 0, 0, &[]), &clocks),
            Err(Fault::Flood(kind))
        );
    }
}

#[test]
fn frames_that_carry_something_allow_more_but_save_up_no_more_than_the_allowance() {
    let (clocks, mut scanner) = open();
    for _ in 0..2 * CONTROL {
        scanner.scan(&frame(0, 0, 1, b"data"), &clocks).unwrap();
        scanner.scan(&ping(), &clocks).unwrap();
        scanner.scan(&ping(), &clocks).unwrap();
    }
    for _ in 0..2 * CONTROL {
        scanner.scan(&frame(0, 0, 1, b"data"), &clocks).unwrap();
    }
    for _ in 0..CONTROL {
        scanner.scan(&ping(), &clocks).unwrap();
    }
    assert_eq!(scanner.scan(&ping(), &clocks), Err(Fault::Flood(6)));
}

#[test]
fn half_of_all_requests_may_be_reset_for_ever() {
    let (clocks, mut scanner) = open();
    for _ in 0..10 * HALF_RESETS {
        for _ in 0..2 {
            scanner.scan(&frame(1, 5, 1, b"head"), &clocks).unwrap();
        }
        scanner.scan(&frame(3, 0, 1, &[0; 4]), &clocks).unwrap();
    }
    let every = (0..HALF_RESETS + 1).try_for_each(|_| {
        scanner.scan(&frame(1, 5, 1, b"head"), &clocks)?;
        scanner.scan(&frame(3, 0, 1, &[0; 4]), &clocks)
    });
    assert_eq!(every, Err(Fault::Flood(3)));
}

#[test]
fn what_was_sent_allows_its_window_updates() {
    let (clocks, mut scanner) = open();
    let both = [frame(8, 0, 0, &[0, 0, 0, 1]), frame(8, 0, 1, &[0, 0, 0, 1])].concat();
    for _ in 0..4 * UPDATES {
        // A DATA frame of seven bytes.
        scanner.written(16);
        scanner.scan(&both, &clocks).unwrap();
    }
}

#[test]
fn heads_that_open_streams_are_counted_whatever_the_pieces() {
    let long = vec![b'x'; LONGEST / 2 + 1];
    let input = [
        PREFACE.to_vec(),
        frame(1, 4, 1, b"head"),
        // Trailers.
        frame(1, 5, 1, b"tail"),
        frame(1, 1, 3, b""),
        frame(9, 4, 3, b"head"),
        frame(1, 5, 5, b""),
    ]
    .concat();
    let longer = [frame(1, 1, 7, &long), frame(9, 0, 7, &long)].concat();
    for size in 1..=input.len() {
        let (clocks, mut scanner) = (Clocks::default(), Scanner::new(LONGEST, Arc::default()));
        for piece in input.chunks(size) {
            scanner.scan(piece, &clocks).unwrap();
        }
        assert_eq!(clocks.heads.load(Relaxed), 3);
        assert_eq!(clocks.long_head.load(Relaxed), 0);
        for piece in longer.chunks(size) {
            scanner.scan(piece, &clocks).unwrap();
        }
        assert_eq!(clocks.heads.load(Relaxed), 3, "it has not ended");
        assert_eq!(clocks.long_head.load(Relaxed), 7);
    }
}

#[test]
fn goaway_names_the_last_stream_with_a_head() {
    let (clocks, mut scanner) = open();
    scanner.scan(&frame(1, 5, 7, b"head"), &clocks).unwrap();
    let goaway = *b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x07";
    assert_eq!(scanner.goaway(Fault::Flood(0))[..13], goaway);
    let mut reserved = frame(1, 5, 3, b"head");
    reserved[5] = 0x80;
    scanner.scan(&reserved, &clocks).unwrap();
    assert_eq!(scanner.goaway(Fault::Flood(0))[..13], goaway);
}

#[test]
fn an_open_header_block_keeps_the_clock_running_whatever_the_pieces() {
    let mut input = PREFACE.to_vec();
    input.extend(frame(1, 0, 1, b"head"));
    let whole = input.len();
    input.extend(frame(9, 4, 1, b"tail"));
    for size in 1..=input.len() {
        let (clocks, mut scanner) = (Clocks::default(), Scanner::new(LONGEST, Arc::default()));
        for piece in input[..whole].chunks(size) {
            scanner.scan(piece, &clocks).unwrap();
        }
        assert_ne!(clocks.head_since.load(Relaxed), 0);
        scanner.scan(&input[whole..], &clocks).unwrap();
        assert_eq!(clocks.head_since.load(Relaxed), 0);
    }
}

#[test]
fn a_frame_that_begins_in_the_piece_that_ends_another_has_its_own_time() {
    const EARLIER: u64 = u64::MAX;
    let (clocks, mut scanner) = open();
    scanner.scan(&ping()[..4], &clocks).unwrap();
    clocks.head_since.store(EARLIER, Relaxed);
    scanner.scan(&ping()[4..8], &clocks).unwrap();
    assert_eq!(clocks.head_since.load(Relaxed), EARLIER, "the same frame");
    scanner.scan(&ping()[8..12], &clocks).unwrap();
    scanner
        .scan(&[&ping()[12..], &ping()[..4]].concat(), &clocks)
        .unwrap();
    assert_ne!(clocks.head_since.load(Relaxed), EARLIER, "another");
    // A header block is one thing, in how many frames it may come.
    scanner.scan(&ping()[4..], &clocks).unwrap();
    let block = [frame(1, 0, 1, b"head"), frame(9, 0, 1, b"more")].concat();
    scanner.scan(&block, &clocks).unwrap();
    clocks.head_since.store(EARLIER, Relaxed);
    scanner.scan(&frame(9, 0, 1, b"more"), &clocks).unwrap();
    assert_eq!(clocks.head_since.load(Relaxed), EARLIER, "the same block");
    scanner
        .scan(&[frame(9, 4, 1, b"tail"), vec![0]].concat(), &clocks)
        .unwrap();
    assert_ne!(clocks.head_since.load(Relaxed), EARLIER, "behind the block");
}

#[test]
fn what_h2_and_the_guard_could_read_differently_ends_the_connection() {
    let push = frame(5, END_HEADERS, 1, &[0, 0, 0, 2, 0x88]);
    let open = frame(1, 1, 1, b"");
    let other = |kind| [open.clone(), frame(kind, END_HEADERS, 1, b"")].concat();
    for (what, input) in [
        ("PUSH_PROMISE", push),
        ("an even number", frame(1, 5, 2, &[0x82])),
        ("no number", frame(1, 5, 0, &[0x82])),
        ("CONTINUATION of nothing", frame(9, 4, 1, b"")),
        (
            "CONTINUATION of another",
            [open.clone(), frame(9, 4, 3, b"")].concat(),
        ),
        ("HEADERS in a block", other(1)),
        ("DATA in a block", other(0)),
        ("PING in a block", other(6)),
        ("an unknown frame in a block", other(99)),
        ("an empty name", frame(1, 1, 1, &[0x00, 0x00, 0x00])),
        (
            "a dependency on itself",
            frame(1, 0x25, 1, &[0, 0, 0, 1, 9, 0x82]),
        ),
    ] {
        let (clocks, mut scanner) = self::open();
        let fault = scanner.scan(&input, &clocks).unwrap_err();
        assert!(matches!(fault, Fault::Malformed(_)), "{what}: {fault}");
        assert_eq!(scanner.goaway(fault)[16], 1, "{what}");
    }
}
