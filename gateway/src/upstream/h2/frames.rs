//! What an endpoint says of its connection, read along: h2 tells neither that a connection takes no more requests, until
//! the next one fails, nor how many it takes from now on, nor what the endpoint takes as a head (RFC 9113, sections 4.1, 6.5
//! and 6.8).

/// The length of the head of a frame, of one setting, and of what a GOAWAY begins with.
const HEAD: usize = 9;
const SETTING: usize = 6;
const AWAY: usize = 8;

const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

/// SETTINGS_MAX_CONCURRENT_STREAMS and SETTINGS_MAX_HEADER_LIST_SIZE.
const MAX_CONCURRENT_STREAMS: u16 = 3;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// How many streams are taken at once, from now on (RFC 9113, section 6.5.2).
    MostStreams(u32),
    /// The longest list of fields that is taken (RFC 9113, section 6.5.2), in bytes.
    LongestHead(u32),
    /// The connection takes no more requests, for this reason.
    GoesAway(u32),
}

/// Where in the stream of frames it is, however the bytes are cut.
#[derive(Debug)]
pub(super) struct Frames {
    part: Part,
    /// Bytes of the part, so many of which are there.
    seen: [u8; HEAD],
    have: usize,
    /// What is left of the frame, in bytes, behind the head or what was read of it.
    left: usize,
    /// The stream of the frame that is read.
    stream: u32,
    /// Those of the frames that had bytes in what came last.
    streams: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Setting,
    Away,
    /// What is of no interest.
    Rest,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            part: Part::Head,
            seen: [0; HEAD],
            have: 0,
            left: 0,
            stream: 0,
            streams: Vec::new(),
        }
    }
}

impl Frames {
    /// More of them came.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut told: impl FnMut(Said)) {
        self.streams.clear();
        if self.part != Part::Head && self.stream != 0 {
            self.streams.push(self.stream);
        }
        while !bytes.is_empty() {
            let wanted = match self.part {
                Part::Head => HEAD,
                Part::Setting => SETTING,
                Part::Away => AWAY,
                Part::Rest => {
                    let skipped = self.left.min(bytes.len());
                    bytes = &bytes[skipped..];
                    self.left -= skipped;
                    self.go_on();
                    continue;
                }
            };
            let taken = (wanted - self.have).min(bytes.len());
            let (piece, rest) = bytes.split_at(taken);
            self.seen[self.have..self.have + taken].copy_from_slice(piece);
            self.have += taken;
            bytes = rest;
            if self.have == wanted {
                self.have = 0;
                self.whole(&mut told);
            }
        }
    }

    /// The streams whose frames had bytes in what came last.
    pub(super) fn streams(&self) -> &[u32] {
        &self.streams
    }

    /// The part that is read is whole.
    fn whole(&mut self, told: &mut impl FnMut(Said)) {
        let [a, b, c, d, e, f, g, h, i] = self.seen;
        match self.part {
            Part::Head => {
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.stream = u32::from_be_bytes([f & 0x7f, g, h, i]);
                if self.stream != 0 && self.streams.last() != Some(&self.stream) {
                    self.streams.push(self.stream);
                }
                self.part = match (d, e & ACK) {
                    (SETTINGS, 0) => Part::Setting,
                    (GOAWAY, _) if self.left >= AWAY => Part::Away,
                    _ => Part::Rest,
                };
            }
            Part::Setting => {
                self.left -= SETTING;
                let value = u32::from_be_bytes([c, d, e, f]);
                match u16::from_be_bytes([a, b]) {
                    MAX_CONCURRENT_STREAMS => told(Said::MostStreams(value)),
                    MAX_HEADER_LIST_SIZE => told(Said::LongestHead(value)),
                    _ => {}
                }
            }
            Part::Away => {
                self.left -= AWAY;
                self.part = Part::Rest;
                told(Said::GoesAway(u32::from_be_bytes([e, f, g, h])));
            }
            Part::Rest => {}
        }
        self.go_on();
    }

    /// What comes next: the rest of the frame, or another. Settings that are cut short h2 refuses.
    fn go_on(&mut self) {
        match self.part {
            Part::Setting if self.left < SETTING => self.part = Part::Rest,
            _ => {}
        }
        if self.left == 0 {
            self.part = Part::Head;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[a, b, c, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn settings_and_the_end_are_heard_however_the_bytes_are_cut() {
        let bytes = [
            frame(SETTINGS, 0, &[0, 3, 0, 0, 0, 9, 0, 6, 0, 0, 1, 0]),
            frame(SETTINGS, ACK, &[]),
            frame(0, 0, &[7; 300]),
            frame(0, 1, &[]),
            frame(SETTINGS, 0, &[]),
            // Cut short, which is no setting.
            frame(SETTINGS, 0, &[0, 6, 0, 0]),
            frame(GOAWAY, 0, &[0, 0, 0, 5, 0, 0, 0, 11, b'w', b'h', b'y']),
            frame(SETTINGS, 0, &[0, 6, 0, 0, 2, 0]),
            frame(GOAWAY, 0, &[0, 0, 0, 5, 0, 0, 0, 0]),
            frame(GOAWAY, 0, &[0, 0]),
        ]
        .concat();
        let expected = [
            Said::MostStreams(9),
            Said::LongestHead(256),
            Said::GoesAway(11),
            Said::LongestHead(512),
            Said::GoesAway(0),
        ];
        for cut in 1..=bytes.len() {
            let (mut frames, mut said) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                frames.read(piece, |it| said.push(it));
            }
            assert_eq!(said, expected, "in pieces of {cut}");
        }
    }

    #[test]
    fn the_streams_of_what_came_last_are_known() {
        let mut frames = Frames::default();
        let mut bytes = [frame(0, 0, &[7; 3]), frame(1, 0, &[7; 3])].concat();
        bytes[20] = 9;
        for (piece, streams) in [
            (&bytes[..10], &[1][..]),
            (&bytes[10..], &[1, 9]),
            (&bytes[..5], &[]),
            (&bytes[5..12], &[1]),
            (&bytes[12..14], &[]),
        ] {
            frames.read(piece, |_| {});
            assert_eq!(frames.streams(), streams);
        }
    }
}
