//! Content codings (RFC 9110, section 8.4): what a body is coded with, and its bytes without that.
//!
//! gzip (RFC 1952), deflate (RFC 1950; RFC 1951 without its wrapping too, as browsers take it), br (RFC 7932) and
//! zstd (RFC 8878), one or two. A sender decides what its bytes decode to, so everything about it is bounded: the
//! output, its proportion to the input, and the memory. A coding holds, beside at most one step of output:
//!
//! | coding | at most | of it the window |
//! |---|---|---|
//! | gzip, deflate | 48 KiB | 32 KiB |
//! | br | 5 MiB | 4 MiB, as the body asks for it; a larger one is refused |
//! | zstd | 9 MiB | 8 MiB, as the body asks for it (RFC 9659); no dictionary |

mod decoded;
mod decoder;
mod layer;
#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;
#[cfg(test)]
mod tests;

use std::fmt;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::headers::options;

pub use decoded::Decoded;
pub use decoder::{Decoder, GRACE, Limits};

/// The most codings of one body.
pub const MOST: usize = 2;

/// The memory that all bodies of the process may take to be decoded at once, bytes.
pub const ROOM: usize = 256 << 20;

/// The names of those that are decoded, as Accept-Encoding has them.
pub const KNOWN: &str = "gzip, deflate, br, zstd";

/// The longest name of an unknown coding that a message repeats, in characters.
const LONGEST_NAME: usize = 40;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 1950, or bare RFC 1951.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878, one frame or several.
    Zstd,
}

impl Coding {
    /// Its name in Content-Encoding.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Names are compared without case (RFC 9110, section 8.4.1), and `x-gzip` is `gzip` (section 8.4.1.3).
    fn named(name: &[u8]) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("x-gzip") {
            return Some(Self::Gzip);
        }
        [Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd]
            .into_iter()
            .find(|coding| is(coding.name()))
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a body is coded with, in the order in which it was applied: one coding at least, [`MOST`] at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codings(Vec<Coding>);

impl Codings {
    /// The memory that decoding may take, bytes: as the table above has it.
    fn room(&self) -> usize {
        let room = |coding: &Coding| match coding {
            Coding::Gzip | Coding::Deflate => 48 << 10,
            Coding::Brotli => 5 << 20,
            Coding::Zstd => 9 << 20,
        };
        self.0.iter().map(room).sum()
    }

    /// In the order in which they are undone.
    fn undone(&self) -> impl Iterator<Item = Coding> {
        self.0.iter().rev().copied()
    }
}

impl fmt::Display for Codings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, coding) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{coding}")?;
        }
        Ok(())
    }
}

/// What Content-Encoding names. None: nothing is coded.
///
/// Several fields are one list, empty members of it are none, and `identity` is no coding.
///
/// # Errors
/// A coding that is not known (one with parameters is none: RFC 9110 has no such), or too many.
pub fn codings(headers: &HeaderMap) -> Result<Option<Codings>, UnknownCoding> {
    let mut applied = Vec::new();
    for name in headers.get_all(CONTENT_ENCODING).iter().flat_map(options) {
        if name.eq_ignore_ascii_case(b"identity") {
            continue;
        }
        let coding = Coding::named(name).ok_or_else(|| UnknownCoding::named(name))?;
        if applied.len() == MOST {
            return Err(UnknownCoding::TooMany);
        }
        applied.push(coding);
    }
    Ok((!applied.is_empty()).then_some(Codings(applied)))
}

/// What Content-Encoding names is nothing that the gateway decodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownCoding {
    /// A coding by this name, which is escaped and bounded.
    #[error("content coding `{0}` is not known, only gzip, deflate, br and zstd are")]
    Name(String),
    /// Codings within codings.
    #[error("more than {MOST} content codings are on top of each other")]
    TooMany,
}

impl UnknownCoding {
    fn named(name: &[u8]) -> Self {
        let mut characters = name.escape_ascii().map(char::from);
        let mut text: String = characters.by_ref().take(LONGEST_NAME).collect();
        if characters.next().is_some() {
            text.push('…');
        }
        Self::Name(text)
    }
}

/// Why a coded body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodingFault {
    /// It is not what its coding says, it ends too soon, or bytes follow its end.
    #[error("{0}: {1}")]
    Broken(Coding, &'static str),
    /// It decodes to more bytes than [`Limits::output`].
    #[error("it decodes to more bytes than the limit")]
    TooLarge,
    /// It decodes to more than [`Limits::ratio`] times its own bytes.
    #[error("it decodes to too many times its own size")]
    Ratio,
}
