//! What a client sends as the body of its request.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;

use super::pace::{Pace, Patience};
use super::{BodyFault, Received};
use crate::message::fields::may_trail;
use crate::message::headers::{is_among, is_padded, remove_where};
use crate::message::names;

/// What a request body did so far; shared with the exchange's owner. One thread touches it; the atomics and locks, which
/// are never waited for, are there because a request may be sent from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    /// The most bytes that it may have.
    limit: AtomicU64,
    received: AtomicU64,
    ended: AtomicBool,
    fault: Mutex<Option<BodyFault>>,
    /// A piece of it was taken, and the next was not asked for since.
    taken: AtomicBool,
    /// Trailers of these names do not pass.
    forgotten: Mutex<Vec<HeaderName>>,
    /// Whether it may be as slow as it likes, as long as something comes.
    at_leisure: AtomicBool,
    /// Whether what is not read of it is kept in [`Self::rest`].
    keeps_rest: AtomicBool,
    rest: Mutex<Option<Received>>,
}

impl Progress {
    /// The most bytes that it may have.
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Has it have at most so many from now on; 0: no limit.
    fn set_limit(&self, limit: u64) {
        let limit = if limit == 0 { u64::MAX } else { limit };
        self.limit.store(limit, Relaxed);
    }

    /// Bytes that came in.
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Whether its last byte came in.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Whether who takes it is at work on a piece, so that the next need not come yet.
    pub fn is_taken(&self) -> bool {
        self.taken.load(Relaxed)
    }

    /// Has no trailer of these names pass from now on.
    pub fn forget(&self, names: Vec<HeaderName>) {
        *self.forgotten.lock() = names;
    }

    /// Has it come as slowly as it likes, as long as something comes.
    pub fn may_take_its_time(&self) {
        self.at_leisure.store(true, Relaxed);
    }

    /// Why it broke, if it did.
    pub fn fault(&self) -> Option<BodyFault> {
        *self.fault.lock()
    }

    /// It broke.
    pub fn fail(&self, fault: BodyFault) {
        *self.fault.lock() = Some(fault);
    }

    /// What is left of the body, if it was dropped before its end. Nothing is kept from then on.
    pub fn take_rest(&self) -> Option<Received> {
        self.taken.store(false, Relaxed);
        let kept = self.keeps_rest.swap(false, Relaxed);
        kept.then(|| self.rest.lock().take()).flatten()
    }
}

/// Drains a short body that no phase wanted; whether its end was reached. A connection whose request
/// was not read to its end cannot serve another, but the answer waits meanwhile: until the deadline at most.
pub async fn discard(mut rest: Received, deadline: Option<Instant>) -> bool {
    if http_body::Body::size_hint(&rest).lower() > DISCARDED {
        return false;
    }
    let reading = async {
        let mut read = 0;
        while read <= DISCARDED {
            match rest.frame().await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len) as u64,
            }
        }
        false
    };
    let soon = Instant::now() + DISCARD_TIME;
    let until = deadline.map_or(soon, |deadline| deadline.min(soon));
    tokio::time::timeout_at(until.into(), reading)
        .await
        .unwrap_or(false)
}

/// How much of a request that no phase wants is read, in bytes, and for how long: a client that sends its body behind
/// its head is given the time of a round trip, one that waits for the answer first does not wait for long.
const DISCARDED: u64 = 64 << 10;
const DISCARD_TIME: Duration = Duration::from_millis(150);

/// The body of the client's request: limited in size, in the time between two frames, and at
/// the lower end in speed. Its trailers have what may
/// trail, under names that the listener lets pass.
pub struct ClientBody {
    /// None only when it is dropped.
    incoming: Option<Received>,
    /// What was read already, by a phase that wanted to hold it and met its limit.
    prefix: Option<Bytes>,
    patience: Patience,
    /// None where no trailers can come.
    names: Option<Arc<names::Rule>>,
    progress: Arc<Progress>,
}

