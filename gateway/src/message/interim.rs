//! Informational responses (RFC 9110, section 15.2), such as 103 Early Hints, on their way from an upstream to a client
//! of HTTP/1.1.
//!
//! hyper's server has no way to send one. So they wait here, and the stream below hyper writes them where hyper has
//! nothing to write: between the answer before and that of the request in hand, which waits for them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, Waker, ready};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;

use super::headers;

/// Bytes that wait, at the most: what comes on top is left out.
const MOST: usize = 32 << 10;

/// Nothing waits.
const NONE: u8 = 0;
/// Something waits, and nothing of it is written.
const WAITING: u8 = 1;
/// A part of it is written.
const BEGUN: u8 = 2;

/// The informational responses of one connection. One thread touches it; it is locked so that the stream is `Send`.
#[derive(Debug, Default)]
pub struct Interim {
    state: AtomicU8,
    queue: Mutex<Option<Box<Queue>>>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// How many of them are written.
    at: usize,
    /// Who waits until all are.
    waker: Option<Waker>,
}

impl Interim {
    /// Takes the head of an informational response. 100 is for the sender of Expect, which is the gateway.
    #[cold]
    pub fn add(&self, status: StatusCode, mut fields: HeaderMap) {
        if status == StatusCode::CONTINUE {
            return;
        }
        headers::strip(&mut fields);
        fields.remove(CONTENT_LENGTH);
        let mut head = format!("HTTP/1.1 {status}\r\n").into_bytes();
        for (name, value) in &fields {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let mut queue = self.queue.lock();
        let queue = queue.get_or_insert_default();
        if queue.bytes.len() + head.len() <= MOST {
            // Writing to a vector does not fail.
            let _written = queue.bytes.write(&head);
            let _was = self.state.compare_exchange(NONE, WAITING, Relaxed, Relaxed);
        }
    }

    /// Whether something waits.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.state.load(Relaxed) != NONE
    }

    /// Whether one is written in part: nothing else may be written before its end.
    #[inline]
    pub fn has_begun(&self) -> bool {
        self.state.load(Relaxed) == BEGUN
    }

    /// Ready when nothing waits any more.
    pub fn poll_written(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.queue.lock();
        match &mut *queue {
            Some(queue) if self.is_waiting() => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Writes what waits, and wakes who waits for that.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn write(
        &self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let mut slot = self.queue.lock();
        if let Some(queue) = &mut *slot {
            while let Some(rest) = queue.bytes.get(queue.at..).filter(|rest| !rest.is_empty()) {
                match ready!(write(rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => queue.at += written,
                }
                self.state.store(BEGUN, Relaxed);
            }
        }
        self.state.store(NONE, Relaxed);
        if let Some(waker) = slot.take().and_then(|queue| queue.waker) {
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints() -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in [("link", "</a>"), ("connection", "x"), ("x", "1")] {
            fields.insert(name, value.parse().unwrap());
        }
        fields
    }

    #[test]
    fn what_waits_is_written_whole_and_in_pieces_and_then_no_more() {
        let interim = Interim::default();
        interim.add(StatusCode::CONTINUE, HeaderMap::new());
        assert!(!interim.is_waiting());
        interim.add(StatusCode::EARLY_HINTS, hints());
        interim.add(StatusCode::from_u16(199).unwrap(), HeaderMap::new());
        assert!(interim.is_waiting() && !interim.has_begun());
        let (mut out, mut room) = (Vec::new(), 10);
        let mut write = |bytes: &[u8]| {
            let taken = bytes.len().min(room);
            room -= taken;
            out.extend_from_slice(&bytes[..taken]);
            match taken {
                0 => Poll::Pending,
                taken => Poll::Ready(Ok(taken)),
            }
        };
        assert!(interim.write(&mut write).is_pending());
        assert!(interim.has_begun());
        room = 1000;
        let mut write = |bytes: &[u8]| {
            let taken = bytes.len().min(room);
            room -= taken;
            out.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        };
        assert!(matches!(interim.write(&mut write), Poll::Ready(Ok(()))));
        assert!(!interim.is_waiting());
        let text = String::from_utf8(out).unwrap();
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        assert!(text.starts_with(hints), "{text}");
        assert!(text[hints.len()..].starts_with("HTTP/1.1 199 "), "{text}");
    }

    #[test]
    fn what_waits_is_bounded() {
        let interim = Interim::default();
        for _ in 0..8 {
            let mut fields = HeaderMap::new();
            fields.insert("link", "x".repeat(10_000).parse().unwrap());
            interim.add(StatusCode::EARLY_HINTS, fields);
        }
        let mut length = 0;
        let mut write = |bytes: &[u8]| {
            length += bytes.len();
            Poll::Ready(Ok(bytes.len()))
        };
        assert!(interim.write(&mut write).is_ready());
        assert!((10_000..=MOST).contains(&length), "{length}");
    }
}
