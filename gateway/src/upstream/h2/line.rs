//! The connections of HTTP/2 that one worker has to one endpoint, and who opens the next.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::connection::Shared;
use super::stream::Stream;
use crate::message::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;
use crate::upstream::pool::Places;

/// How long it is remembered that an endpoint chose HTTP/1.1.
const H1_FOR: Duration = Duration::from_mins(1);

/// The connections to an endpoint.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Line {
    /// Of which the first are filled first, so that the others come to rest.
    connections: Mutex<Vec<Shared>>,
    /// There while one is being opened: everyone else waits for it.
    opening: Mutex<Option<Outcome>>,
    /// How many wait, and whether who opens one waits for a place in the pool.
    waiting: AtomicUsize,
    is_full: AtomicBool,
    /// Told of each stream that is given back.
    freed: Arc<Notify>,
    /// Over which TLS it chose HTTP/1.1, and until when that counts.
    h1: Mutex<Option<(usize, Instant)>>,
}

/// How an opening ended: by a failure that is everyone's, or in the end of its sender.
type Outcome = watch::Receiver<Option<(ErrorKind, String)>>;

/// Whose turn it is.
pub(super) enum Turn {
    /// To open a connection.
    Open(Opening),
    /// To wait for the one that is being opened.
    Wait(Outcome),
}

/// A connection is being opened, until this is dropped.
pub(super) struct Opening {
    line: Arc<Line>,
    outcome: watch::Sender<Option<(ErrorKind, String)>>,
}

impl Line {
    /// A stream over this TLS, if one is free.
    pub(super) fn take(&self, mark: usize) -> Option<Stream> {
        let mut connections = self.connections.lock();
        connections.retain(|connection| !connection.state.is_over());
        let free = connections
            .iter()
            .find(|connection| connection.take(mark))?;
        Some(Stream::new(free.clone(), self.freed.clone()))
    }

    /// Waits for one that is given back.
    pub(super) async fn freed(&self, mark: usize) -> Stream {
        loop {
            self.freed.notified().await;
            if let Some(stream) = self.take(mark) {
                return stream;
            }
        }
    }

    /// Keeps a connection for the requests to come.
    pub(super) fn add(&self, connection: Shared) {
        self.connections.lock().push(connection);
    }

    /// Whose turn it is to open one.
    pub(super) fn turn(self: &Arc<Self>) -> Turn {
        let mut opening = self.opening.lock();
        if let Some(outcome) = &*opening {
            return Turn::Wait(outcome.clone());
        }
        let (sender, outcome) = watch::channel(None);
        *opening = Some(outcome);
        Turn::Open(Opening {
            line: self.clone(),
            outcome: sender,
        })
    }

    /// Counts one who waits, while what this returns lives; none if the pool is full and so many wait already, with who
    /// waits for a place in it.
    pub(super) fn enter(
        self: &Arc<Self>,
        most: usize,
        metrics: &Arc<UpstreamMetrics>,
    ) -> Option<Waiting> {
        let is_full = self.is_full.load(Relaxed);
        let free = |waiting| (!is_full || waiting + 1 < most).then_some(waiting + 1);
        self.waiting.fetch_update(Relaxed, Relaxed, free).ok()?;
        metrics.waits(1);
        Some(Waiting {
            line: self.clone(),
            metrics: metrics.clone(),
        })
    }

    /// Who opens one waits for a place in the pool, if it takes time, while what this returns lives.
    pub(super) fn seek(&self) -> Seeking<'_> {
        self.is_full.store(true, Relaxed);
        Seeking(self)
    }

    /// Whether the endpoint chose HTTP/1.1 lately.
    pub(super) fn speaks_h1(&self, mark: usize) -> bool {
        let now = Instant::now();
        let h1 = self.h1.lock();
        h1.is_some_and(|(of, until)| of == mark && now < until)
    }

    /// It did.
    pub(super) fn chose_h1(&self, mark: usize) {
        *self.h1.lock() = Some((mark, Instant::now() + H1_FOR));
    }

    /// Lets those go that are over, or idled too long.
    pub(in crate::upstream) fn sweep(&self, now: Instant) {
        let mut connections = self.connections.lock();
        connections.retain(|connection| connection.is_kept(now));
    }

    /// Lets one go that carries nothing, of these places. Whether there was one.
    pub(in crate::upstream) fn give_up(&self, places: &Arc<Places>) -> bool {
        let mut connections = self.connections.lock();
        let idle = connections.iter().position(|it| it.is_idle_of(places));
        idle.is_some_and(|at| {
            connections.remove(at);
            true
        })
    }
}

impl Opening {
    /// It failed, for all who wait.
    pub(super) fn failed(self, kind: ErrorKind, why: &str) {
        // Without anyone who waits it is told to nobody.
        let _told = self.outcome.send(Some((kind, why.to_owned())));
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        *self.line.opening.lock() = None;
    }
}

/// One who waits.
pub(super) struct Waiting {
    line: Arc<Line>,
    metrics: Arc<UpstreamMetrics>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.line.waiting.fetch_sub(1, Relaxed);
        self.metrics.waits(-1);
    }
}

/// A place is sought.
pub(super) struct Seeking<'a>(&'a Line);

impl Drop for Seeking<'_> {
    fn drop(&mut self) {
        self.0.is_full.store(false, Relaxed);
    }
}
