//! Reads HTTP/1 requests along: where heads begin and end, how large they are, and how their bodies are framed.
//!
//! hyper's word is final on syntax. The scanner needs just enough of it to find the next head, and stops looking
//! at a connection that hyper will end anyway.

mod chunked;
mod head;

use std::sync::atomic::Ordering::Relaxed;

use super::clocks::{Clocks, now, upgrade};
use chunked::{Advance, Chunk};
use head::Head;

/// How much is kept of a line that arrives in pieces: names and a padded length fit. A longer length is refused, in one
/// piece too.
const KEPT: usize = 64;

/// Reads one connection along.
#[derive(Debug)]
pub(crate) struct Scanner {
    max_bytes: usize,
    max_fields: usize,
    state: State,
    /// Heads that ended.
    heads: u64,
    head: Head,
    /// The beginning of a line that has not ended.
    line: [u8; KEPT],
    /// Its length, which may be more than is kept.
    line_len: usize,
}

#[derive(Debug)]
enum State {
    /// Between requests, or inside a head.
    Head,
    /// So many bytes of a body are to come.
    Body(u64),
    /// In a chunked body.
    Chunked(Chunk),
    /// After a head that asked for an upgrade.
    Upgrade,
    /// Nothing more to look at.
    Done,
}

impl Scanner {
    pub(crate) fn new(max_bytes: usize, max_fields: usize) -> Self {
        Self {
            max_bytes,
            max_fields,
            state: State::Head,
            heads: 0,
            head: Head::default(),
            line: [0; KEPT],
            line_len: 0,
        }
    }

