//! Reads HTTP/1 requests along: where heads begin and end, how large they are, and how their bodies are framed.
//!
//! hyper's word is final on syntax: what it refuses ends the connection. On framing both must agree, or hyper would
//! take for a head what the scanner takes for a body, and no limit would hold for it. So the scanner reads framing as
//! hyper does, byte for byte (`properties.rs` compares the two). Where it cannot tell the end of a request it is lost:
//! nothing more is read of the connection, which ends with the request in hand.
//!
//! TCP cuts the stream where the client likes. A line that comes in pieces is put together and read as if it had come
//! whole, so no verdict depends on the pieces.

mod chunked;
mod head;

use std::sync::atomic::Ordering::Relaxed;

use super::clocks::{Clocks, now};
use chunked::{Advance, Chunked};
use head::{Head, Limits};

/// Reads one connection along.
#[derive(Debug)]
pub(crate) struct Scanner {
    limits: Limits,
    state: State,
    /// Heads that ended.
    heads: u64,
    head: Head,
    /// The beginning of a line that has not ended. It allocates only for a head that comes in pieces.
    line: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// Between requests, or inside a head.
    Head,
    /// So many bytes of a body are to come.
    Body(u64),
    /// In a chunked body.
    Chunked(Chunked),
    /// Behind a request that asked for an upgrade: its answer says what follows.
    Upgrade,
    /// No end of the request is known.
    Lost,
}

impl Scanner {
    pub(crate) fn new(max_bytes: usize, max_fields: usize) -> Self {
        Self {
            limits: Limits {
                bytes: max_bytes,
                fields: max_fields,
            },
            state: State::Head,
            heads: 0,
            head: Head::default(),
            line: Vec::new(),
        }
    }

    /// Looks at what was read; returns how much of it hyper may see. Less than all of it means one of three things:
    /// [`Clocks::refuse`] was set for the head behind; the scanner is lost; or the request before asked for an
    /// upgrade, and the rest is to be shown again once that is answered.
    pub(crate) fn scan(&mut self, data: &[u8], clocks: &Clocks) -> usize {
        let mut at = 0;
        let mut head_began = 0;
        while at < data.len() {
            let rest = &data[at..];
            match &mut self.state {
                State::Head => {
                    if self.head.bytes == 0 {
                        head_began = at;
                    }
                    match self.line(rest, clocks) {
                        Ok(n) => at += n,
                        Err(status) => {
                            clocks.refuse.store(status, Relaxed);
                            return head_began;
                        }
                    }
                }
                State::Body(left) => {
                    let n = left.min(&mut (rest.len() as u64)).to_owned();
                    *left -= n;
                    at += usize::try_from(n).unwrap_or(rest.len());
                    if *left == 0 {
                        self.next_request(clocks);
                    }
                }
                State::Chunked(body) => match body.advance(rest, self.limits) {
                    Advance::More => at = data.len(),
                    Advance::End(n) => {
                        at += n;
                        self.next_request(clocks);
                    }
                    Advance::Broken(n) => {
                        self.state = State::Lost;
                        return at + n;
                    }
                },
                State::Upgrade if clocks.upgrade.load(Relaxed) == 0 => self.state = State::Head,
                State::Upgrade | State::Lost => return at,
            }
        }
        if matches!(self.state, State::Head)
            && self.has_begun()
            && clocks.head_since.load(Relaxed) == 0
        {
            clocks.head_since.store(now(), Relaxed);
        }
        data.len()
    }

    /// Whether it cannot tell where the request in hand ends.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    /// Whether the last request came whole and asked for an upgrade that was not refused.
    pub(crate) fn awaits_tunnel(&self) -> bool {
        matches!(self.state, State::Upgrade)
    }

    /// Whether something of a head is there. Empty lines before it are nothing yet.
    fn has_begun(&self) -> bool {
        self.head.lines > 0 || self.line.first().is_some_and(|first| *first != b'\r')
    }

