//! What a connection of HTTP/2 knows of itself, told by who drives it and asked by who uses it.

use std::io;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::frames::Said;

/// How many requests one connection carries at once, also where the endpoint allows more.
pub(super) const STREAMS: usize = 100;

/// Begins what a server of HTTP/1 says to a preface that it does not understand.
const HTTP_1: &[u8] = b"HTTP/1.";

/// The state of one connection.
#[derive(Debug)]
pub(super) struct State {
    made: Instant,
    /// Streams that the endpoint allows at once; 0 as long as it has not said, or where it takes none now.
    most: AtomicUsize,
    /// Streams that are taken.
    streams: AtomicUsize,
    /// Takes no more requests.
    over: AtomicBool,
    /// The endpoint ended it for what came over it: a GOAWAY with an error.
    accused: AtomicBool,
    /// One request has told of its end already: what broke all of them is one failure.
    blamed: AtomicBool,
    /// It was of use: an answer came over it.
    answered: AtomicBool,
    /// The streams that frames came on last: one that breaks the connection is among them.
    last: Mutex<Vec<u32>>,
    /// The longest list of fields that the endpoint takes, in bytes.
    longest_head: AtomicU32,
    /// When something came last, and since when no stream is taken, in milliseconds since it was made.
    read_at: AtomicU64,
    idle_since: AtomicU64,
    /// Since when nothing can be written, in the same way; 0 where it can.
    stalled_at: AtomicU64,
    /// Who drives it, until the endpoint has said what it allows.
    driver: Mutex<Option<Waker>>,
    told: Notify,
    /// What came instead of HTTP/2.
    ended_by: Mutex<Option<Ended>>,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By an error.
    Error(io::Error),
    /// With bytes of HTTP/1.
    Http1,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            made: Instant::now(),
            most: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            accused: AtomicBool::new(false),
            blamed: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            last: Mutex::default(),
            longest_head: AtomicU32::new(u32::MAX),
            read_at: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            stalled_at: AtomicU64::new(0),
            driver: Mutex::default(),
            told: Notify::new(),
            ended_by: Mutex::default(),
        }
    }

    /// The endpoint allows so many streams at once, as who drives the connection has it; 0: none, or it has not said yet.
    pub(super) fn allows(&self, most: usize, driver: &Waker) {
        self.takes(most);
        *self.driver.lock() = (most == 0).then(|| driver.clone());
    }

    fn takes(&self, most: usize) {
        if self.most.swap(most.min(STREAMS), Relaxed) == 0 && most > 0 {
            self.told.notify_one();
        }
    }

    /// Something came.
    pub(super) fn read(&self, bytes: &[u8]) {
        let first = self.read_at.swap(self.age(Instant::now()), Relaxed) == 0;
        if first && bytes.starts_with(HTTP_1) {
            *self.ended_by.lock() = Some(Ended::Http1);
        }
        if let Some(driver) = &*self.driver.lock() {
            driver.wake_by_ref();
        }
    }

    /// Frames came on these streams, and all before are taken in.
    pub(super) fn came(&self, streams: &[u32]) {
        let mut last = self.last.lock();
        last.clear();
        last.extend_from_slice(streams);
    }

    /// Whether what came on this stream can have broken the connection.
    pub(super) fn is_suspect(&self, stream: u32) -> bool {
        let last = self.last.lock();
        last.is_empty() || last.contains(&stream)
    }

    /// Nothing can be written.
    pub(super) fn stalls(&self) {
        if self.stalled_at.load(Relaxed) == 0 {
            self.stalled_at.store(self.age(Instant::now()), Relaxed);
        }
    }

    /// It can again.
    pub(super) fn writes(&self) {
        self.stalled_at.store(0, Relaxed);
    }

    /// The endpoint said something of the connection.
    pub(super) fn heard(&self, said: Said) {
        match said {
            // h2 takes it in with the same bytes.
            Said::MostStreams(most) => self.takes(most as usize),
            Said::LongestHead(longest) => self.longest_head.store(longest, Relaxed),
            Said::GoesAway(reason) => {
                if reason != u32::from(h2::Reason::NO_ERROR) {
                    self.accused.store(true, Relaxed);
                }
                self.ends();
            }
        }
    }

    /// Whether the endpoint ended it for what came over it.
    pub(super) fn is_accused(&self) -> bool {
        self.accused.load(Relaxed)
    }

    /// Whether it is to be told of now that the connection broke, which is the failure of all that it carried.
    pub(super) fn is_told_now(&self) -> bool {
        !self.blamed.swap(true, Relaxed)
    }

    /// The longest list of fields that the endpoint takes, in bytes, if it said.
    pub(super) fn longest_head(&self) -> Option<u64> {
        let longest = self.longest_head.load(Relaxed);
        (longest != u32::MAX).then_some(longest.into())
    }

    /// An answer came.
    pub(super) fn answers(&self) {
        self.answered.store(true, Relaxed);
    }

    /// Whether one came.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    /// Reading or writing failed.
    pub(super) fn failed(&self, error: &io::Error) {
        let again = match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            Some(inner) => io::Error::new(error.kind(), inner.clone()),
            None => io::Error::new(error.kind(), error.to_string()),
        };
        self.ended_by.lock().get_or_insert(Ended::Error(again));
    }

    /// It takes no more requests.
    pub(super) fn ends(&self) {
        self.over.store(true, Relaxed);
        self.told.notify_one();
    }

    /// How it ended, as far as was seen.
    pub(super) fn take_end(&self) -> Option<Ended> {
        self.ended_by.lock().take()
    }

    /// Waits until the endpoint has said what it allows. Whether it did, and did not end instead.
    pub(super) async fn settled(&self) -> bool {
        while self.most.load(Relaxed) == 0 && !self.is_over() {
            self.told.notified().await;
        }
        !self.is_over()
    }

    /// Whether it takes no more requests.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Takes a stream, if one is free.
    pub(super) fn take(&self) -> bool {
        let most = self.most.load(Relaxed);
        let free = |taken| (taken < most).then_some(taken + 1);
        !self.is_over() && self.streams.fetch_update(Relaxed, Relaxed, free).is_ok()
    }

    /// Gives one back.
    pub(super) fn give_back(&self) {
        self.idle_since.store(self.age(Instant::now()), Relaxed);
        // Before it is asked who waits, as who waits asks for what is idle.
        self.streams.fetch_sub(1, SeqCst);
    }

    /// Whether no stream is taken.
    pub(super) fn is_idle(&self) -> bool {
        self.streams.load(SeqCst) == 0
    }

    /// Whether none was for so long.
    pub(super) fn has_idled(&self, now: Instant, longest: Duration) -> bool {
        let since = Duration::from_millis(self.idle_since.load(Relaxed));
        self.is_idle() && now.saturating_duration_since(self.made + since) > longest
    }

    /// Nothing came in time for what was asked at `since`. If nothing else came in the second half of that time, or
    /// nothing could be written in it, the endpoint may be gone without a word, and no other request is given to this
    /// connection.
    pub(super) fn doubt(&self, since: Instant) {
        let half = self.age(since + since.elapsed() / 2);
        let is_stalled = (1..=half).contains(&self.stalled_at.load(Relaxed));
        if is_stalled || self.read_at.load(Relaxed) < half {
            self.ends();
        }
    }

    fn age(&self, now: Instant) -> u64 {
        // Never 0, which stands for nothing yet.
        now.saturating_duration_since(self.made).as_millis() as u64 + 1
    }
}
