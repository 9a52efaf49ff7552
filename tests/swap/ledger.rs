//! An origin that keeps the books: which ids it was asked for and how often, and one answer spoiled on purpose.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};

use crate::harness::Origin;

/// A way to lose a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Half of the answer, and the end of the connection.
    Truncated,
    /// The answer to another request.
    OtherId,
    /// The end of the connection in place of an answer.
    NoAnswer,
}

/// The origin and its books.
pub(super) struct Ledger {
    pub(super) origin: Origin,
    books: Arc<Books>,
}

#[derive(Default)]
struct Books {
    asked: Mutex<HashMap<u64, u32>>,
    fault: Mutex<Option<Fault>>,
    committed: Condvar,
}

impl Ledger {
    /// Answers every `/load/{id}` with what [`expected`] is for it.
    pub(super) fn open() -> Self {
        let books = Arc::new(Books::default());
        let kept = books.clone();
        let origin = Origin::forgetting(move |head, body| kept.answer(head, body));
        Self { origin, books }
    }

    /// Commits the fault on one request, a POST, and returns when it is done.
    pub(super) fn commit(&self, fault: Fault) {
        let mut pending = self.books.fault.lock().unwrap();
        *pending = Some(fault);
        while pending.is_some() {
            pending = self.books.committed.wait(pending).unwrap();
        }
    }

    /// How often the id came.
    pub(super) fn asked(&self, id: u64) -> u32 {
        let asked = self.books.asked.lock().unwrap();
        asked.get(&id).copied().unwrap_or_default()
    }
}

impl Books {
    fn answer(&self, head: &str, body: &[u8]) -> Vec<u8> {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let id = path
            .strip_prefix("/load/")
            .and_then(|id| id.parse::<u64>().ok());
        let Some(id) = id else {
            return message("content-length", 2, b"ok");
        };
        *self.asked.lock().unwrap().entry(id).or_default() += 1;
        // The gateway may repeat a GET; of a POST nothing covers the loss.
        let fault = head
            .starts_with("POST")
            .then(|| self.fault.lock().unwrap().take())
            .flatten();
        if fault.is_some() {
            self.committed.notify_all();
        }
        let whole = text(id, body);
        match fault {
            None => message("content-length", whole.len(), &whole),
            // `Origin` closes after a message in which it does not see its own spelling of the length.
            Some(Fault::Truncated) => {
                message("Content-Length", whole.len(), &whole[..whole.len() / 2])
            }
            Some(Fault::OtherId) => {
                let other = text(id + 1, body);
                message("content-length", other.len(), &other)
            }
            Some(Fault::NoAnswer) => Vec::new(),
        }
    }
}

fn message(length: &str, bytes: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{length}: {bytes}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// What is sent with the id: every third request is a POST with a body.
pub(super) fn sent(id: u64) -> Option<Vec<u8>> {
    let letter = b'a' + u8::try_from(id % 26).unwrap();
    let length = usize::try_from(id % 700).unwrap() + 1;
    id.is_multiple_of(3).then(|| vec![letter; length])
}

/// The one right answer to the id.
pub(super) fn expected(id: u64) -> Vec<u8> {
    text(id, &sent(id).unwrap_or_default())
}

/// The id, the length and a hash of what came (FNV-1a), and filler of a length that few ids share.
fn text(id: u64, body: &[u8]) -> Vec<u8> {
    let hash = body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let filler = "x".repeat(usize::try_from(id * 97 % 3_000).unwrap());
    format!("id {id}, got {} bytes of {hash:x} {filler}.", body.len()).into_bytes()
}