impl ClientBody {
    /// Wraps a body of at most `limit` bytes (0: no limit) that comes at this pace. `keeps_rest`: what nobody reads of it
    /// can be had from the progress. `names` says which trailers pass.
    pub fn new(
        incoming: Received,
        limit: u64,
        pace: Pace,
        keeps_rest: bool,
        names: &Arc<names::Rule>,
    ) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress {
            keeps_rest: AtomicBool::new(keeps_rest),
            ..Progress::default()
        });
        progress.set_limit(limit);
        let comes = !http_body::Body::is_end_stream(&incoming);
        let body = Self {
            incoming: Some(incoming),
            prefix: None,
            patience: Patience::new(pace),
            names: comes.then(|| names.clone()),
            progress: progress.clone(),
        };
        (body, progress)
    }

    /// Has it have at most `limit` bytes, 0 for no limit: what the route says, in the place of what the listener said.
    pub fn set_limit(&self, limit: u64) {
        self.progress.set_limit(limit);
    }

    /// Whether it is announced to be larger than it may be.
    pub fn is_announced_too_large(&self) -> bool {
        http_body::Body::size_hint(self).lower() > self.progress.limit()
    }

    /// Puts bytes that were read before the rest again.
    pub fn prepend(&mut self, bytes: Bytes) {
        self.prefix = Some(bytes).filter(|bytes| !bytes.is_empty());
    }

    /// Removes the trailers that do not pass.
    #[cold]
    fn fit_to_trail(&self, trailers: &mut HeaderMap) -> Result<(), BodyFault> {
        if let Some(names) = &self.names {
            let judged = names.judge(trailers);
            judged.map_err(|names::Refused| BodyFault::Name)?;
        }
        if trailers.values().any(is_padded) {
            return Err(BodyFault::Broken);
        }
        let forgotten = self.progress.forgotten.lock();
        let is_forgotten = is_among(&forgotten);
        remove_where(trailers, |name| {
            !may_trail(name.as_str()) || is_forgotten(name)
        });
        Ok(())
    }

    fn is_all_in(&self) -> bool {
        self.incoming
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn ends(&self) {
        self.progress.ended.store(true, Relaxed);
        if let Some(incoming) = &self.incoming {
            incoming.is_read();
        }
    }

    fn fail(&mut self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.progress.fail(fault);
        Poll::Ready(Some(Err(fault)))
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        let progress = &self.progress;
        if progress.keeps_rest.load(Relaxed) && !progress.ended.load(Relaxed) && !self.is_all_in() {
            *progress.rest.lock() = self.incoming.take();
        }
    }
}

impl http_body::Body for ClientBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Some(prefix) = self.prefix.take() {
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        let Some(incoming) = self.incoming.as_mut() else {
            return Poll::Ready(None);
        };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.progress.taken.store(true, Relaxed);
                self.patience.met(length);
                if let Some(data) = frame.data_ref() {
                    let received = self.progress.received() + data.len() as u64;
                    self.progress.received.store(received, Relaxed);
                    if received > self.progress.limit() {
                        return self.fail(BodyFault::TooLarge);
                    }
                } else if let Some(trailers) = frame.trailers_mut()
                    && let Err(fault) = self.fit_to_trail(trailers)
                {
                    return self.fail(fault);
                }
                if self.is_all_in() {
                    self.ends();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(fault))) => self.fail(fault),
            Poll::Ready(None) => {
                self.ends();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let Self {
                    patience, progress, ..
                } = &mut *self;
                progress.taken.store(false, Relaxed);
                ready!(patience.poll(cx, || progress.at_leisure.load(Relaxed)));
                self.fail(BodyFault::Timeout)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.prefix.is_none() && self.is_all_in()
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.prefix.as_ref().map_or(0, Bytes::len) as u64;
        match self
            .incoming
            .as_ref()
            .and_then(|incoming| incoming.size_hint().exact())
        {
            Some(exact) => SizeHint::with_exact(exact + read),
            None => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ClientBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBody")
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
