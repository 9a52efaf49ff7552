//! What holds for the scanners whatever a client sends; fuzz/ and the tests below look for what breaks it.
//!
//! TCP cuts a stream where it likes, so no verdict may depend on the cuts: a client would choose them.

use std::sync::atomic::Ordering::Relaxed;

use super::clocks::Clocks;
use super::{h1, h2};

/// Limits that a short input reaches.
const MAX_BYTES: usize = 256;
const MAX_FIELDS: usize = 8;
/// The most bytes of HTTP/2 for one run: enough for a flood of most kinds.
const MOST: usize = 20 << 10;

/// HTTP/1: four bytes of piece sizes, then the stream.
///
/// # Panics
/// When the verdict depends on how the stream is cut, or a head that is refused was passed on.
pub fn h1(input: &[u8]) {
    let Some((sizes, stream)) = input.split_first_chunk::<4>() else {
        return;
    };
    let (passed, verdict) = scan_h1([stream].into_iter());
    assert!(verdict.refuse != 0 || passed == stream.len());
    for sizes in [sizes, &[1; 4]] {
        let (passed_cut, verdict_cut) = scan_h1(pieces(stream, sizes));
        assert_eq!(verdict, verdict_cut, "cut into {sizes:?}");
        if verdict.refuse == 0 {
            assert_eq!(passed, passed_cut, "cut into {sizes:?}");
            continue;
        }
        // Of the head that is refused a beginning may have passed, never its end.
        assert!(passed <= passed_cut);
        let (_, before) = scan_h1([&stream[..passed]].into_iter());
        let (_, with_beginning) = scan_h1([&stream[..passed_cut]].into_iter());
        assert_eq!(before.whole, with_beginning.whole);
        assert_eq!(before.ambiguous, with_beginning.ambiguous);
    }
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

/// What an HTTP/1 scanner noted.
#[derive(Debug, PartialEq, Eq)]
struct VerdictH1 {
    refuse: u16,
    ambiguous: u64,
    upgrade: u16,
    whole: u64,
    /// Whether the clock of a head runs; of no account once a head is refused.
    head_waits: bool,
}

fn scan_h1<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (usize, VerdictH1) {
    let (clocks, mut scanner) = (Clocks::default(), h1::Scanner::new(MAX_BYTES, MAX_FIELDS));
    let mut passed = 0;
    for piece in pieces {
        let keep = scanner.scan(piece, &clocks);
        assert!(keep <= piece.len());
        passed += keep;
        if clocks.refuse.load(Relaxed) != 0 {
            break;
        }
        assert_eq!(keep, piece.len());
    }
    let refuse = clocks.refuse.load(Relaxed);
    let verdict = VerdictH1 {
        refuse,
        ambiguous: clocks.ambiguous.load(Relaxed),
        upgrade: clocks.upgrade.load(Relaxed),
        whole: clocks.whole.load(Relaxed),
        head_waits: refuse == 0 && clocks.head_since.load(Relaxed) != 0,
    };
    (passed, verdict)
}

/// What an HTTP/2 scanner noted.
#[derive(Debug, PartialEq, Eq)]
struct VerdictH2 {
    flood: Option<h2::Flood>,
    goaway: [u8; 17],
    window: String,
    /// Whether the clock of a frame or head runs; of no account after a flood.
    head_waits: bool,
}

fn scan_h2<'a>(mut pieces: impl Iterator<Item = &'a [u8]>) -> VerdictH2 {
    let (clocks, mut scanner) = (Clocks::default(), h2::Scanner::new());
    let flood = pieces.find_map(|piece| scanner.scan(piece, &clocks).err());
    VerdictH2 {
        flood,
        goaway: scanner.goaway(),
        window: format!("{:?}", clocks.window),
        head_waits: flood.is_none() && clocks.head_since.load(Relaxed) != 0,
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

#[cfg(test)]
mod tests {
    use crate::corpora;

    #[test]
    fn no_verdict_on_http_1_depends_on_the_pieces() {
        corpora::replay("h1_guard", super::h1);
    }

    #[test]
    fn no_verdict_on_http_2_depends_on_the_pieces() {
        corpora::replay("h2_guard", super::h2);
    }
}
