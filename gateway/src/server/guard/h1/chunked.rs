//! Where a chunked body ends (RFC 9112, 7.1).

/// What is under way.
#[derive(Debug)]
pub(super) enum Chunk {
    /// In the line with the size; whether the digits are over.
    Size(u64, bool),
    /// In the data, the line end behind it included.
    Data(u64),
    /// In a line of the trailer, of so many bytes without CR.
    Trailer(u64),
}

/// How far a read brings the body.
pub(super) enum Advance {
    /// It goes on behind so many bytes.
    More(usize),
    /// It ends behind so many bytes.
    End(usize),
    /// Its size does not fit into 64 bits.
    Broken,
}

impl Chunk {
    /// Goes on through a chunked body (RFC 9112, 7.1).
    pub(super) fn advance(&mut self, rest: &[u8]) -> Advance {
        match self {
            Self::Size(size, over) => {
                for (at, byte) in rest.iter().enumerate() {
                    match (byte, char::from(*byte).to_digit(16)) {
                        (b'\n', _) if *size == 0 => {
                            *self = Self::Trailer(0);
                            return Advance::More(at + 1);
                        }
                        (b'\n', _) => {
                            *self = Self::Data(size.saturating_add(2));
                            return Advance::More(at + 1);
                        }
                        (_, Some(digit)) if !*over => match size.checked_mul(16) {
                            Some(more) => *size = more + u64::from(digit),
                            None => return Advance::Broken,
                        },
                        _ => *over = true,
                    }
                }
                Advance::More(rest.len())
            }
            Self::Data(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= n as u64;
                if *left == 0 {
                    *self = Self::Size(0, false);
                }
                Advance::More(n)
            }
            Self::Trailer(len) => {
                let end = memchr::memchr(b'\n', rest);
                let line = &rest[..end.unwrap_or(rest.len())];
                *len += line.iter().filter(|byte| **byte != b'\r').count() as u64;
                match end {
                    None => Advance::More(rest.len()),
                    Some(end) if *len == 0 => Advance::End(end + 1),
                    Some(end) => {
                        *len = 0;
                        Advance::More(end + 1)
                    }
                }
            }
        }
    }
}
