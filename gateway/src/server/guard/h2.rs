//! Reads HTTP/2 frames along (RFC 9113, 4.1): counts those that cost the server and carry nothing (10.5) and the heads that
//! came, knows whether a frame or a header block is incomplete, and notes what h2 leaves out of a request in silence.

mod block;
mod huffman;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use self::block::{Blocks, Kind};
use super::clocks::{Clocks, now};
use crate::message::flaws::{Flaw, Flaws};

/// What precedes the first frame (RFC 9113, 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Milliseconds after which an empty allowance is full again.
const REFILL: u64 = 10_000;

/// PING, SETTINGS, PRIORITY, GOAWAY and unknown frames at once. Each frame with data or a head allows two more: a
/// client that measures the path pings with its data, and one that ranks streams ranks each. Envoy cuts off at 100
/// PRIORITY per stream and 1000 answers to control frames that nobody reads.
const CONTROL: u32 = 1_000;

/// WINDOW_UPDATE frames at once. Every 8 bytes sent allow one more: the eager client answers each DATA frame,
/// never shorter than 10 bytes, with one for the stream and one for the connection.
const UPDATES: u32 = 10_000;
const BYTES_PER_UPDATE: usize = 8;

/// RST_STREAM frames, in halves, since each request pays for half of one: the client of hedged requests cancels
/// every second. Envoy too ends a connection on which more than half of many streams were reset early.
const HALF_RESETS: u32 = 400;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PUSH_PROMISE: u8 = 5;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Why the connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Frames of this type.
    #[error("HTTP/2: too many frames of type {0}")]
    Flood(u8),
    /// h2 would go on, and read something else than the guard.
    #[error("HTTP/2: {0}")]
    Malformed(&'static str),
}

/// Reads one connection along.
#[derive(Debug)]
pub(crate) struct Scanner {
    preface: usize,
    header: [u8; 9],
    header_len: usize,
    payload: usize,
    /// The longest that a header block may be, in bytes: it holds more than a head may have.
    longest: usize,
    /// The length of the header block under way, where it opens a stream.
    opens: Option<usize>,
    /// Inside a header block that has not ended.
    block: bool,
    /// The stream of the last head or trailers.
    stream: u32,
    /// The highest stream with a head.
    last_stream: u32,
    blocks: Blocks,
    flaws: Arc<Flaws>,
    control: Allowance,
    updates: Allowance,
    resets: Allowance,
    /// Bytes sent that have not allowed a WINDOW_UPDATE yet.
    unpaid: usize,
}

impl Scanner {
    /// Of a connection whose heads may have so many bytes. What is wrong with its streams goes to `flaws`.
    pub(crate) fn new(longest: usize, flaws: Arc<Flaws>) -> Self {
        Self {
            preface: PREFACE.len(),
            header: [0; 9],
            header_len: 0,
            payload: 0,
            longest,
            opens: None,
            block: false,
            stream: 0,
            last_stream: 0,
            blocks: Blocks::new(longest),
            flaws,
            control: Allowance::new(CONTROL),
            updates: Allowance::new(UPDATES),
            resets: Allowance::new(HALF_RESETS),
            unpaid: 0,
        }
    }

    /// Looks at what was read.
    ///
    /// # Errors
    /// When there are too many frames of one kind, or one that breaks the connection.
    pub(crate) fn scan(&mut self, mut data: &[u8], clocks: &Clocks) -> Result<(), Fault> {
        let skipped = self.preface.min(data.len());
        self.preface -= skipped;
        data = &data[skipped..];
        // Whether what is incomplete at the end began in this piece.
        let mut began = skipped > 0 && self.preface == 0;
        while !data.is_empty() {
            if self.payload > 0 {
                let (part, rest) = data.split_at(self.payload.min(data.len()));
                self.payload -= part.len();
                data = rest;
                began |= self.part(part, clocks)?;
                continue;
            }
            if self.header_len == 9 {
                self.header_len = 0;
            }
            let n = (9 - self.header_len).min(data.len());
            self.header[self.header_len..self.header_len + n].copy_from_slice(&data[..n]);
            self.header_len += n;
            data = &data[n..];
            if self.header_len == 9 {
                self.frame(clocks)?;
                if self.payload == 0 {
                    began |= self.part(&[], clocks)?;
                }
            }
        }
        self.note(clocks, began);
        Ok(())
    }

    /// So many bytes were sent to the client.
    pub(crate) fn written(&mut self, bytes: usize) {
        self.unpaid += bytes;
        let paid = self.unpaid / BYTES_PER_UPDATE;
        self.unpaid %= BYTES_PER_UPDATE;
        self.updates.earn(u32::try_from(paid).unwrap_or(u32::MAX));
    }

