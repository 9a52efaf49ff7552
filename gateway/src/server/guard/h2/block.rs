//! Header blocks (RFC 7541), read along for what h2 leaves out of a request in silence: a fragment in `:path`, and
//! pseudo-header fields in trailers.
//!
//! What h2 reads here and what it makes of it must be the same, or a client hides a field from one of the two. Where h2 goes on
//! though it has lost its place, or leaves a block unread and its table behind that of the client, the block is
//! [`Unsound`](Kind::Unsound) and the connection ends.
//!
//! Of a field it is known only of which kind it is, and of the table of the connection (2.3.2) only the kinds of its entries: the
//! k-th entry is the k-th last that was added, whatever was evicted behind it. So no value is decoded or kept.

use std::ops::RangeInclusive;

use super::huffman;

/// The most entries of a table of 4,096 bytes (RFC 7541, 4.1): h2 grants no larger one.
const ENTRIES: usize = 4096 / 32;
/// Entries of the static table (RFC 7541, appendix A): all, those that are `:path`, and all pseudo-header fields.
const STATIC: usize = 61;
const PATHS: RangeInclusive<usize> = 4..=5;
const PSEUDO: RangeInclusive<usize> = 1..=14;

/// A field, or a header block by the worst of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Plain,
    /// A pseudo-header field.
    Pseudo,
    /// `:path`.
    Path,
    /// `:path` with a fragment.
    Fragment,
    /// By which the connection ends.
    Unsound,
}

/// The header blocks of one connection.
#[derive(Debug)]
pub(super) struct Blocks {
    /// The most of [`Self::rest`], in bytes.
    most: usize,
    /// What came of a frame that is incomplete, behind the beginning of a field that is.
    rest: Vec<u8>,
    /// Of the header block under way.
    worst: Kind,
    table: [Kind; ENTRIES],
    added: usize,
}

impl Blocks {
    /// Of a connection whose heads may have so many bytes.
    pub(super) fn new(longest: usize) -> Self {
        Self {
            // h2 keeps no more of one field that goes on in the next frame.
            most: 3 * longest + (128 << 10),
            rest: Vec::new(),
            worst: Kind::Plain,
            table: [Kind::Plain; ENTRIES],
            added: 0,
        }
    }

    /// A part of a frame came that has not ended.
    pub(super) fn part(&mut self, part: &[u8]) {
        match self.rest.len() + part.len() <= self.most {
            true => self.rest.extend_from_slice(part),
            false => self.worst = Kind::Unsound,
        }
    }

    /// A frame of a stream ended with this; `flags`: of HEADERS, `None` of CONTINUATION.
    pub(super) fn frame(&mut self, end: &[u8], stream: u32, flags: Option<u8>) {
        let mut all = std::mem::take(&mut self.rest);
        let bytes = match all.is_empty() {
            true => end,
            false => {
                all.extend_from_slice(end);
                &all
            }
        };
        let block = match flags {
            Some(flags) => fragment(bytes, stream, flags),
            None => Some(bytes),
        };
        match block {
            Some(block) => {
                let left = self.read(block);
                self.part(left);
            }
            None => self.worst = Kind::Unsound,
        }
    }

    /// Whether the connection must end.
    pub(super) fn are_unsound(&self) -> bool {
        self.worst == Kind::Unsound
    }

    /// The header block ended: the worst of its fields.
    pub(super) fn end(&mut self) -> Kind {
        // A field that is cut off ends the connection.
        self.rest = Vec::new();
        std::mem::replace(&mut self.worst, Kind::Plain)
    }

