//! What is malformed in a request over HTTP/2 and does not show in what h2 makes of it.

use parking_lot::Mutex;

/// The most that is kept of one connection. Each stream that is read forgets its own.
const MOST: usize = 1_000;

/// What h2 leaves out in silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The target has a fragment, which no target has (RFC 9113, section 8.3.1, and RFC 9112, section 3.2).
    Fragment,
    /// There are pseudo-header fields behind the body (RFC 9113, section 8.1).
    PseudoTrailer,
}

impl Flaw {
    /// Why the request is refused.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Fragment => "the target has a fragment",
            Self::PseudoTrailer => "a pseudo-header field stands behind the body",
        }
    }
}

/// The flaws of the streams of one connection, by number, until somebody meets them.
#[derive(Debug, Default)]
pub struct Flaws(Mutex<Vec<(u32, Flaw)>>);

impl Flaws {
    /// Notes one; `false`: they are too many to be honest.
    pub fn note(&self, stream: u32, flaw: Flaw) -> bool {
        let mut flaws = self.0.lock();
        let has_room = flaws.len() < MOST;
        if has_room {
            flaws.push((stream, flaw));
        }
        has_room
    }

    /// That of a stream, and forgets it.
    pub fn take(&self, stream: u32) -> Option<Flaw> {
        let mut flaws = self.0.lock();
        if flaws.is_empty() {
            return None;
        }
        let at = flaws.iter().position(|(of, _)| *of == stream)?;
        Some(flaws.swap_remove(at).1)
    }

    /// Forgets those of heads: all that came are requests, or refused by h2.
    pub fn heads_are_read(&self) {
        let mut flaws = self.0.lock();
        flaws.retain(|(_, flaw)| *flaw != Flaw::Fragment);
    }
}
