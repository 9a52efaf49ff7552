//! What an HTTP/2 client has room for (RFC 9113, 5.2), read off its frames.
//!
//! h2 takes a chunk of a body whole once there is room for a byte of it, and hyper then forgets a stream that has
//! ended: what is left may lie there for as long as the client likes. A sender can ask here first.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU32};

/// The window of streams and connections before the client changes it (RFC 9113, 6.9.2).
const DEFAULT_WINDOW: u32 = 65_535;

/// Relaxed for the same reason as [`Clocks`](super::clocks::Clocks).
#[derive(Debug)]
pub(crate) struct Window {
    /// The window of a new stream.
    stream: AtomicU32,
    /// The window of the connection less all that was sent or waits to be. Data of streams that were reset is
    /// never given back, so it errs to the safe side.
    connection: AtomicI64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            stream: AtomicU32::new(DEFAULT_WINDOW),
            connection: AtomicI64::new(i64::from(DEFAULT_WINDOW)),
        }
    }
}

impl Window {
    /// SETTINGS_INITIAL_WINDOW_SIZE came.
    pub(super) fn settle(&self, window: u32) {
        self.stream.store(window, Relaxed);
    }

    /// WINDOW_UPDATE of the connection came.
    pub(super) fn widen(&self, by: u32) {
        self.add(i64::from(by));
    }

    /// So many bytes of a body are about to be sent.
    pub(crate) fn spend(&self, bytes: usize) {
        self.add(i64::try_from(bytes).map_or(i64::MIN, |bytes| -bytes));
    }

    fn add(&self, change: i64) {
        let connection = self.connection.load(Relaxed);
        self.connection
            .store(connection.saturating_add(change), Relaxed);
    }

    /// Whether the client has room for everything that was spent and for `sent` bytes on one stream, so that it
    /// need not be waited for. A window that a stream was given later is not counted.
    pub(crate) fn has_room(&self, sent: u64) -> bool {
        sent <= u64::from(self.stream.load(Relaxed)) && self.connection.load(Relaxed) >= 0
    }
}