    /// Reads the fields that are whole, and returns the rest.
    fn read<'a>(&mut self, mut block: &'a [u8]) -> &'a [u8] {
        let mut fields = block;
        while let Some(kind) = self.field(&mut fields) {
            self.worst = self.worst.max(kind);
            block = fields;
        }
        block
    }

    /// The next field (RFC 7541, section 6), if it is whole.
    fn field(&mut self, block: &mut &[u8]) -> Option<Kind> {
        let first = *block.first()?;
        if first & 0x80 != 0 {
            return integer(block, 7).map(|index| self.kind(index));
        }
        if first & 0xe0 == 0x20 {
            // A new size of the table only evicts.
            return integer(block, 5).map(|_| Kind::Plain);
        }
        let is_added = first & 0x40 != 0;
        let name = match integer(block, if is_added { 6 } else { 4 })? {
            0 => named(string(block)?),
            index => self.kind(index).min(Kind::Path),
        };
        let value = string(block)?;
        let kind = match name {
            Kind::Path if value.has_fragment() => Kind::Fragment,
            name => name,
        };
        if is_added {
            self.table[self.added % ENTRIES] = kind;
            self.added = self.added.wrapping_add(1);
        }
        Some(kind)
    }

    /// Of an entry of the two tables. h2 ends the connection over one that there is not.
    fn kind(&self, index: usize) -> Kind {
        match index.checked_sub(STATIC) {
            Some(nth @ 1..=ENTRIES) => self.table[self.added.wrapping_sub(nth) % ENTRIES],
            _ if PATHS.contains(&index) => Kind::Path,
            _ if PSEUDO.contains(&index) => Kind::Pseudo,
            _ => Kind::Plain,
        }
    }
}

/// The part of HEADERS that belongs to the header block (RFC 9113, section 6.2); none where the stream depends on itself: that
/// block h2 leaves unread. Where there is less than the flags say, h2 ends the connection.
fn fragment(payload: &[u8], stream: u32, flags: u8) -> Option<&[u8]> {
    const PADDED: u8 = 0x8;
    const PRIORITY: u8 = 0x20;
    let (mut from, mut to) = (0, payload.len());
    if flags & PADDED != 0 {
        from += 1;
        to -= payload.first().map_or(0, |pad| usize::from(*pad)).min(to);
    }
    if flags & PRIORITY != 0 {
        let dependency = payload.get(from..).and_then(|rest| rest.first_chunk());
        let dependency = dependency.map(|bytes| u32::from_be_bytes(*bytes) & 0x7fff_ffff);
        if dependency == Some(stream) {
            return None;
        }
        from += 5;
    }
    Some(payload.get(from..to).unwrap_or_default())
}

/// RFC 7541, section 5.1. h2 takes no longer ones.
fn integer(block: &mut &[u8], prefix: u32) -> Option<usize> {
    let (first, mut rest) = block.split_first()?;
    let full = (1 << prefix) - 1;
    let mut value = usize::from(*first) & full;
    if value == full {
        for at in 0..4 {
            let (byte, behind) = rest.split_first()?;
            rest = behind;
            value += usize::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *block = rest;
    Some(value)
}

/// A string as it stands in a block (RFC 7541, section 5.2).
struct Text<'a> {
    bytes: &'a [u8],
    is_coded: bool,
}

fn string<'a>(block: &mut &'a [u8]) -> Option<Text<'a>> {
    let is_coded = block.first()? & 0x80 != 0;
    let length = integer(block, 7)?;
    let (bytes, rest) = block.split_at_checked(length)?;
    *block = rest;
    Some(Text { bytes, is_coded })
}

impl Text<'_> {
    fn has_fragment(&self) -> bool {
        match self.is_coded {
            true => huffman::has_hash(self.bytes),
            false => memchr::memchr(b'#', self.bytes).is_some(),
        }
    }
}

/// A field by its name. One without a name h2 takes for one that goes on in the next frame, though it has read on.
fn named(name: Text<'_>) -> Kind {
    if name.bytes.is_empty() {
        return Kind::Unsound;
    }
    let (path, is_pseudo) = match name.is_coded {
        true => (
            huffman::PATH.as_slice(),
            huffman::begins_with_colon(name.bytes),
        ),
        false => (b":path".as_slice(), name.bytes.first() == Some(&b':')),
    };
    match is_pseudo {
        true if name.bytes == path => Kind::Path,
        true => Kind::Pseudo,
        false => Kind::Plain,
    }
}

#[cfg(test)]
mod tests;
