//! Where a chunked body ends (RFC 9112, 7.1), byte for byte as hyper finds it.

use super::head::Limits;

/// A chunked body under way.
#[derive(Debug)]
pub(super) struct Chunked {
    step: Step,
    /// Bytes of the line with the size, or of the whole trailer.
    bytes: usize,
    /// Fields of the trailer.
    fields: usize,
}

/// What the next byte belongs to. Sizes are those read so far.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The first digit of a size.
    Start,
    Digits(u64),
    /// Space behind the digits.
    Padding(u64),
    Extension(u64),
    SizeLf(u64),
    /// So many bytes are to come.
    Data(u64),
    DataCr,
    DataLf,
    /// A field of the trailer, or the empty line at its end.
    Trailer,
    Field,
    FieldLf,
    EndLf,
}

/// How far a read brings the body.
pub(super) enum Advance {
    /// It goes on behind all of it.
    More,
    /// It ends behind so many bytes.
    End(usize),
    /// Behind so many bytes stands one that may not.
    Broken(usize),
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            step: Step::Start,
            bytes: 0,
            fields: 0,
        }
    }

    /// Goes on through the body. The line with a size may be as long as a head, and so may the trailer.
    pub(super) fn advance(&mut self, rest: &[u8], limits: Limits) -> Advance {
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            if let Step::Data(left) = &mut self.step {
                let most = rest.len() - at;
                let n = usize::try_from(*left).map_or(most, |left| left.min(most));
                *left -= n as u64;
                at += n;
                if *left == 0 {
                    self.step = Step::DataCr;
                }
                continue;
            }
            if matches!((self.step, byte), (Step::EndLf, b'\n')) {
                return Advance::End(at + 1);
            }
            match self.step(*byte) {
                Some(step) if self.fits(limits) => self.step = step,
                _ => return Advance::Broken(at),
            }
            at += 1;
        }
        Advance::More
    }

    /// What follows this byte; none where it may not stand there. A line ends with CR LF: where one of them stands
    /// alone, one reader sees an end and another none.
    fn step(&mut self, byte: u8) -> Option<Step> {
        self.bytes += 1;
        Some(match (self.step, byte) {
            (Step::Start, _) => Step::Digits(digit(byte)?),
            (Step::Digits(size) | Step::Padding(size) | Step::Extension(size), b'\r') => {
                Step::SizeLf(size)
            }
            (Step::Digits(size) | Step::Padding(size), b' ' | b'\t') => Step::Padding(size),
            (Step::Digits(size) | Step::Padding(size), b';') => Step::Extension(size),
            (Step::Digits(size), _) => Step::Digits(size.checked_mul(16)? + digit(byte)?),
            // RFC 9112, 7.1.1: tokens, quoted strings and the space between them.
            (Step::Extension(_), byte) if byte.is_ascii_control() && byte != b'\t' => return None,
            (Step::Extension(size), _) => Step::Extension(size),
            (Step::SizeLf(size), b'\n') => {
                self.bytes = 0;
                if size == 0 {
                    Step::Trailer
                } else {
                    Step::Data(size)
                }
            }
            (Step::DataCr, b'\r') => Step::DataLf,
            (Step::DataLf, b'\n') => {
                self.bytes = 0;
                Step::Start
            }
            (Step::Trailer, b'\r') => Step::EndLf,
            (Step::Field, b'\r') => Step::FieldLf,
            (Step::Trailer | Step::Field, b'\n') => return None,
            (Step::Trailer | Step::Field, _) => Step::Field,
            (Step::FieldLf, b'\n') => {
                self.fields += 1;
                Step::Trailer
            }
            _ => return None,
        })
    }

    fn fits(&self, limits: Limits) -> bool {
        self.bytes <= limits.bytes && self.fields <= limits.fields
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}
