//! The body of a request on its stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

use crate::message::body::Outgoing;

/// A body that hyper takes. One that streams tells how it goes on, and ends when nobody waits for the answer any more.
pub(super) struct Upload {
    body: Outgoing,
    followed: Option<(Arc<Course>, oneshot::Receiver<()>)>,
}

/// Who follows a body that streams: it is broken off when this is dropped.
pub(super) struct Follower {
    course: Arc<Course>,
    _wanted: oneshot::Sender<()>,
}

/// How a body goes on.
pub(in crate::upstream) struct Course {
    made: Instant,
    /// When a piece of it was taken last, in milliseconds since it was made.
    moved: AtomicU64,
    /// Whether it waits for who sends it, not for the endpoint.
    waits: AtomicBool,
}

impl Upload {
    pub(super) fn new(body: Outgoing) -> (Self, Option<Follower>) {
        if matches!(body, Outgoing::Empty | Outgoing::Full(_)) {
            let followed = None;
            return (Self { body, followed }, None);
        }
        let course = Arc::new(Course {
            made: Instant::now(),
            moved: AtomicU64::new(0),
            waits: AtomicBool::new(false),
        });
        let (wanted, unwanted) = oneshot::channel();
        let follower = Follower {
            course: course.clone(),
            _wanted: wanted,
        };
        let followed = Some((course, unwanted));
        (Self { body, followed }, Some(follower))
    }

    /// The body, of which nothing was taken.
    pub(super) fn into_body(self) -> Outgoing {
        self.body
    }
}

impl Follower {
    /// Since when the endpoint has been waited for; none while it is the client.
    pub(super) fn since(&self) -> Option<Instant> {
        self.course.since()
    }

    /// How it goes on, for who learns of the end.
    pub(super) fn course(&self) -> Arc<Course> {
        self.course.clone()
    }
}

impl Course {
    /// Since when the endpoint has been waited for; none while it is the client.
    pub(in crate::upstream) fn since(&self) -> Option<Instant> {
        let moved = Duration::from_millis(self.moved.load(Relaxed));
        (!self.waits.load(Relaxed)).then(|| self.made + moved)
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        // The one thing that the endpoint learns of what went wrong here.
        let cancelled = || h2::Error::from(h2::Reason::CANCEL);
        if let Some((_, unwanted)) = &mut self.followed
            && Pin::new(unwanted).poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(cancelled())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some((course, _)) = &self.followed {
            course.waits.store(polled.is_pending(), Relaxed);
            if polled.is_ready() {
                let moved = course.made.elapsed().as_millis() as u64;
                course.moved.store(moved, Relaxed);
            }
        }
        polled.map_err(|_| cancelled())
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