    /// Looks at what was read; returns how much of it hyper may see. Less than all of it means that
    /// [`Clocks::refuse`] was set for the head behind it.
    pub(crate) fn scan(&mut self, data: &[u8], clocks: &Clocks) -> usize {
        let mut at = 0;
        let mut head_began = None;
        while at < data.len() {
            let rest = &data[at..];
            match &mut self.state {
                State::Head => {
                    if self.head.bytes == 0 {
                        head_began = Some(at);
                    }
                    match self.line(rest, clocks) {
                        Ok(n) => at += n,
                        Err(status) => {
                            clocks.refuse.store(status, Relaxed);
                            return head_began.unwrap_or(0);
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
                State::Chunked(chunk) => match chunk.advance(rest) {
                    Advance::More(n) => at += n,
                    Advance::End(n) => {
                        at += n;
                        self.next_request(clocks);
                    }
                    Advance::Broken => self.state = State::Done,
                },
                State::Upgrade => match clocks.upgrade.load(Relaxed) {
                    upgrade::NONE => self.state = State::Head,
                    upgrade::TUNNEL => self.state = State::Done,
                    _ => {
                        clocks.upgrade.store(upgrade::AHEAD, Relaxed);
                        return data.len();
                    }
                },
                State::Done => return data.len(),
            }
        }
        if matches!(self.state, State::Head)
            && self.head.bytes > 0
            && clocks.head_since.load(Relaxed) == 0
        {
            clocks.head_since.store(now(), Relaxed);
        }
        data.len()
    }

    /// Takes one line of a head, or the part of it that is there; the status if the head is too large.
    fn line(&mut self, rest: &[u8], clocks: &Clocks) -> Result<usize, u16> {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            self.keep(rest);
            self.count(rest.len())?;
            return Ok(rest.len());
        };
        if self.line_len == 0 {
            self.whole_line(&rest[..end], end, end + 1, clocks)?;
        } else {
            self.keep(&rest[..end]);
            let (line, len) = (self.line, self.line_len);
            self.line_len = 0;
            self.whole_line(&line[..len.min(KEPT)], len, end + 1, clocks)?;
        }
        Ok(end + 1)
    }

    fn keep(&mut self, part: &[u8]) {
        if self.line_len < KEPT {
            let n = part.len().min(KEPT - self.line_len);
            self.line[self.line_len..self.line_len + n].copy_from_slice(&part[..n]);
        }
        self.line_len += part.len();
    }

    /// Adds to the bytes of the head. Too large: 414 in the request line (RFC 9112, 3), else 431 (RFC 6585, 5).
    fn count(&mut self, bytes: usize) -> Result<(), u16> {
        self.head.bytes += bytes;
        if self.head.bytes <= self.max_bytes {
            return Ok(());
        }
        Err(if self.head.lines == 0 { 414 } else { 431 })
    }

    /// A line without its LF, of which only the beginning may be there; its length, and how many bytes are new.
    fn whole_line(
        &mut self,
        line: &[u8],
        len: usize,
        new: usize,
        clocks: &Clocks,
    ) -> Result<(), u16> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() && self.head.lines == 0 {
            // Empty lines before a request are ignored (RFC 9112, 2.2).
            self.head.bytes = 0;
            stop_clock(clocks);
            return Ok(());
        }
        self.count(new)?;
        if line.is_empty() {
            self.end_of_head(clocks);
            return Ok(());
        }
        self.head.lines += 1;
        if self.head.lines > 1 {
            if self.head.lines - 1 > self.max_fields {
                return Err(431);
            }
            if len > KEPT && head::is_length(line) {
                // Read to its end, it would say one thing in one piece and another in two.
                return Err(431);
            }
            self.head.field(line);
        }
        Ok(())
    }

    fn end_of_head(&mut self, clocks: &Clocks) {
        stop_clock(clocks);
        self.heads += 1;
        clocks.whole.store(0, Relaxed);
        let head = std::mem::take(&mut self.head);
        self.head.upgrade = head.upgrade;
        if head.transfer_encoding && (head.length.is_some() || head.broken) {
            clocks.ambiguous.store(self.heads, Relaxed);
            self.state = State::Done;
        } else if head.broken {
            self.state = State::Done;
        } else if head.transfer_encoding {
            self.state = State::Chunked(Chunk::Size(0, false));
        } else if let Some(length) = head.length.filter(|length| *length > 0) {
            self.state = State::Body(length);
        } else {
            self.next_request(clocks);
        }
        if head.upgrade {
            clocks.upgrade.store(upgrade::ASKED, Relaxed);
        }
    }

    fn next_request(&mut self, clocks: &Clocks) {
        clocks.whole.store(self.heads, Relaxed);
        let asked = std::mem::take(&mut self.head).upgrade;
        self.state = if asked { State::Upgrade } else { State::Head };
    }
}

/// No head is incomplete any more.
fn stop_clock(clocks: &Clocks) {
    if clocks.head_since.load(Relaxed) != 0 {
        clocks.head_since.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::{Clocks, KEPT, Scanner, upgrade};

    /// Feeds `input` in pieces of every size; returns what was noted, and how much passed.
    fn scan(input: &str, check: impl Fn(&Clocks, usize)) {
        for size in 1..=input.len() {
            let (clocks, mut scanner) = (Clocks::default(), Scanner::new(200, 5));
            let mut passed = 0;
            for piece in input.as_bytes().chunks(size) {
                passed += scanner.scan(piece, &clocks);
                if clocks.refuse.load(Relaxed) != 0 {
                    break;
                }
            }
            check(&clocks, passed);
        }
    }

    #[test]
    fn both_framings_are_flagged_in_either_order_behind_any_body() {
        for (input, number) in [
            (
                "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                1,
            ),
            (
                "POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\nx: y\r\nCONTENT-LENGTH:3\r\n\r\n",
                1,
            ),
            (
                "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\nContent-Length: 3\nTransfer-Encoding: chunked\n\n",
                2,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                2,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1a;x=y\r\nTransfer-Encoding: chunked\r\n0\r\nT: v\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                2,
            ),
        ] {
            scan(input, |clocks, passed| {
                assert_eq!(clocks.ambiguous.load(Relaxed), number, "{input}");
                assert_eq!(passed, input.len());
            });
        }
    }

    #[test]
    fn one_framing_is_not_flagged_and_bodies_are_not_heads() {
        for input in [
            "POST / HTTP/1.1\r\nContent-Length: 52\r\n\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n    ",
            "POST / HTTP/1.1\r\nContent-Lengthy: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\nX: Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            scan(input, |clocks, _| {
                assert_eq!(clocks.ambiguous.load(Relaxed), 0, "{input}");
                assert_eq!(clocks.refuse.load(Relaxed), 0, "{input}");
            });
        }
    }