    /// Takes one line of a head, or the part of it that is there; the status if the head may not go on.
    fn line(&mut self, rest: &[u8], clocks: &Clocks) -> Result<usize, u16> {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            let first = self.line.first().or(rest.first()).copied();
            self.count(rest.len(), first)?;
            self.line.extend_from_slice(rest);
            return Ok(rest.len());
        };
        if self.line.is_empty() {
            self.whole_line(&rest[..end], end + 1, clocks)?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&rest[..end]);
            self.whole_line(&line, end + 1, clocks)?;
        }
        Ok(end + 1)
    }

    /// Adds to the bytes of the head, in a line that begins so. Too large: 414 in the request line (RFC 9112, 3), 431
    /// behind it (RFC 6585, 5), 400 before it.
    fn count(&mut self, bytes: usize, first: Option<u8>) -> Result<(), u16> {
        self.head.bytes += bytes;
        if self.head.bytes <= self.limits.bytes {
            return Ok(());
        }
        Err(match first {
            _ if self.head.lines > 0 => 431,
            None | Some(b'\r') => 400,
            Some(_) => 414,
        })
    }

    /// A line without its LF, and how many bytes of it are new.
    fn whole_line(&mut self, line: &[u8], new: usize, clocks: &Clocks) -> Result<(), u16> {
        self.count(new, line.first().copied())?;
        // RFC 9112, 2.2 lets a reader take a bare LF for an end: where one does and another does not, they disagree.
        let line = line.strip_suffix(b"\r").ok_or(400_u16)?;
        if line.is_empty() {
            // Empty lines before a request are ignored (RFC 9112, 2.2), but count as bytes of its head.
            if self.head.lines > 0 {
                self.end_of_head(clocks);
            }
            return Ok(());
        }
        self.head.lines += 1;
        if self.head.lines > 1 {
            if self.head.lines - 1 > self.limits.fields {
                return Err(431);
            }
            self.head.field(line);
        } else if line.starts_with(b"\r") {
            // hyper may have let go of an empty line whose CR this is.
            return Err(400);
        } else if has_fragment(line) {
            return Err(400);
        }
        Ok(())
    }

    fn end_of_head(&mut self, clocks: &Clocks) {
        stop_clock(clocks);
        self.heads += 1;
        clocks.heads.store(self.heads, Relaxed);
        let head = std::mem::take(&mut self.head);
        let framed_twice = head.transfer_encoding && (head.length.is_some() || head.broken);
        if framed_twice {
            clocks.ambiguous.store(self.heads, Relaxed);
        }
        if framed_twice || head.broken {
            clocks.body_to_come.store(true, Relaxed);
            self.state = State::Lost;
            return;
        }
        if head.upgrade {
            clocks.asked_upgrade.store(true, Relaxed);
            clocks.upgrade.store(self.heads, Relaxed);
        }
        if head.transfer_encoding {
            clocks.body_to_come.store(true, Relaxed);
            self.state = State::Chunked(Chunked::new());
        } else if let Some(length) = head.length.filter(|length| *length > 0) {
            clocks.body_to_come.store(true, Relaxed);
            self.state = State::Body(length);
        } else {
            self.next_request(clocks);
        }
    }

    fn next_request(&mut self, clocks: &Clocks) {
        clocks.body_to_come.store(false, Relaxed);
        let asked = clocks.upgrade.load(Relaxed) == self.heads;
        self.state = if asked { State::Upgrade } else { State::Head };
    }
}

/// Whether a request line has a fragment in its target, which no target has (RFC 9112, section 3.2): hyper would cut it
/// off, and other servers keep it. A method may have the character.
fn has_fragment(line: &[u8]) -> bool {
    memchr::memchr(b'#', line).is_some() && {
        let method = line.iter().take_while(|byte| **byte != b' ').count();
        line[method..].contains(&b'#')
    }
}

/// No head is incomplete any more.
fn stop_clock(clocks: &Clocks) {
    if clocks.head_since.load(Relaxed) != 0 {
        clocks.head_since.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests;
