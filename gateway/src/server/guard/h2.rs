//! Reads HTTP/2 frames along (RFC 9113, 4.1): counts those that cost the server and carry nothing, and knows
//! whether a frame or a header block is incomplete.

use std::sync::atomic::Ordering::Relaxed;

use super::{Clocks, now};

/// What precedes the first frame (RFC 9113, 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Control frames a client may send within [`WINDOW`], beyond two for each frame that carries data or a head.
const CONTROL_FRAMES: u64 = 1_000;

/// Milliseconds over which they are counted.
const WINDOW: u64 = 10_000;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Reads one connection along.
#[derive(Debug)]
pub(crate) struct Scanner {
    preface: usize,
    header: [u8; 9],
    header_len: usize,
    payload: usize,
    /// Inside a header block that has not ended.
    block: bool,
    control: u64,
    carrying: u64,
    window_began: u64,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            preface: PREFACE.len(),
            header: [0; 9],
            header_len: 0,
            payload: 0,
            block: false,
            control: 0,
            carrying: 0,
            window_began: now(),
        }
    }

    /// Looks at what was read; `false` when there are too many control frames.
    pub(crate) fn scan(&mut self, mut data: &[u8], clocks: &Clocks) -> bool {
        let skipped = self.preface.min(data.len());
        self.preface -= skipped;
        data = &data[skipped..];
        while !data.is_empty() {
            if self.payload > 0 {
                let n = self.payload.min(data.len());
                self.payload -= n;
                data = &data[n..];
                continue;
            }
            if self.header_len == 9 {
                self.header_len = 0;
            }
            let n = (9 - self.header_len).min(data.len());
            self.header[self.header_len..self.header_len + n].copy_from_slice(&data[..n]);
            self.header_len += n;
            data = &data[n..];
            if self.header_len == 9 && !self.frame() {
                return false;
            }
        }
        self.note(clocks);
        true
    }

    /// Sets or clears the clock of what is incomplete. A body may take its time: it has a clock of its own.
    fn note(&self, clocks: &Clocks) {
        let partial =
            (1..9).contains(&self.header_len) || (self.payload > 0 && self.header[3] != DATA);
        let incomplete = self.preface > 0 || self.block || partial;
        let since = clocks.head_since.load(Relaxed);
        if incomplete && since == 0 {
            clocks.head_since.store(now(), Relaxed);
        } else if !incomplete && since != 0 {
            clocks.head_since.store(0, Relaxed);
        }
    }

    fn frame(&mut self) -> bool {
        let [a, b, c, kind, flags, ..] = self.header;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        match kind {
            HEADERS | CONTINUATION => {
                self.block = flags & END_HEADERS == 0;
                self.carrying += u64::from(kind == HEADERS);
            }
            DATA => self.carrying += 1,
            PRIORITY | SETTINGS | PING => return self.count(),
            unknown if unknown > CONTINUATION => return self.count(),
            _ => {}
        }
        true
    }

    fn count(&mut self) -> bool {
        self.control += 1;
        if self.control <= CONTROL_FRAMES + 2 * self.carrying {
            return true;
        }
        let now = now();
        if now - self.window_began < WINDOW {
            return false;
        }
        (self.control, self.carrying, self.window_began) = (0, 0, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::{CONTROL_FRAMES, Clocks, PREFACE, Scanner};

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![
            0,
            0,
            u8::try_from(payload.len()).unwrap(),
            kind,
            flags,
            0,
            0,
            0,
            1,
        ];
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn pings_beyond_the_allowance_end_the_connection() {
        let (clocks, mut scanner) = (Clocks::default(), Scanner::new());
        assert!(scanner.scan(PREFACE, &clocks));
        for _ in 0..CONTROL_FRAMES {
            assert!(scanner.scan(&frame(6, 0, &[0; 8]), &clocks));
        }
        assert!(!scanner.scan(&frame(6, 0, &[0; 8]), &clocks));
    }

    #[test]
    fn frames_that_carry_something_allow_more() {
        let (clocks, mut scanner) = (Clocks::default(), Scanner::new());
        scanner.scan(PREFACE, &clocks);
        for _ in 0..CONTROL_FRAMES {
            assert!(scanner.scan(&frame(0, 0, b"data"), &clocks));
            assert!(scanner.scan(&frame(6, 0, &[0; 8]), &clocks));
            assert!(scanner.scan(&frame(6, 0, &[0; 8]), &clocks));
        }
    }

    #[test]
    fn an_open_header_block_keeps_the_clock_running_whatever_the_pieces() {
        let mut input = PREFACE.to_vec();
        input.extend(frame(1, 0, b"head"));
        let whole = input.len();
        input.extend(frame(9, 4, b"tail"));
        for size in 1..=input.len() {
            let (clocks, mut scanner) = (Clocks::default(), Scanner::new());
            for piece in input[..whole].chunks(size) {
                assert!(scanner.scan(piece, &clocks));
            }
            assert_ne!(clocks.head_since.load(Relaxed), 0);
            assert!(scanner.scan(&input[whole..], &clocks));
            assert_eq!(clocks.head_since.load(Relaxed), 0);
        }
    }
}