    #[test]
    fn the_limits_hold_exactly() {
        let head = |bytes: usize| {
            let start = "GET / HTTP/1.1\r\na: ";
            format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
        };
        scan(&head(200), |clocks, _| {
            assert_eq!(clocks.refuse.load(Relaxed), 0)
        });
        scan(&head(201), |clocks, _| {
            assert_eq!(clocks.refuse.load(Relaxed), 431)
        });
        scan(
            &format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200)),
            |clocks, _| {
                assert_eq!(clocks.refuse.load(Relaxed), 414);
            },
        );
        let fields = |n: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(n));
        scan(&fields(5), |clocks, _| {
            assert_eq!(clocks.refuse.load(Relaxed), 0)
        });
        scan(&fields(6), |clocks, _| {
            assert_eq!(clocks.refuse.load(Relaxed), 431)
        });
    }

    #[test]
    fn a_length_beyond_what_is_kept_is_refused_whatever_the_pieces() {
        let head = |pad: usize| {
            let start = "POST / HTTP/1.1\r\nContent-Length:";
            format!("{start}{}3\r\n\r\nabc", " ".repeat(pad))
        };
        let fits = KEPT - "Content-Length:3\r".len();
        scan(&head(fits), |clocks, _| {
            assert_eq!(clocks.refuse.load(Relaxed), 0);
            assert_eq!(clocks.whole.load(Relaxed), 1);
        });
        scan(&head(fits + 1), |clocks, _| {
            assert_eq!(clocks.refuse.load(Relaxed), 431);
        });
    }

    #[test]
    fn a_refused_head_does_not_hold_back_the_one_before() {
        let first = "GET / HTTP/1.1\r\n\r\n";
        let (clocks, mut scanner) = (Clocks::default(), Scanner::new(100, 5));
        let input = format!("{first}GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100));
        assert_eq!(scanner.scan(input.as_bytes(), &clocks), first.len());
        assert_eq!(clocks.refuse.load(Relaxed), 414);
    }

    #[test]
    fn the_clock_runs_only_while_a_head_is_incomplete() {
        let (clocks, mut scanner) = (Clocks::default(), Scanner::new(100, 5));
        scanner.scan(b"GET / HTTP/1.1\r\n\r\n", &clocks);
        assert_eq!(clocks.head_since.load(Relaxed), 0);
        scanner.scan(b"G", &clocks);
        assert_ne!(clocks.head_since.load(Relaxed), 0);
        scanner.scan(b"ET / HTTP/1.1\r\n\r\n", &clocks);
        assert_eq!(clocks.head_since.load(Relaxed), 0);
        scanner.scan(b"\r", &clocks);
        scanner.scan(b"\n", &clocks);
        assert_eq!(clocks.head_since.load(Relaxed), 0);
    }

    #[test]
    fn a_request_counts_as_whole_until_the_next_one_begins_a_body() {
        let (clocks, mut scanner) = (Clocks::default(), Scanner::new(100, 5));
        for (piece, whole) in [
            ("GET / HTTP/1.1\r\n\r\n", 1),
            ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na", 0),
            ("b", 2),
            (
                "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na",
                0,
            ),
            ("bGET / HTTP/1.1\r\n\r\nGET", 5),
        ] {
            scanner.scan(piece.as_bytes(), &clocks);
            assert_eq!(clocks.whole.load(Relaxed), whole, "{piece}");
        }
    }

    #[test]
    fn a_tunnel_is_not_looked_at() {
        let (clocks, mut scanner) = (Clocks::default(), Scanner::new(100, 5));
        scanner.scan(b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n", &clocks);
        assert_eq!(clocks.upgrade.load(Relaxed), upgrade::ASKED);
        clocks.upgrade.store(upgrade::TUNNEL, Relaxed);
        assert_eq!(scanner.scan(&[b'x'; 300], &clocks), 300);
        assert_eq!(clocks.refuse.load(Relaxed), 0);
    }
}
