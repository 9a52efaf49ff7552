//! Hashes that every gateway of a fleet makes alike, and every version of it: clients would move if they changed.

use siphasher::sip::SipHasher24;

/// Any key would do, and it stays this one.
const KEY: [u8; 16] = *b"gateway/upstream";

/// The hash of a text.
pub(in crate::upstream) fn of(text: &[u8]) -> u64 {
    SipHasher24::new_with_key(&KEY).hash(text)
}

/// What comes of two hashes together, as evenly spread as one (the end of MurmurHash3, with the constants of
/// Stafford's variant 13).
pub(in crate::upstream) fn both(one: u64, other: u64) -> u64 {
    let mut mixed = one ^ other;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
