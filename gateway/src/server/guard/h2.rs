//! Reads HTTP/2 frames along (RFC 9113, 4.1): counts those that cost the server and carry nothing (10.5) and the heads that
//! came, and knows whether a frame or a header block is incomplete.

use std::sync::atomic::Ordering::Relaxed;

use super::clocks::{Clocks, now};

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
#[error("HTTP/2: too many frames of type {0}")]
pub(crate) struct Flood(u8);

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
    /// The highest stream with a head.
    last_stream: u32,
    control: Allowance,
    updates: Allowance,
    resets: Allowance,
    /// Bytes sent that have not allowed a WINDOW_UPDATE yet.
    unpaid: usize,
}

impl Scanner {
    /// Of a connection whose heads may have so many bytes.
    pub(crate) fn new(longest: usize) -> Self {
        Self {
            preface: PREFACE.len(),
            header: [0; 9],
            header_len: 0,
            payload: 0,
            longest,
            opens: None,
            block: false,
            last_stream: 0,
            control: Allowance::new(CONTROL),
            updates: Allowance::new(UPDATES),
            resets: Allowance::new(HALF_RESETS),
            unpaid: 0,
        }
    }

    /// Looks at what was read.
    ///
    /// # Errors
    /// When there are too many frames of one kind.
    pub(crate) fn scan(&mut self, mut data: &[u8], clocks: &Clocks) -> Result<(), Flood> {
        let skipped = self.preface.min(data.len());
        self.preface -= skipped;
        data = &data[skipped..];
        // Whether what is incomplete at the end began in this piece.
        let mut began = skipped > 0 && self.preface == 0;
        while !data.is_empty() {
            if self.payload > 0 {
                let n = self.payload.min(data.len());
                self.payload -= n;
                data = &data[n..];
                began |= self.ends(clocks);
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
                began |= self.ends(clocks);
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

    /// GOAWAY with ENHANCE_YOUR_CALM (RFC 9113, 6.8).
    pub(crate) fn goaway(&self) -> [u8; 17] {
        let [a, b, c, d] = self.last_stream.to_be_bytes();
        [0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 11]
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

    fn frame(&mut self, clocks: &Clocks) -> Result<(), Flood> {
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let allowed = match kind {
            HEADERS | CONTINUATION => {
                self.block = flags & END_HEADERS == 0;
                if kind == HEADERS {
                    // The highest bit is reserved (RFC 9113, 4.1).
                    let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
                    self.opens = (stream > self.last_stream).then_some(0);
                    self.last_stream = self.last_stream.max(stream);
                    self.control.earn(2);
                    self.resets.earn(1);
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
            // A client may not send it: h2 ends the connection.
            PUSH_PROMISE => true,
            _ => self.control.spend(1),
        };
        if allowed { Ok(()) } else { Err(Flood(kind)) }
    }

    /// Whether a frame ended, and no header block goes on behind it.
    fn ends(&mut self, clocks: &Clocks) -> bool {
        let ends = self.payload == 0 && !self.block;
        if ends && self.opens.take().is_some() {
            let heads = clocks.heads.load(Relaxed);
            clocks.heads.store(heads + 1, Relaxed);
        }
        ends
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
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::{CONTROL, Clocks, Flood, HALF_RESETS, PREFACE, Scanner, UPDATES};

    const LONGEST: usize = 200;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
        frame.extend_from_slice(payload);
        frame
    }

    fn ping() -> Vec<u8> {
        frame(6, 0, 0, &[0; 8])
    }

    fn open() -> (Clocks, Scanner) {
        let (clocks, mut scanner) = (Clocks::default(), Scanner::new(LONGEST));
        scanner.scan(PREFACE, &clocks).unwrap();
        (clocks, scanner)
    }

    #[test]
    fn the_frame_beyond_the_allowance_of_its_kind_is_a_flood() {
        for (bytes, allowed) in [
            (ping(), CONTROL),
            (frame(8, 0, 0, &[0, 0, 0, 1]), UPDATES),
            (frame(3, 0, 1, &[0; 4]), HALF_RESETS / 2),
        ] {
            let (clocks, mut scanner) = open();
            for _ in 0..allowed {
                scanner.scan(&bytes, &clocks).unwrap();
            }
            assert_eq!(scanner.scan(&bytes, &clocks), Err(Flood(bytes[3])));
        }
    }

    #[test]
    fn settings_priority_goaway_and_unknown_frames_count_as_control_frames() {
        for kind in [2, 4, 7, 99] {
            let (clocks, mut scanner) = open();
            for _ in 0..CONTROL - 1 {
                scanner.scan(&ping(), &clocks).unwrap();
            }
            scanner.scan(&frame(kind, 0, 0, &[]), &clocks).unwrap();
            assert_eq!(
                scanner.scan(&frame(kind, 0, 0, &[]), &clocks),
                Err(Flood(kind))
            );
        }
    }

    #[test]
    fn frames_that_carry_something_allow_more_but_save_up_no_more_than_the_allowance() {
        let (clocks, mut scanner) = open();
        for _ in 0..2 * CONTROL {
            scanner.scan(&frame(0, 0, 1, b"data"), &clocks).unwrap();
            scanner.scan(&ping(), &clocks).unwrap();
            scanner.scan(&ping(), &clocks).unwrap();
        }
        for _ in 0..2 * CONTROL {
            scanner.scan(&frame(0, 0, 1, b"data"), &clocks).unwrap();
        }
        for _ in 0..CONTROL {
            scanner.scan(&ping(), &clocks).unwrap();
        }
        assert_eq!(scanner.scan(&ping(), &clocks), Err(Flood(6)));
    }

    #[test]
    fn half_of_all_requests_may_be_reset_for_ever() {
        let (clocks, mut scanner) = open();
        for _ in 0..10 * HALF_RESETS {
            for _ in 0..2 {
                scanner.scan(&frame(1, 5, 1, b"head"), &clocks).unwrap();
            }
            scanner.scan(&frame(3, 0, 1, &[0; 4]), &clocks).unwrap();
        }
        let every = (0..HALF_RESETS + 1).try_for_each(|_| {
            scanner.scan(&frame(1, 5, 1, b"head"), &clocks)?;
            scanner.scan(&frame(3, 0, 1, &[0; 4]), &clocks)
        });
        assert_eq!(every, Err(Flood(3)));
    }

    #[test]
    fn what_was_sent_allows_its_window_updates() {
        let (clocks, mut scanner) = open();
        let both = [frame(8, 0, 0, &[0, 0, 0, 1]), frame(8, 0, 1, &[0, 0, 0, 1])].concat();
        for _ in 0..4 * UPDATES {
            // A DATA frame of seven bytes.
            scanner.written(16);
            scanner.scan(&both, &clocks).unwrap();
        }
    }

    #[test]
    fn heads_that_open_streams_are_counted_whatever_the_pieces() {
        let long = vec![b'x'; LONGEST / 2 + 1];
        let input = [
            PREFACE.to_vec(),
            frame(1, 4, 1, b"head"),
            // Trailers.
            frame(1, 5, 1, b"tail"),
            frame(1, 1, 3, b""),
            frame(9, 4, 3, b"head"),
            frame(1, 5, 5, b""),
        ]
        .concat();
        let longer = [frame(1, 1, 7, &long), frame(9, 0, 7, &long)].concat();
        for size in 1..=input.len() {
            let (clocks, mut scanner) = (Clocks::default(), Scanner::new(LONGEST));
            for piece in input.chunks(size) {
                scanner.scan(piece, &clocks).unwrap();
            }
            assert_eq!(clocks.heads.load(Relaxed), 3);
            assert_eq!(clocks.long_head.load(Relaxed), 0);
            for piece in longer.chunks(size) {
                scanner.scan(piece, &clocks).unwrap();
            }
            assert_eq!(clocks.heads.load(Relaxed), 3, "it has not ended");
            assert_eq!(clocks.long_head.load(Relaxed), 7);
        }
    }

    #[test]
    fn goaway_names_the_last_stream_with_a_head() {
        let (clocks, mut scanner) = open();
        scanner.scan(&frame(1, 5, 7, b"head"), &clocks).unwrap();
        let goaway = *b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x07";
        assert_eq!(scanner.goaway()[..13], goaway);
        let mut reserved = frame(1, 5, 3, b"head");
        reserved[5] = 0x80;
        scanner.scan(&reserved, &clocks).unwrap();
        assert_eq!(scanner.goaway()[..13], goaway);
    }

    #[test]
    fn an_open_header_block_keeps_the_clock_running_whatever_the_pieces() {
        let mut input = PREFACE.to_vec();
        input.extend(frame(1, 0, 1, b"head"));
        let whole = input.len();
        input.extend(frame(9, 4, 1, b"tail"));
        for size in 1..=input.len() {
            let (clocks, mut scanner) = (Clocks::default(), Scanner::new(LONGEST));
            for piece in input[..whole].chunks(size) {
                scanner.scan(piece, &clocks).unwrap();
            }
            assert_ne!(clocks.head_since.load(Relaxed), 0);
            scanner.scan(&input[whole..], &clocks).unwrap();
            assert_eq!(clocks.head_since.load(Relaxed), 0);
        }
    }

    #[test]
    fn a_frame_that_begins_in_the_piece_that_ends_another_has_its_own_time() {
        const EARLIER: u64 = u64::MAX;
        let (clocks, mut scanner) = open();
        scanner.scan(&ping()[..4], &clocks).unwrap();
        clocks.head_since.store(EARLIER, Relaxed);
        scanner.scan(&ping()[4..8], &clocks).unwrap();
        assert_eq!(clocks.head_since.load(Relaxed), EARLIER, "the same frame");
        scanner.scan(&ping()[8..12], &clocks).unwrap();
        scanner
            .scan(&[&ping()[12..], &ping()[..4]].concat(), &clocks)
            .unwrap();
        assert_ne!(clocks.head_since.load(Relaxed), EARLIER, "another");
        // A header block is one thing, in how many frames it may come.
        scanner.scan(&ping()[4..], &clocks).unwrap();
        let block = [frame(1, 0, 1, b"head"), frame(9, 0, 1, b"more")].concat();
        scanner.scan(&block, &clocks).unwrap();
        clocks.head_since.store(EARLIER, Relaxed);
        scanner.scan(&frame(9, 0, 1, b"more"), &clocks).unwrap();
        assert_eq!(clocks.head_since.load(Relaxed), EARLIER, "the same block");
        scanner
            .scan(&[frame(9, 4, 1, b"tail"), vec![0]].concat(), &clocks)
            .unwrap();
        assert_ne!(clocks.head_since.load(Relaxed), EARLIER, "behind the block");
    }
}