    /// GOAWAY with ENHANCE_YOUR_CALM or PROTOCOL_ERROR (RFC 9113, 6.8).
    pub(crate) fn goaway(&self, fault: Fault) -> [u8; 17] {
        let [a, b, c, d] = self.last_stream.to_be_bytes();
        let code = match fault {
            Fault::Flood(_) => 11,
            Fault::Malformed(_) => 1,
        };
        [0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, code]
    }

    /// Sets or clears the clock of what is incomplete. A body may take its time: it has a clock of its own.
    fn note(&self, clocks: &Clocks, began: bool) {
        let partial =
            (1..9).contains(&self.header_len) || (self.payload > 0 && self.header[3] != DATA);
        let incomplete = self.preface > 0 || self.block || partial;
        let since = clocks.head_since.load(Relaxed);
        if incomplete && (since == 0 || began) {
            clocks.head_since.store(now(), Relaxed);
        } else if !incomplete && since != 0 {
            clocks.head_since.store(0, Relaxed);
        }
    }

    /// The head of a frame came.
    fn frame(&mut self, clocks: &Clocks) -> Result<(), Fault> {
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        // The highest bit is reserved (RFC 9113, 4.1).
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        let goes_on = self.block && kind == CONTINUATION && stream == self.stream;
        if (self.block || kind == CONTINUATION) && !goes_on {
            return Err(Fault::Malformed("a header block is broken off"));
        }
        let allowed = match kind {
            HEADERS | CONTINUATION => {
                self.block = flags & END_HEADERS == 0;
                if kind == HEADERS {
                    self.opens(stream)?;
                }
                if let Some(length) = &mut self.opens {
                    *length += self.payload;
                    if *length > self.longest {
                        clocks.long_head.store(self.last_stream, Relaxed);
                    }
                }
                true
            }
            DATA => {
                self.control.earn(2);
                true
            }
            RST_STREAM => self.resets.spend(2),
            WINDOW_UPDATE => self.updates.spend(1),
            // Of which h2 would read the fields (RFC 9113, 8.4).
            PUSH_PROMISE => return Err(Fault::Malformed("a client sends PUSH_PROMISE")),
            _ => self.control.spend(1),
        };
        if allowed {
            Ok(())
        } else {
            Err(Fault::Flood(kind))
        }
    }

    /// HEADERS of a stream came: a head, or trailers.
    fn opens(&mut self, stream: u32) -> Result<(), Fault> {
        if stream.is_multiple_of(2) {
            // RFC 9113, 5.1.1. h2 says so only where the rest is sound.
            return Err(Fault::Malformed(
                "a client opens a stream of an even number",
            ));
        }
        self.stream = stream;
        self.opens = (stream > self.last_stream).then_some(0);
        self.last_stream = self.last_stream.max(stream);
        self.control.earn(2);
        self.resets.earn(1);
        Ok(())
    }

    /// A part of a payload. Whether the frame ended with it, and no header block goes on behind it.
    fn part(&mut self, part: &[u8], clocks: &Clocks) -> Result<bool, Fault> {
        let [_, _, _, kind, flags, ..] = self.header;
        let is_over = self.payload == 0;
        if matches!(kind, HEADERS | CONTINUATION) {
            match is_over {
                false => self.blocks.part(part),
                true => {
                    let flags = (kind == HEADERS).then_some(flags);
                    self.blocks.frame(part, self.stream, flags);
                }
            }
            if self.blocks.are_unsound() {
                return Err(Fault::Malformed("a header block that cannot be read"));
            }
            if is_over && !self.block {
                self.block_ends(clocks)?;
            }
        }
        Ok(is_over && !self.block)
    }

    fn block_ends(&mut self, clocks: &Clocks) -> Result<(), Fault> {
        let opens = self.opens.take().is_some();
        if opens {
            let heads = clocks.heads.load(Relaxed);
            clocks.heads.store(heads + 1, Relaxed);
        }
        let flaw = match self.blocks.end() {
            Kind::Fragment if opens => Flaw::Fragment,
            kind if !opens && kind > Kind::Plain => Flaw::PseudoTrailer,
            _ => return Ok(()),
        };
        match self.flaws.note(self.stream, flaw) {
            true => Ok(()),
            false => Err(Fault::Flood(HEADERS)),
        }
    }
}

/// How many frames of a kind may still come. It reads the clock only when it is empty.
#[derive(Debug)]
struct Allowance {
    left: u32,
    most: u32,
    /// When it was full for sure.
    filled: u64,
}

impl Allowance {
    fn new(most: u32) -> Self {
        Self {
            left: most,
            most,
            filled: now(),
        }
    }

    fn earn(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(self.most);
    }

    fn spend(&mut self, cost: u32) -> bool {
        if self.left < cost {
            let now = now();
            if now - self.filled < REFILL {
                return false;
            }
            (self.left, self.filled) = (self.most, now);
        }
        self.left -= cost;
        true
    }
}

#[cfg(test)]
mod tests;
