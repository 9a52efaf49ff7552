//! What the guard notes of a connection for the watchdog and the handler, and the scale of its times.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64};
use std::sync::{LazyLock, Weak};
use std::task::{Context, Waker};
use std::time::Instant;

use parking_lot::Mutex;

use crate::clock;
use crate::message::body::Progress;
use crate::message::interim::Interim;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the process first asked, never 0.
pub(crate) fn now() -> u64 {
    at(clock::now())
}

/// An instant on the scale of [`now`].
pub(crate) fn at(instant: Instant) -> u64 {
    let since = instant.saturating_duration_since(*START);
    since.as_secs() * 1000 + u64::from(since.subsec_millis()) + 1
}

/// What the guard knows, for the watchdog and the handler. Only one thread touches it; it is atomic so that the stream
/// is `Send`, and relaxed access costs the same as a `Cell`.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    /// When the head (HTTP/2: the frame or header block) that is not complete began; 0: there is none.
    pub(crate) head_since: AtomicU64,
    /// Since when the client takes nothing of what waits to be written; 0: nothing waits.
    pub(crate) write_since: AtomicU64,
    /// HTTP/1: whom to wake when it takes something again.
    behind_write: Mutex<Option<Waker>>,
    /// How many heads of requests came whole.
    pub(crate) heads: AtomicU64,
    /// Something of the body behind the last head is to come.
    pub(crate) body_to_come: AtomicBool,
    /// The last that came.
    pub(crate) body: Mutex<Weak<Progress>>,
    /// The status that answers the head after the ones passed on; 0: none. Set once, and nothing is read after. Over HTTP/2 that
    /// of what is malformed is told and not answered.
    pub(crate) refuse: AtomicU16,
    /// The number (from 1) of the head that carried Content-Length and Transfer-Encoding; 0: none did.
    pub(crate) ambiguous: AtomicU64,
    /// A head asked for an upgrade, whatever became of it.
    pub(crate) asked_upgrade: AtomicBool,
    /// The number of the head that asked for an upgrade and is not answered with a refusal; 0: none. What comes behind
    /// its request waits for the answer.
    pub(crate) upgrade: AtomicU64,
    /// It was answered with 101: the bytes are the tunnel's.
    pub(crate) tunnel: AtomicBool,
    /// Whom to wake when it is refused.
    pub(crate) behind_upgrade: Mutex<Option<Waker>>,
    /// The client sent its last byte.
    pub(crate) eof: AtomicBool,
    /// The socket is to be reset, not closed.
    pub(crate) reset: AtomicBool,
    /// HTTP/1: what is to be written before the answer to the request in hand.
    pub(crate) interim: Interim,
    /// HTTP/1: a request is served.
    pub(crate) serving: AtomicBool,
    /// Bytes wait that are not read while it is served: they hide whether the client is still there.
    pub(crate) unwatched: AtomicBool,
    /// The socket is to be asked.
    pub(crate) look: AtomicBool,
    /// HTTP/2: the last stream whose head is longer than heads may be; 0: none.
    pub(crate) long_head: AtomicU32,
}

impl Clocks {
    /// Of a connection whose first head began at that time; 0: it has not.
    pub(crate) fn since(head: u64) -> Self {
        Self {
            head_since: AtomicU64::new(head),
            ..Self::default()
        }
    }

    /// Whether who takes the body has not asked for more of it.
    pub(crate) fn is_body_taken(&self) -> bool {
        let body = self.body.lock().upgrade();
        body.is_some_and(|body| body.is_taken())
    }

    /// Whether the client takes nothing of what waits to be written. If so, the task is woken when it does.
    pub(crate) fn is_stalled(&self, cx: &Context<'_>) -> bool {
        let stalled = self.write_since.load(Relaxed) != 0;
        if stalled {
            *self.behind_write.lock() = Some(cx.waker().clone());
        }
        stalled
    }

    /// The client takes something again.
    pub(crate) fn stalls_no_more(&self) {
        self.write_since.store(0, Relaxed);
        if let Some(waker) = self.behind_write.lock().take() {
            waker.wake();
        }
    }

    /// The upgrade that was asked for is refused: what came behind it is the next request.
    pub(crate) fn refuse_upgrade(&self) {
        self.upgrade.store(0, Relaxed);
        if let Some(waker) = self.behind_upgrade.lock().take() {
            waker.wake();
        }
    }
}
