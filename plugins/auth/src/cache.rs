//! Tokens that were verified before, so that a client that sends its token with every request costs one signature.
//!
//! An entry is found by what was signed, and holds only if the signature is the same, compared in constant time.
//! Two generations bound it: when the young one is full it becomes the old one, and what the old one held is gone.

use std::collections::BTreeMap;
use std::rc::Rc;

use subtle::ConstantTimeEq;

use crate::claims::Verified;

/// How many tokens a generation holds.
const GENERATION: usize = 512;
/// Longer tokens are verified every time, in bytes.
const LONGEST: usize = 2 * 1024;

/// The tokens that this instance has verified.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    // Ordered rather than hashed: a client that chooses its tokens cannot make lookups slow.
    young: BTreeMap<Box<str>, Entry>,
    old: BTreeMap<Box<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    signature: Box<str>,
    verified: Rc<Verified>,
}

impl Cache {
    /// What is known of the token with this signing input and signature.
    pub(crate) fn get(&mut self, signed: &str, signature: &str) -> Option<Rc<Verified>> {
        if let Some(entry) = self.young.get(signed) {
            return entry.matching(signature);
        }
        let verified = self.old.get(signed)?.matching(signature)?;
        // Still in use, so it outlives its generation.
        if let Some((signed, entry)) = self.old.remove_entry(signed) {
            self.put(signed, entry);
        }
        Some(verified)
    }

    /// Keeps what was found out about a token.
    pub(crate) fn insert(&mut self, signed: &str, signature: &str, verified: &Rc<Verified>) {
        if signed.len() + 1 + signature.len() <= LONGEST {
            let entry = Entry {
                signature: signature.into(),
                verified: Rc::clone(verified),
            };
            self.put(signed.into(), entry);
        }
    }

    fn put(&mut self, signed: Box<str>, entry: Entry) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(signed, entry);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

impl Entry {
    fn matching(&self, signature: &str) -> Option<Rc<Verified>> {
        let same = self.signature.as_bytes().ct_eq(signature.as_bytes());
        bool::from(same).then(|| Rc::clone(&self.verified))
    }
}
