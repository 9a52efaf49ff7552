//! The chunked coding, read strictly (RFC 9112, section 7.1).

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The longest line before a chunk, extensions included.
const MAX_LINE: usize = 4 << 10;
/// The longest trailer section.
const MAX_TRAILERS: usize = 16 << 10;
/// The most trailer fields.
const MAX_FIELDS: usize = 64;

/// Where in the coding the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// Before a size.
    Size,
    /// So many bytes of a chunk are to come.
    Data(u64),
    /// Before the CRLF that ends a chunk.
    DataEnd,
    /// After the last chunk.
    Trailers,
    /// After everything.
    End,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Step {
    /// Bytes of the body.
    Data(Bytes),
    /// Trailer fields; nothing follows.
    Trailers(HeaderMap),
    /// Nothing follows.
    End,
    /// More bytes must come first.
    More,
}

/// The coding is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl Chunked {
    /// Takes the next piece of the body off the front of `buffer`.
    pub(super) fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, Broken> {
        loop {
            match self {
                Self::Size => {
                    let Some(size) = take_size(buffer)? else {
                        return Ok(Step::More);
                    };
                    *self = if size == 0 {
                        Self::Trailers
                    } else {
                        Self::Data(size)
                    };
                }
                Self::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Step::More);
                    }
                    let take = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(buffer.len());
                    *left -= take as u64;
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    return Ok(Step::Data(buffer.split_to(take).freeze()));
                }
                Self::DataEnd => {
                    if buffer.len() < 2 {
                        return Ok(Step::More);
                    }
                    if &buffer[..2] != b"\r\n" {
                        return Err(Broken);
                    }
                    buffer.advance(2);
                    *self = Self::Size;
                }
                Self::Trailers => {
                    let Some(trailers) = take_trailers(buffer)? else {
                        return Ok(Step::More);
                    };
                    *self = Self::End;
                    return Ok(if trailers.is_empty() {
                        Step::End
                    } else {
                        Step::Trailers(trailers)
                    });
                }
                Self::End => return Ok(Step::End),
            }
        }
    }
}

/// The size in front of a chunk: hexadecimal digits, perhaps an extension, CRLF.
fn take_size(buffer: &mut BytesMut) -> Result<Option<u64>, Broken> {
    let window = &buffer[..buffer.len().min(MAX_LINE)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if buffer.len() >= MAX_LINE {
            Err(Broken)
        } else {
            Ok(None)
        };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(Broken)?;
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    // Not `trim_ascii_start`: it takes a bare CR and a form feed for spaces too.
    let spaces = line[digits..]
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    let extension = &line[digits + spaces..];
    let well_formed = (1..=16).contains(&digits)
        && (extension.is_empty() || extension.starts_with(b";"))
        && !extension
            .iter()
            .any(|byte| byte.is_ascii_control() && *byte != b'\t');
    if !well_formed {
        return Err(Broken);
    }
    let size = line[..digits].iter().fold(0, |size, digit| {
        size << 4 | u64::from(char::from(*digit).to_digit(16).unwrap_or_default())
    });
    buffer.advance(end + 1);
    Ok(Some(size))
}

fn take_trailers(buffer: &mut BytesMut) -> Result<Option<HeaderMap>, Broken> {
    if buffer.starts_with(b"\r\n") {
        buffer.advance(2);
        return Ok(Some(HeaderMap::new()));
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let (length, fields) = match httparse::parse_headers(buffer, &mut fields) {
        Ok(httparse::Status::Complete(parsed)) => parsed,
        Ok(httparse::Status::Partial) if buffer.len() <= MAX_TRAILERS => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Broken),
    };
    // httparse ends a line at a bare LF, where others go on.
    let is_bare = |at: usize| buffer[..at].last() != Some(&b'\r');
    if memchr::memchr_iter(b'\n', &buffer[..length]).any(is_bare) {
        return Err(Broken);
    }
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Broken)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| Broken)?;
        trailers.append(name, value);
    }
    buffer.advance(length);
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body and its trailers, or `Err` where the coding is broken, or `Ok(None)` where the end is missing.
    fn read(cut: usize, input: &[u8]) -> Result<Option<(Vec<u8>, usize, usize)>, Broken> {
        let (mut state, mut buffer, mut body) = (Chunked::Size, BytesMut::new(), Vec::new());
        let mut pieces = input.chunks(cut);
        loop {
            match state.step(&mut buffer)? {
                Step::Data(data) => body.extend_from_slice(&data),
                Step::Trailers(trailers) => return Ok(Some((body, trailers.len(), buffer.len()))),
                Step::End => return Ok(Some((body, 0, buffer.len()))),
                Step::More => match pieces.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => return Ok(None),
                },
            }
        }
    }

    #[test]
    fn chunks_are_read_however_the_bytes_are_cut() {
        let input = b"4\r\nabcd\r\nA;name=value\r\n0123456789\r\n0\r\nx-sum: 1\r\nx-b: 2\r\n\r\n";
        for cut in 1..=input.len() {
            let expected = (b"abcd0123456789".to_vec(), 2, 0);
            assert_eq!(read(cut, input), Ok(Some(expected)), "cut at {cut}");
        }
        assert_eq!(read(99, b"0\r\n\r\nsurplus"), Ok(Some((Vec::new(), 0, 7))));
    }

    #[test]
    fn a_broken_coding_is_no_end() {
        for input in [
            &b"x\r\n"[..],
            b"\r\n",
            b"-1\r\n",
            b"0x4\r\nabcd\r\n",
            b"4\nabcd\r\n",
            b"4\r\nabcdX\r\n",
            b"4\r\nabcd\n0\r\n\r\n",
            b"11111111111111111\r\n",
            b"4 a\r\nabcd\r\n",
            b"4;a\x01\r\nabcd\r\n",
            b"4\r\r\nabcd\r\n",
            b"4\r;a\r\nabcd\r\n",
            b"4\x0c;a\r\nabcd\r\n",
            b"0\r\n\n",
            b"0\r\na: 1\n\r\n",
            b"0\r\na: 1\nb: 2\r\n\r\n",
            b"0\r\nbad name: 1\r\n\r\n",
        ] {
            assert_eq!(read(1, input), Err(Broken), "{input:?}");
        }
        assert_eq!(read(4096, &[b'1'; MAX_LINE + 1]), Err(Broken));
        let long = [b"0\r\na: ".to_vec(), vec![b'b'; MAX_TRAILERS + 1]].concat();
        assert_eq!(read(4096, &long), Err(Broken));
        for part in [
            &b"4\r\nab"[..],
            b"4\r\nabcd\r\n",
            b"4\r\nabcd\r\n0\r\n",
            b"0\r\na: b\r\n",
        ] {
            assert_eq!(read(1, part), Ok(None), "{part:?}");
        }
    }
}
