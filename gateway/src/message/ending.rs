//! How the request on a stream of HTTP/2 ends: who carries the stream knows before who reads the body, which may never be read.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// It comes.
const COMES: u8 = 0;
/// It came whole.
const WHOLE: u8 = 1;
/// The stream was ended over it, before its answer or in it.
const REFUSED: u8 = 2;
const BROKEN: u8 = 3;

/// How a request ends. The first that is known of it stands.
#[derive(Debug, Default)]
pub struct Ending(AtomicU8);

impl Ending {
    /// All of it came.
    pub fn is_whole(&self) {
        self.set(WHOLE);
    }

    /// The gateway ends the stream over what came of it; `answered`: behind the head of the answer.
    #[cold]
    pub fn breaks(&self, answered: bool) {
        self.set(if answered { BROKEN } else { REFUSED });
    }

    /// Whether the stream was ended over it.
    pub fn is_broken(&self) -> bool {
        matches!(self.0.load(Relaxed), REFUSED | BROKEN)
    }

    /// Whether that was before the head of an answer was sent.
    pub fn is_refused(&self) -> bool {
        self.0.load(Relaxed) == REFUSED
    }

    fn set(&self, ending: u8) {
        let _known = self.0.compare_exchange(COMES, ending, Relaxed, Relaxed);
    }
}
