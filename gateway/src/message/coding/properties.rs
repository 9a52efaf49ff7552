//! What holds for coded bodies, whatever a sender makes of them; fuzz/ and the test below look for what breaks it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as _, Frame};

use super::{Coding, CodingFault, Codings, Decoded, Decoder, Limits, MOST};
use crate::message::body::BodyFault;

/// What one input may decode to, and at once.
const LIMITS: Limits = Limits {
    output: 64 << 10,
    ratio: 100,
    step: 1 << 10,
};

/// More steps than any input of a fuzzer takes.
const STEPS: usize = 1 << 24;

/// What a body decodes to, or why it does not.
type Outcome = Result<Vec<u8>, CodingFault>;

/// A byte that says how many codings there are, one that says which, one that says how the body is cut, and the body.
///
/// # Panics
/// When more is handed out than the limits allow, when decoding does not end, or when what comes of a body depends on
/// where it is cut.
pub fn coding(input: &[u8]) {
    let [count, names, cut, body @ ..] = input else {
        return;
    };
    let codings = which(*count, *names);
    let whole = decoded(&codings, &mut [Bytes::copy_from_slice(body)]);
    let mut pieces = pieces(body, *cut);
    let streamed = streamed(&codings, pieces.iter().cloned().collect());
    let cut = decoded(&codings, &mut pieces);
    assert_eq!(cut, streamed);
    match (whole, cut) {
        (Ok(whole), Ok(cut)) => assert_eq!(whole, cut),
        // How many bytes were taken when so many were made depends on the cuts.
        (Err(CodingFault::Ratio), _) | (_, Err(CodingFault::Ratio)) => {}
        (whole, cut) => assert!(whole.is_err() && cut.is_err(), "{whole:?} or {cut:?}"),
    }
}

fn which(count: u8, names: u8) -> Codings {
    let known = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];
    let count = usize::from(count) % MOST + 1;
    let applied = (0..count).map(|index| known[usize::from(names >> (2 * index)) % known.len()]);
    Codings(applied.collect())
}

/// Of many sizes, some empty.
fn pieces(body: &[u8], cut: u8) -> Vec<Bytes> {
    let (mut rest, mut state) = (body, u32::from(cut));
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (state >> 24) as usize % (usize::from(cut) + 2);
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = after;
    }
    pieces
}

fn decoded(codings: &Codings, pieces: &mut [Bytes]) -> Outcome {
    let mut decoder = Decoder::new(codings, LIMITS);
    let (mut whole, mut steps) = (Vec::new(), 0);
    for piece in pieces {
        while let Some(bytes) = decoder.decode(piece)? {
            add(&mut whole, &bytes);
            steps += 1;
            assert!(steps < STEPS, "decoding does not end");
        }
        assert!(piece.is_empty());
    }
    decoder.finish().map(|()| whole)
}

fn add(whole: &mut Vec<u8>, bytes: &[u8]) {
    assert!(bytes.len() <= LIMITS.step);
    whole.extend_from_slice(bytes);
    assert!(whole.len() as u64 <= LIMITS.output);
}

/// The same as a body.
fn streamed(codings: &Codings, pieces: VecDeque<Bytes>) -> Outcome {
    let mut body = Decoded::new(Pieces(pieces), Decoder::new(codings, LIMITS));
    let mut cx = Context::from_waker(Waker::noop());
    let mut whole = Vec::new();
    for _ in 0..STEPS {
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.into_data().unwrap_or_default();
                assert!(
                    !bytes.is_empty(),
                    "an empty frame, or trailers that nothing sent"
                );
                add(&mut whole, &bytes);
            }
            Poll::Ready(Some(Err(BodyFault::Coding(fault)))) => return Err(fault),
            Poll::Ready(ended) => {
                assert!(ended.is_none(), "{ended:?}");
                return Ok(whole);
            }
            // Others have their turn.
            Poll::Pending => {}
        }
    }
    unreachable!("the body does not end");
}

/// A body of these pieces.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod replayed {
    use crate::corpora;

    #[test]
    fn a_coded_body_decodes_within_its_limits_wherever_it_is_cut() {
        corpora::replay("coding", super::coding);
    }
}
