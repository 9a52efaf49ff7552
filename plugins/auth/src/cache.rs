//! Tokens that were verified before, so that a client that sends its token with every request costs one signature.
//!
//! An entry is found by the end of the signature, and holds only for the whole token, compared in constant time.
//! Two generations bound it: when the young one is full it becomes the old one, and what the old one held is gone.

use std::collections::BTreeMap;
use std::rc::Rc;

use subtle::{Choice, ConstantTimeEq};

use crate::claims::Verified;

/// How many tokens a generation holds.
const GENERATION: usize = 512;
/// Longer tokens are verified every time, in bytes.
const LONGEST: usize = 2 * 1024;

/// The tokens that this instance has verified. Two that end alike replace each other.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    // Ordered rather than hashed: a client that chooses its tokens cannot make lookups slow.
    young: BTreeMap<End, Entry>,
    old: BTreeMap<End, Entry>,
}

/// The last eight bytes of a token.
type End = [u8; 8];

#[derive(Debug)]
struct Entry {
    token: Box<[u8]>,
    verified: Rc<Verified>,
}

impl Cache {
    /// What is known of this token.
    pub(crate) fn get(&mut self, token: &str) -> Option<Rc<Verified>> {
        let token = token.as_bytes();
        let end = token.last_chunk()?;
        if let Some(entry) = self.young.get(end) {
            return entry.matching(token);
        }
        let verified = self.old.get(end)?.matching(token)?;
        // Still in use, so it outlives its generation.
        if let Some((end, entry)) = self.old.remove_entry(end) {
            self.put(end, entry);
        }
        Some(verified)
    }

    /// Keeps what was found out about a token.
    pub(crate) fn insert(&mut self, token: &str, verified: &Rc<Verified>) {
        let token = token.as_bytes();
        if let Some(end) = token.last_chunk()
            && token.len() <= LONGEST
        {
            let entry = Entry {
                token: token.into(),
                verified: Rc::clone(verified),
            };
            self.put(*end, entry);
        }
    }

    fn put(&mut self, end: End, entry: Entry) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(end, entry);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

impl Entry {
    fn matching(&self, token: &[u8]) -> Option<Rc<Verified>> {
        bool::from(same(&self.token, token)).then(|| Rc::clone(&self.verified))
    }
}

/// As `subtle` compares slices, but by words: by bytes it took a tenth of the plugin's time.
fn same(one: &[u8], other: &[u8]) -> Choice {
    if one.len() != other.len() {
        return Choice::from(0);
    }
    let (words, rest) = one.as_chunks::<8>();
    let (other_words, other_rest) = other.as_chunks::<8>();
    // Timing must not tell which word differs: all are gathered before any is looked at.
    let differing = words.iter().zip(other_words).fold(0, |all, (one, other)| {
        all | (u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other))
    });
    differing.ct_eq(&0) & rest.ct_eq(other_rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_in_every_byte_and_in_length() {
        let text: Vec<u8> = (0..45).collect();
        assert!(bool::from(same(&text, &text)));
        assert!(!bool::from(same(&text, &text[..44])));
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] ^= 0x80;
            assert!(!bool::from(same(&text, &other)), "{at}");
        }
    }
}
