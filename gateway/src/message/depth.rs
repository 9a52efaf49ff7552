//! The mark by which gateways tell each other how deep a request stands in them, so that one that comes back ends.
//!
//! A mark is the depth and its proof by the key of the fleet: what a client writes there counts for nothing.

use std::fmt;
use std::str;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use ring::hmac;
use ring::rand::{self, SystemRandom};

/// The field of the mark.
pub static DEPTH: HeaderName = HeaderName::from_static("x-gateway-depth");

/// How often a request may pass from gateway to gateway, forwarded or as a sub-request of a plugin.
pub const MAX_DEPTH: u8 = 8;

/// The key of a fleet in bytes, at the least.
pub const KEY_BYTES: usize = 16;

/// The request would stand deeper than [`MAX_DEPTH`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooDeep;

/// The marks under one key.
pub struct Marks {
    key: hmac::Key,
    /// By depth, from 1.
    made: [Box<str>; MAX_DEPTH as usize],
}

/// A key that no other process has.
pub fn random_key() -> String {
    let random = rand::generate::<[u8; 32]>(&SystemRandom::new());
    hex(&random.expect("the kernel gives random bytes").expose())
}

impl Marks {
    /// Those under this key.
    pub fn new(key: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let mut depth = 0;
        let made = [(); MAX_DEPTH as usize].map(|()| {
            depth += 1;
            let proof = hmac::sign(&key, &proven(depth));
            format!("{depth}.{}", hex(proof.as_ref())).into_boxed_str()
        });
        Self { key, made }
    }

    /// The mark of what is sent for a request of this depth. It belongs to the caller: workers share no count.
    ///
    /// # Errors
    /// If it would be too deep.
    pub fn after(&self, depth: u8) -> Result<HeaderValue, TooDeep> {
        let made = self.made.get(usize::from(depth)).ok_or(TooDeep)?;
        Ok(HeaderValue::from_str(made).expect("digits and a dot are visible ASCII"))
    }

    /// The depth of a request with these fields; 0 where none is a mark under this key. Fields of others count for
    /// nothing, so they hide no mark either.
    pub fn depth(&self, fields: &HeaderMap) -> u8 {
        let marks = fields.get_all(&DEPTH).iter();
        let depths = marks.filter_map(|mark| self.proven_depth(mark.as_bytes()));
        depths.max().unwrap_or(0)
    }

    fn proven_depth(&self, mark: &[u8]) -> Option<u8> {
        let (digit, proof) = mark.split_first()?;
        let depth = digit
            .checked_sub(b'0')
            .filter(|depth| (1..=MAX_DEPTH).contains(depth))?;
        let proof = unhex(proof.strip_prefix(b".")?)?;
        // Compares in constant time.
        hmac::verify(&self.key, &proven(depth), &proof).ok()?;
        Some(depth)
    }
}

/// What the proof is of.
fn proven(depth: u8) -> [u8; 16] {
    let mut text = *b"x-gateway-depth\0";
    text[15] = depth;
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a digest in hexadecimal digits.
fn unhex(digits: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marks").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(marks: &Marks, values: &[&[u8]]) -> u8 {
        let values = values.iter().map(|value| HeaderValue::from_bytes(value));
        let fields = values.map(|value| (DEPTH.clone(), value.unwrap()));
        let mut headers = HeaderMap::new();
        headers.extend(fields);
        marks.depth(&headers)
    }

    #[test]
    fn a_mark_counts_under_its_own_key_alone() {
        let (one, other) = (Marks::new(b"a key"), Marks::new(b"another key"));
        for above in 0..MAX_DEPTH {
            let mark = one.after(above).unwrap();
            assert_eq!(depth(&one, &[mark.as_bytes()]), above + 1);
            assert_eq!(depth(&one, &[b"8", mark.as_bytes(), b"x"]), above + 1);
            assert_eq!(depth(&other, &[mark.as_bytes()]), 0);
            assert_ne!(other.after(above).unwrap(), mark);
        }
        for above in [MAX_DEPTH, u8::MAX] {
            assert_eq!(one.after(above), Err(TooDeep));
        }
        assert_eq!(depth(&one, &[]), 0);
        assert_ne!(random_key(), random_key());
    }

    #[test]
    fn what_is_changed_in_a_mark_makes_it_worth_nothing() {
        let marks = Marks::new(b"a key");
        let mark = marks.after(0).unwrap();
        let bytes = mark.as_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] = if changed[at] == b'2' { b'3' } else { b'2' };
            assert_eq!(depth(&marks, &[&changed]), 0, "{at}");
            assert_eq!(depth(&marks, &[&bytes[..at]]), 0, "{at}");
        }
    }
}
