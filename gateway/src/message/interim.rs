//! Informational responses (RFC 9110, section 15.2), such as 103 Early Hints, on their way to a client.
//!
//! hyper's server has no way to send one over HTTP/1. So they wait here, and the stream below hyper writes them where hyper
//! has nothing to write: between the answer before and that of the request in hand, which waits for them. Over HTTP/2 the
//! exchange of a stream takes them itself.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, Waker, ready};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;

use super::ending::Ending;
use super::head::ResponseHead;
use super::headers;

/// Bytes that wait, at the most: what comes on top is left out.
const MOST: usize = 32 << 10;

/// Nothing waits.
const NONE: u8 = 0;
/// Something waits, and nothing of it is written.
const WAITING: u8 = 1;
/// A part of it is written.
const BEGUN: u8 = 2;

/// The informational responses of one connection of HTTP/1, or of one stream of HTTP/2. One thread touches it; it is
/// locked so that the stream is `Send`.
#[derive(Debug, Default)]
pub struct Interim {
    /// HTTP/2: how the request ends.
    pub ending: Ending,
    state: AtomicU8,
    queue: Mutex<Option<Box<Queue>>>,
    /// HTTP/2: who takes them.
    taker: Mutex<Option<Waker>>,
}

#[derive(Debug, Default)]
struct Queue {
    heads: VecDeque<ResponseHead>,
    /// How many bytes they have.
    size: usize,
    /// HTTP/1: the head that is being written, and how much of it is.
    bytes: Vec<u8>,
    at: usize,
    /// Who waits until all are.
    waker: Option<Waker>,
}

impl Interim {
    /// Takes the head of an informational response of an upstream. 100 is for the sender of Expect, which is the gateway.
    #[cold]
    pub fn add(&self, status: StatusCode, mut fields: HeaderMap) {
        if status == StatusCode::CONTINUE {
            return;
        }
        headers::strip(&mut fields);
        fields.remove(CONTENT_LENGTH);
        self.queue(ResponseHead {
            status,
            headers: fields,
        });
    }

    /// HTTP/2: the client is to send the body that it holds back (RFC 9110, section 10.1.1). Over HTTP/1 hyper says so.
    #[cold]
    pub fn go_on(&self) {
        self.queue(ResponseHead {
            status: StatusCode::CONTINUE,
            headers: HeaderMap::new(),
        });
    }

    fn queue(&self, head: ResponseHead) {
        let mut queue = self.queue.lock();
        let queue = queue.get_or_insert_default();
        let size = length(&head);
        if queue.size + size <= MOST {
            queue.size += size;
            queue.heads.push_back(head);
            let _was = self.state.compare_exchange(NONE, WAITING, Relaxed, Relaxed);
            if let Some(taker) = &*self.taker.lock() {
                taker.wake_by_ref();
            }
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

    /// HTTP/1: writes what waits, and wakes who waits for that.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn write(
        &self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let mut slot = self.queue.lock();
        if let Some(queue) = &mut *slot {
            loop {
                while let Some(rest) = queue.bytes.get(queue.at..).filter(|rest| !rest.is_empty()) {
                    match ready!(write(rest))? {
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        written => queue.at += written,
                    }
                    self.state.store(BEGUN, Relaxed);
                }
                let Some(next) = queue.heads.pop_front() else {
                    break;
                };
                (queue.bytes, queue.at) = (as_text(&next), 0);
            }
        }
        self.is_empty(slot.take());
        Poll::Ready(Ok(()))
    }

    /// HTTP/2: the next that waits; whoever asks is woken when there is one.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<ResponseHead> {
        if !self.is_waiting() {
            let mut taker = self.taker.lock();
            if !taker
                .as_ref()
                .is_some_and(|taker| taker.will_wake(cx.waker()))
            {
                *taker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let mut slot = self.queue.lock();
        match slot.as_mut().and_then(|queue| queue.heads.pop_front()) {
            Some(head) => Poll::Ready(head),
            None => {
                self.is_empty(slot.take());
                drop(slot);
                self.poll_take(cx)
            }
        }
    }

    fn is_empty(&self, queue: Option<Box<Queue>>) {
        self.state.store(NONE, Relaxed);
        if let Some(waker) = queue.and_then(|queue| queue.waker) {
            waker.wake();
        }
    }
}

/// The most bytes that a head takes as text.
fn length(head: &ResponseHead) -> usize {
    let fields = head.headers.iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + 4);
    fields.sum::<usize>() + 64
}

fn as_text(head: &ResponseHead) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
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

    #[test]
    fn what_waits_is_taken_one_by_one_and_who_waits_is_woken() {
        let interim = Interim::default();
        let woken = std::sync::Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(interim.poll_take(&mut cx).is_pending());
        interim.go_on();
        interim.add(StatusCode::EARLY_HINTS, hints());
        assert!(woken.0.swap(false, Relaxed), "who takes");
        assert!(interim.poll_written(&mut cx).is_pending());
        for status in [StatusCode::CONTINUE, StatusCode::EARLY_HINTS] {
            assert!(
                matches!(interim.poll_take(&mut cx), Poll::Ready(head) if head.status == status)
            );
        }
        assert!(!woken.0.load(Relaxed), "before all are taken");
        assert!(interim.poll_take(&mut cx).is_pending());
        assert!(woken.0.load(Relaxed), "who waits until all are");
        assert!(interim.poll_written(&mut cx).is_ready());
    }

    #[derive(Default)]
    struct Woken(std::sync::atomic::AtomicBool);

    impl std::task::Wake for Woken {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }
}
