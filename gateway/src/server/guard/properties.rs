//! What holds for the scanners whatever a client sends; fuzz/ and the tests below look for what breaks it.
//!
//! TCP cuts a stream where it likes, so no verdict may depend on the cuts: a client would choose them. And hyper must
//! find the requests where the guard finds them, or it would serve what no limit was held for.

mod hyper_serves;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::clocks::Clocks;
use super::{h1, h2};
use crate::message::flaws::Flaws;

/// Limits that a short input reaches.
const MAX_BYTES: usize = 256;
const MAX_FIELDS: usize = 8;
/// The most bytes of HTTP/2 for one run: enough for a flood of most kinds.
const MOST: usize = 20 << 10;

/// HTTP/1: four bytes of piece sizes, then the stream. Every upgrade is refused.
///
/// # Panics
/// When the verdict depends on how the stream is cut, a head that is refused was passed on, or hyper finds a request
/// where the guard sees none.
pub fn h1(input: &[u8]) {
    let Some((sizes, stream)) = input.split_first_chunk::<4>() else {
        return;
    };
    let whole = scan_h1([stream].into_iter());
    let bytes = scan_h1(pieces(stream, &[1; 4]));
    compare(stream, &whole, &scan_h1(pieces(stream, sizes)));
    compare(stream, &whole, &bytes);
    let served = hyper_serves::heads(&stream[..whole.passed]);
    assert!(
        bytes.heads.starts_with(&served),
        "hyper finds heads before {served:?}, the guard before {:?}",
        bytes.heads
    );
}

/// Two readings of one stream, the first of them in one piece.
fn compare(stream: &[u8], whole: &ReadingH1, cut: &ReadingH1) {
    assert_eq!(whole.verdict, cut.verdict);
    if whole.verdict.refuse == 0 {
        assert_eq!(whole.passed, cut.passed);
        return;
    }
    // Of the head that is refused a beginning may have passed, never its end.
    assert!(whole.passed <= cut.passed);
    let before = scan_h1([&stream[..whole.passed]].into_iter());
    let with_beginning = scan_h1([&stream[..cut.passed]].into_iter());
    assert_eq!(before.verdict.heads, with_beginning.verdict.heads);
    assert_eq!(before.verdict.ambiguous, with_beginning.verdict.ambiguous);
}

/// HTTP/2: four bytes of piece sizes, how often what follows is repeated, then frames.
///
/// # Panics
/// When the verdict depends on how the stream is cut.
pub fn h2(input: &[u8]) {
    let Some(([sizes @ .., repeats], frames)) = input.split_first_chunk::<5>() else {
        return;
    };
    let mut stream = h2::PREFACE.to_vec();
    for _ in 0..=*repeats {
        stream.extend_from_slice(frames);
    }
    stream.truncate(MOST);
    let verdict = scan_h2([stream.as_slice()].into_iter());
    // The highest bit of a stream's number is nobody's (RFC 9113, 4.1).
    assert!(verdict.goaway[9] < 0x80, "GOAWAY names no stream");
    for sizes in [sizes, &[1; 4]] {
        let cut = scan_h2(pieces(&stream, sizes));
        assert_eq!(verdict, cut, "cut into {sizes:?}");
    }
}

/// What an HTTP/1 scanner made of a stream.
#[derive(Debug, Default)]
struct ReadingH1 {
    /// How much hyper may see.
    passed: usize,
    /// Behind how many bytes the heads ended, if they came byte by byte.
    heads: Vec<usize>,
    verdict: VerdictH1,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct VerdictH1 {
    refuse: u16,
    lost: bool,
    ambiguous: u64,
    upgrades: Vec<u64>,
    heads: u64,
    body_to_come: bool,
    /// Whether the clock of a head runs; of no account once a head is refused.
    head_waits: bool,
}

fn scan_h1<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> ReadingH1 {
    let (clocks, mut scanner) = (Clocks::default(), h1::Scanner::new(MAX_BYTES, MAX_FIELDS));
    let mut reading = ReadingH1::default();
    let mut rest: &[u8] = &[];
    let mut pieces = pieces.fuse();
    loop {
        if rest.is_empty() {
            let Some(piece) = pieces.next() else { break };
            rest = piece;
        }
        let keep = scanner.scan(rest, &clocks);
        reading.passed += keep;
        rest = &rest[keep..];
        let heads = clocks.heads.load(Relaxed);
        if heads > reading.verdict.heads {
            reading.verdict.heads = heads;
            reading.heads.push(reading.passed);
        }
        if clocks.refuse.load(Relaxed) != 0 || scanner.is_lost() {
            break;
        }
        let asked = clocks.upgrade.load(Relaxed);
        if asked != 0 && scanner.awaits_tunnel() {
            reading.verdict.upgrades.push(asked);
            clocks.refuse_upgrade();
        } else {
            assert!(rest.is_empty(), "held back for no reason");
        }
    }
    let refuse = clocks.refuse.load(Relaxed);
    reading.verdict = VerdictH1 {
        refuse,
        lost: scanner.is_lost(),
        ambiguous: clocks.ambiguous.load(Relaxed),
        body_to_come: clocks.body_to_come.load(Relaxed),
        head_waits: refuse == 0 && clocks.head_since.load(Relaxed) != 0,
        ..reading.verdict
    };
    reading
}

/// The longest header block, in bytes.
const LONGEST: usize = 64;

/// What an HTTP/2 scanner noted.
#[derive(Debug, PartialEq, Eq)]
struct VerdictH2 {
    fault: Option<h2::Fault>,
    goaway: [u8; 17],
    heads: (u64, u32),
    flaws: String,
    /// Whether the clock of a frame or head runs; of no account after a fault.
    head_waits: bool,
}

fn scan_h2<'a>(mut pieces: impl Iterator<Item = &'a [u8]>) -> VerdictH2 {
    let (clocks, flaws) = (Clocks::default(), Arc::<Flaws>::default());
    let mut scanner = h2::Scanner::new(LONGEST, flaws.clone());
    let fault = pieces.find_map(|piece| scanner.scan(piece, &clocks).err());
    VerdictH2 {
        fault,
        goaway: scanner.goaway(fault.unwrap_or(h2::Fault::Flood(0))),
        heads: (clocks.heads.load(Relaxed), clocks.long_head.load(Relaxed)),
        flaws: format!("{flaws:?}"),
        head_waits: fault.is_none() && clocks.head_since.load(Relaxed) != 0,
    }
}

/// Cuts a stream into pieces of these sizes in turn, none of them empty.
fn pieces<'a>(mut stream: &'a [u8], sizes: &[u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = usize::from(*sizes.next()?).max(1).min(stream.len());
        let piece = stream.split_off(..size)?;
        (!piece.is_empty()).then_some(piece)
    })
}
