//! What the guard notes of a connection for the watchdog and the handler, and the scale of its times.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64};
use std::time::Instant;

use super::window::Window;
use crate::clock;

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

/// What the guard knows, for the watchdog and the handler. Only one thread touches it; it is atomic because hyper
/// wants a stream that is `Send` where upgrades are possible, and relaxed access costs the same as a `Cell`.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    /// When the head (HTTP/2: the frame or header block) that is not complete began; 0: there is none.
    pub(crate) head_since: AtomicU64,
    /// Since when the client takes nothing of what waits to be written; 0: nothing waits.
    pub(crate) write_since: AtomicU64,
    /// How many requests of HTTP/1 came, when all of the last one is there; 0: something of it is to come.
    pub(crate) whole: AtomicU64,
    /// The status that answers the head after the ones passed on; 0: none. Set once, and nothing is read after.
    pub(crate) refuse: AtomicU16,
    /// The number (from 1) of the head that carried Content-Length and Transfer-Encoding; 0: none did.
    pub(crate) ambiguous: AtomicU64,
    /// What becomes of the bytes after a head that asked for an upgrade.
    pub(crate) upgrade: AtomicU16,
    /// The client sent its last byte.
    pub(crate) eof: AtomicBool,
    /// The socket is to be reset, not closed.
    pub(crate) reset: AtomicBool,
    /// HTTP/2: what the client has room for.
    pub(crate) window: Window,
}

/// Values of [`Clocks::upgrade`].
pub(crate) mod upgrade {
    /// No head asked for it.
    pub(crate) const NONE: u16 = 0;
    /// Asked, not yet answered.
    pub(crate) const ASKED: u16 = 1;
    /// Bytes came before the answer; they passed unseen.
    pub(crate) const AHEAD: u16 = 2;
    /// Answered with 101: the bytes are the tunnel's.
    pub(crate) const TUNNEL: u16 = 3;
}
