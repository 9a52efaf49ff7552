//! What is read of strings in the Huffman code (RFC 7541, appendix B) without decoding them.

/// `:path`.
pub(super) const PATH: [u8; 4] = [0xb9, 0x58, 0xd3, 0x3f];
/// The code of `#`, left-aligned in 32 bits, and its length.
const HASH: (u32, u32) = (0xffa << 20, 12);

/// How many codes have each length, from 1 on. The code is canonical: longer codes follow shorter ones.
const COUNTS: [u32; 30] = [
    0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29,
    0, 4,
];

/// Of each length the first code of the next one, left-aligned in 32 bits.
const ENDS: [u64; 30] = {
    let mut ends = [0; 30];
    let (mut length, mut end) = (0, 0);
    while length < COUNTS.len() {
        end += (COUNTS[length] as u64) << (31 - length);
        ends[length] = end;
        length += 1;
    }
    ends
};

/// Whether a name begins with a colon.
pub(super) fn begins_with_colon(coded: &[u8]) -> bool {
    coded.first().is_some_and(|first| first >> 1 == 0x5c)
}

/// Whether `#` is in it.
pub(super) fn has_hash(coded: &[u8]) -> bool {
    // Nine ones in a row: what paths are made of else has few such codes.
    let may = coded
        .windows(2)
        .any(|two| two[0].trailing_ones() + two[1].leading_ones() >= 9);
    may && walk(coded)
}

/// From code to code.
#[cold]
fn walk(coded: &[u8]) -> bool {
    let bits = coded.len() * 8;
    let mut at = 0;
    while at + HASH.1 as usize <= bits {
        let mut bytes = [0xff; 8];
        let behind = &coded[at / 8..];
        let length = behind.len().min(8);
        bytes[..length].copy_from_slice(&behind[..length]);
        let window = (u64::from_be_bytes(bytes) << (at % 8) >> 32) as u32;
        let length = ENDS.iter().position(|end| u64::from(window) < *end);
        let length = length.map_or(COUNTS.len(), |at| at + 1);
        if length == HASH.1 as usize && window & (u32::MAX << 20) == HASH.0 {
            return true;
        }
        at += length;
    }
    false
}
