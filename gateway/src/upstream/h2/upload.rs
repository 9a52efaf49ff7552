//! The body of a request on its stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::message::body::{BodyFault, Outgoing};
use crate::upstream::times::Follows;

/// How much of a body that streams is held until the answer begins, in bytes: a request that the endpoint leaves out goes
/// over another connection with all of it.
const HELD: usize = 64 << 10;

/// A body on its way. One that streams tells how it goes on, and breaks when nobody waits for the answer any more.
pub(super) enum Upload {
    /// None, or all at once.
    Held(Outgoing),
    /// As it comes.
    Streamed(Arc<Course>, oneshot::Receiver<()>),
}

/// Who follows a body that streams: it is broken off when this is dropped.
pub(super) struct Follower {
    course: Arc<Course>,
    _wanted: oneshot::Sender<()>,
}

/// How a body goes on.
pub(super) struct Course {
    made: Instant,
    /// When a piece of it was taken last, in milliseconds since it was made.
    moved: AtomicU64,
    /// Whether it waits for who sends it, not for the endpoint.
    waits: AtomicBool,
    /// Whether it broke.
    broke: AtomicBool,
    /// None once it was taken back.
    body: Mutex<Option<Streamed>>,
}

/// A body that streams, and what was taken of it.
struct Streamed {
    rest: Outgoing,
    /// Of the whole.
    length: Option<u64>,
    /// All that was taken; none once that is too much, or the answer began.
    taken: Option<Vec<Frame<Bytes>>>,
    /// How much of it, in bytes.
    held: usize,
    ended: bool,
}

impl Upload {
    pub(super) fn new(body: Outgoing) -> (Self, Option<Follower>) {
        if matches!(body, Outgoing::Empty | Outgoing::Full(_)) {
            return (Self::Held(body), None);
        }
        let course = Arc::new(Course {
            made: Instant::now(),
            moved: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            broke: AtomicBool::new(false),
            body: Mutex::new(Some(Streamed {
                length: body.size_hint().exact(),
                rest: body,
                taken: Some(Vec::new()),
                held: 0,
                ended: false,
            })),
        });
        let (wanted, unwanted) = oneshot::channel();
        let follower = Follower {
            course: course.clone(),
            _wanted: wanted,
        };
        (Self::Streamed(course, unwanted), Some(follower))
    }

    /// The body, of which nothing was taken.
    pub(super) fn into_body(self) -> Outgoing {
        match self {
            Self::Held(body) => body,
            Self::Streamed(course, _) => course.take_back().unwrap_or(Outgoing::Empty),
        }
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

    /// The answer began: it goes nowhere else.
    pub(super) fn answered(&self) {
        if let Some(body) = &mut *self.course.body.lock() {
            body.taken = None;
        }
    }

    /// The body from its beginning, for another connection; none where more of it was taken than is held.
    pub(super) fn take_back(&self) -> Option<Outgoing> {
        self.course.take_back()
    }

    /// The answer is whole: nobody reads the rest.
    pub(super) fn leave(&self) {
        let rest = self.course.body.lock().take();
        drop(rest);
    }

    /// Whether the body broke, which is the doing of who sends it.
    pub(super) fn broke(&self) -> bool {
        self.course.broke.load(Relaxed)
    }
}

impl Follows for Course {
    fn since(&self) -> Option<Instant> {
        let moved = Duration::from_millis(self.moved.load(Relaxed));
        (!self.waits.load(Relaxed)).then(|| self.made + moved)
    }
}

impl Course {
    fn take_back(&self) -> Option<Outgoing> {
        if self.broke.load(Relaxed) {
            return None;
        }
        let mut body = self.body.lock();
        let body = body.take_if(|body| body.taken.is_some())?;
        let rest = match body.ended {
            true => Outgoing::Empty,
            false => body.rest,
        };
        Some(Outgoing::resumed(body.taken?, rest, body.length))
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let mut body = self.body.lock();
        let Some(body) = &mut *body else {
            return Poll::Ready(Some(Err(BodyFault::Broken)));
        };
        let polled = Pin::new(&mut body.rest).poll_frame(cx);
        self.waits.store(polled.is_pending(), Relaxed);
        if polled.is_ready() {
            let moved = self.made.elapsed().as_millis() as u64;
            self.moved.store(moved, Relaxed);
        }
        polled.map(|frame| self.passed(body, frame))
    }

    /// What goes out of it next.
    fn passed(
        &self,
        body: &mut Streamed,
        frame: Option<Result<Frame<Bytes>, BodyFault>>,
    ) -> Option<Result<Frame<Bytes>, BodyFault>> {
        match frame {
            Some(Ok(frame)) => {
                body.hold(&frame);
                Some(Ok(frame))
            }
            Some(Err(fault)) => {
                self.broke.store(true, Relaxed);
                Some(Err(fault))
            }
            None => {
                body.ended = true;
                None
            }
        }
    }
}

impl Streamed {
    fn hold(&mut self, frame: &Frame<Bytes>) {
        self.held += frame.data_ref().map_or(0, Bytes::len);
        let fits = self.held <= HELD;
        if let Some(taken) = self.taken.as_mut().filter(|_| fits) {
            let again = match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => Frame::data(data.clone()),
                (None, Some(trailers)) => Frame::trailers(trailers.clone()),
                (None, None) => return,
            };
            taken.push(again);
        } else {
            self.taken = None;
        }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut *self {
            Self::Held(body) => Pin::new(body).poll_frame(cx),
            Self::Streamed(course, unwanted) => match Pin::new(unwanted).poll(cx) {
                Poll::Ready(_) => Poll::Ready(Some(Err(BodyFault::Broken))),
                Poll::Pending => course.poll(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Held(body) => body.is_end_stream(),
            Self::Streamed(course, _) => {
                let body = course.body.lock();
                body.as_ref().is_some_and(|body| body.rest.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Held(body) => body.size_hint(),
            Self::Streamed(course, _) => {
                let body = course.body.lock();
                let hint = body.as_ref().map(|body| body.rest.size_hint());
                hint.unwrap_or_default()
            }
        }
    }
}
