//! The requests: every special thing alone, and some hundred mixtures. The same in every run.

mod fields;
mod paths;

use std::collections::BTreeSet;

/// A request, byte for byte.
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    /// It goes to the listener that trusts its peers.
    pub(super) inner: bool,
}

/// All of them, each once.
pub(super) fn all() -> Vec<Request> {
    let mut dice = Dice(0x1234_5678_9abc_def0);
    let mut requests = paths::requests(&mut dice);
    requests.extend(fields::requests(&mut dice));
    let mut seen = BTreeSet::new();
    requests.retain(|request| seen.insert((request.inner, request.bytes.clone())));
    requests
}

/// The requests of a list, each a head without its last line, for the listener `edge`.
fn edge(heads: impl IntoIterator<Item = Vec<u8>>) -> Vec<Request> {
    let made = heads.into_iter().map(|mut bytes| {
        bytes.extend(b"connection: close\r\n\r\n");
        Request {
            bytes,
            inner: false,
        }
    });
    made.collect()
}

/// Numbers that look like chance (SplitMix64).
struct Dice(u64);

impl Dice {
    /// Below `bound`.
    fn roll(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).unwrap();
        usize::try_from((mixed ^ (mixed >> 31)) % bound).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}
