//! What holds for the reader of responses whatever an upstream sends; fuzz/ and the tests below look for what breaks
//! it.
//!
//! hyper's client reads the same bytes. Where this one comes to the end of a message, hyper must come to the same
//! end of the same message: two readers that disagree are how one response becomes a part of another.

mod hyper_reads;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};

use super::chunked::{Chunked, Step};
use super::head;
use super::head::{Framing, Head};
use hyper_reads::hyper_reads;

/// The longest input: below every limit of this reader and of hyper's, which are not the same.
const MOST: usize = 8 << 10;

/// Responses: one byte for the method, three of piece sizes, then what the upstream sends before it closes.
///
/// # Panics
/// When what is read depends on the pieces, or differs from what hyper reads.
pub fn response(input: &[u8]) {
    let Some(([method, sizes @ ..], sent)) = input.split_first_chunk::<4>() else {
        return;
    };
    let method = [Method::GET, Method::HEAD, Method::POST][usize::from(*method) % 3].clone();
    compare(&method, *sizes, &sent[..sent.len().min(MOST)]);
}

/// Chunked bodies: three bytes of piece sizes, then what the upstream sends after a head that announces chunks.
///
/// # Panics
/// As [`response`].
pub fn chunked(input: &[u8]) {
    let Some((sizes, sent)) = input.split_first_chunk::<3>() else {
        return;
    };
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let sent = [head, &sent[..sent.len().min(MOST)]].concat();
    compare(&Method::GET, *sizes, &sent);
}

fn compare(method: &Method, sizes: [u8; 3], sent: &[u8]) {
    let ours = read(&mut [sent].into_iter(), method);
    for sizes in [sizes, [1; 3]] {
        let cut = read(&mut pieces(sent, sizes), method);
        assert_eq!(ours, cut, "cut into {sizes:?}");
    }
    let Some(end) = ours.end else {
        // What is refused or incomplete has no end, whatever hyper makes of it. What was passed on of it is its own.
        let hyper = hyper_reads(sent, method);
        if let (Some(head), Some(hyper_head)) = (&ours.head, &hyper.head) {
            assert_eq!(head, hyper_head);
            assert!(
                ours.body.starts_with(&hyper.body) || hyper.body.starts_with(&ours.body),
                "two bodies: {ours:?}, {hyper:?}"
            );
        }
        return;
    };
    let hyper = hyper_reads(&sent[..end], method);
    assert_eq!(ours.head, hyper.head);
    assert_eq!(ours.body, hyper.body);
    assert_eq!(ours.trailers, hyper.trailers);
    assert!(hyper.ended, "hyper finds no end: {ours:?}");
    if !ours.until_close {
        let short = hyper_reads(&sent[..end - 1], method);
        assert!(!short.ended, "hyper finds the end earlier: {ours:?}");
    }
}

/// What was read of a response.
#[derive(Debug, PartialEq, Eq, Default)]
struct Reading {
    /// None where there is no sound head.
    head: Option<(StatusCode, HeaderMap)>,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// After how many bytes the message is over; none where it is broken or incomplete.
    end: Option<usize>,
    /// Whether only the end of the connection ends it.
    until_close: bool,
}

/// Reads a response as [`ResponseBody`](super::ResponseBody) and its caller do, without a connection.
fn read(pieces: &mut dyn Iterator<Item = &[u8]>, method: &Method) -> Reading {
    let mut reading = Reading::default();
    let mut came = 0;
    let Some((head, first)) = read_head(pieces, &mut came, method) else {
        return reading;
    };
    let mut buffer = BytesMut::from(&first[..]);
    let mut left = match head.framing {
        Framing::Length(length) => length,
        Framing::Chunked | Framing::Close => 0,
    };
    reading.head = Some((head.status, head.headers));
    let mut chunked = Chunked::Size;
    loop {
        let over = match head.framing {
            Framing::Length(_) => {
                let take = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                reading.body.extend_from_slice(&buffer.split_to(take));
                left -= take as u64;
                left == 0
            }
            Framing::Close => {
                reading.body.extend_from_slice(&buffer.split());
                false
            }
            Framing::Chunked => match read_chunks(&mut chunked, &mut buffer, &mut reading) {
                Some(over) => over,
                None => return reading,
            },
        };
        if over {
            reading.end = Some(came - buffer.len());
            return reading;
        }
        let Some(piece) = pieces.next() else {
            if head.framing == Framing::Close {
                (reading.end, reading.until_close) = (Some(came), true);
            }
            return reading;
        };
        came += piece.len();
        buffer.extend_from_slice(piece);
    }
}

/// The head of the answer and what came behind it; `came` counts the bytes.
fn read_head(
    pieces: &mut dyn Iterator<Item = &[u8]>,
    came: &mut usize,
    method: &Method,
) -> Option<(Head, Bytes)> {
    let mut partial = BytesMut::new();
    for piece in pieces {
        *came += piece.len();
        partial.extend_from_slice(piece);
        let mut input = partial.split().freeze();
        while let Some((head, length)) = head::parse(&input, method).ok()? {
            input.advance(length);
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                // It was not asked for.
                return None;
            }
            if !head.status.is_informational() {
                return Some((head, input));
            }
        }
        partial.extend_from_slice(&input);
    }
    None
}

/// Takes what there is of chunks; whether they are over, and none where they are broken.
fn read_chunks(
    chunked: &mut Chunked,
    buffer: &mut BytesMut,
    reading: &mut Reading,
) -> Option<bool> {
    loop {
        match chunked.step(buffer).ok()? {
            Step::Data(data) => reading.body.extend_from_slice(&data),
            Step::Trailers(trailers) => {
                reading.trailers = Some(trailers);
                return Some(true);
            }
            Step::End => return Some(true),
            Step::More => return Some(false),
        }
    }
}

/// Cuts a stream into pieces of these sizes in turn, none of them empty.
fn pieces(mut stream: &[u8], sizes: [u8; 3]) -> impl Iterator<Item = &[u8]> {
    let mut sizes = sizes.into_iter().cycle();
    std::iter::from_fn(move || {
        let size = usize::from(sizes.next()?).max(1).min(stream.len());
        let piece = stream.split_off(..size)?;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use crate::corpora;

    #[test]
    fn responses_are_read_as_hyper_reads_them() {
        corpora::replay("upstream_response", super::response);
    }

    #[test]
    fn chunks_are_read_as_hyper_reads_them() {
        corpora::replay("upstream_chunked", super::chunked);
    }
}
