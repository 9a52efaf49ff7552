//! The connections of HTTP/2 that one worker has to one endpoint, and who opens the next.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::connection::Shared;
use super::kept::Kept;
use super::stream::Stream;
use crate::message::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::SendError;
use crate::upstream::pool::Places;

/// How long it is remembered that an endpoint chose HTTP/1.1.
const H1_FOR: Duration = Duration::from_mins(1);

/// The connections to an endpoint.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Line {
    kept: Arc<Kept>,
    /// There while one is being opened: everyone else waits for it.
    opening: Mutex<Option<Outcome>>,
    /// Whether who opens one waits for a place in the pool.
    is_full: AtomicBool,
    /// Who chose HTTP/1.1, over which TLS, and until when that counts. Another endpoint may have this line later.
    h1: Mutex<Option<(Weak<Endpoint>, usize, Instant)>>,
}

/// How an opening ended: by a failure that is everyone's, or in the end of its sender.
pub(super) type Outcome = watch::Receiver<Option<Failure>>;

/// Why an opening failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    kind: ErrorKind,
    why: String,
    /// How long was tried. Who may wait for longer tries again.
    limit: Duration,
    /// Whether one of those who waited has told of it.
    told: Arc<AtomicBool>,
}

impl Failure {
    /// Whether it is no failure for one who may wait for so long.
    pub(super) fn came_too_soon(&self, patience: Duration) -> bool {
        let is_late = matches!(self.kind, ErrorKind::ConnectTimeout | ErrorKind::Saturated);
        is_late && self.limit < patience
    }

    /// The failure of one who waited: the first of them tells of it, since it is one.
    pub(super) fn of_one(&self) -> SendError {
        let error = SendError::new(self.kind, self.why.clone());
        match self.told.swap(true, Relaxed) {
            true => error.blameless(),
            false => error,
        }
    }
}

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
    outcome: watch::Sender<Option<Failure>>,
}

impl Line {
    /// A stream over this TLS, if one is free.
    pub(super) fn take(&self, mark: usize) -> Option<Stream> {
        let connection = self.kept.take(mark)?;
        Some(Stream::new(connection, self.kept.clone()))
    }

    /// Waits for one that is given back.
    pub(super) async fn freed(&self, mark: usize) -> Stream {
        loop {
            self.kept.freed().await;
            if let Some(stream) = self.take(mark) {
                return stream;
            }
        }
    }

    /// Keeps a new connection for the requests to come, and takes the first stream of it, whoever waits for its place;
    /// none if it has ended.
    pub(super) fn add(&self, connection: Shared) -> Option<Stream> {
        let is_there = connection.state.take();
        let first = is_there.then(|| Stream::new(connection.clone(), self.kept.clone()));
        self.kept.add(connection);
        first
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

    /// Counts one who waits, while what this returns lives; none if the pool is full and so many wait already, over all
    /// workers and endpoints. For a connection that is being opened all may wait.
    pub(super) fn enter(&self, most: usize, metrics: &Arc<UpstreamMetrics>) -> Option<Waiting> {
        if self.is_full.load(Relaxed) && metrics.waiting() >= most as u64 {
            return None;
        }
        metrics.waits(1);
        Some(Waiting(metrics.clone()))
    }

    /// Who opens one waits for a place in the pool, if it takes time, while what this returns lives.
    pub(super) fn seek(&self) -> Seeking<'_> {
        self.is_full.store(true, Relaxed);
        Seeking(self)
    }

    /// Whether the endpoint chose HTTP/1.1 lately.
    pub(super) fn speaks_h1(&self, endpoint: &Arc<Endpoint>, mark: usize) -> bool {
        let now = Instant::now();
        let h1 = self.h1.lock();
        h1.as_ref().is_some_and(|(who, over, until)| {
            std::ptr::eq(who.as_ptr(), Arc::as_ptr(endpoint)) && *over == mark && now < *until
        })
    }

    /// It did.
    pub(super) fn chose_h1(&self, endpoint: &Arc<Endpoint>, mark: usize) {
        let chosen = (Arc::downgrade(endpoint), mark, Instant::now() + H1_FOR);
        *self.h1.lock() = Some(chosen);
    }

    /// Lets those go that are over, or idled too long.
    pub(in crate::upstream) fn sweep(&self, now: Instant) {
        self.kept.sweep(now);
    }

    /// Lets one go that carries nothing, of these places. Whether there was one.
    pub(in crate::upstream) fn give_up(&self, places: &Arc<Places>) -> bool {
        self.kept.give_up(places)
    }
}

impl Opening {
    /// Whose it is.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// How it will end.
    pub(super) fn outcome(&self) -> Outcome {
        self.outcome.subscribe()
    }

    /// It failed, tried for so long at most, for all who wait no longer. Whoever opens it may have told of that already.
    pub(super) fn failed(self, error: &SendError, limit: Duration, told: bool) {
        let failure = Failure {
            kind: error.kind,
            why: error.why.clone(),
            limit,
            told: Arc::new(AtomicBool::new(told)),
        };
        // Without anyone who waits it is told to nobody.
        let _told = self.outcome.send(Some(failure));
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        *self.line.opening.lock() = None;
    }
}

/// One who waits.
pub(super) struct Waiting(Arc<UpstreamMetrics>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waits(-1);
    }
}

/// A place is sought.
pub(super) struct Seeking<'a>(&'a Line);

impl Drop for Seeking<'_> {
    fn drop(&mut self) {
        self.0.is_full.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;
    use crate::upstream::tests::{first, upstream};

    #[test]
    fn no_more_wait_for_a_full_pool_than_may_on_all_workers_together() {
        let metrics = Metrics::new(1).upstream("a");
        let lines = [(); 2].map(|()| Line::default());
        let opened = lines[0].enter(1, &metrics);
        assert!(opened.is_some() && lines[1].enter(1, &metrics).is_some());
        let _full = lines.each_ref().map(Line::seek);
        let second = lines[1].enter(2, &metrics);
        assert!(second.is_some() && lines[0].enter(2, &metrics).is_none());
        drop(opened);
        assert!(lines[0].enter(2, &metrics).is_some());
    }

    #[test]
    fn what_one_endpoint_chose_is_not_said_of_another_that_has_its_line_later() {
        let line = Line::default();
        let upstreams = ["[::1]:1", "[::1]:2"].map(|at| upstream(&[at]));
        let [before, after] = upstreams.each_ref().map(|upstream| first(upstream));
        line.chose_h1(before, 7);
        assert!(line.speaks_h1(before, 7) && !line.speaks_h1(before, 8));
        assert!(!line.speaks_h1(after, 7));
    }
}
