//! Standard output and error of a guest: lines of the log, bounded like every other.
//!
//! What a guest writes is kept until its call ends: then the pieces are lines again, and the route is known.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::plugin::host::volume::Volume;
use crate::plugin::limits::take;
use crate::plugin::words::Words;

/// The longest write that is taken at once.
const PERMIT: usize = 4096;
/// Lines of one call.
const LINES: usize = 32;

/// Where a guest's standard output goes.
#[derive(Clone)]
pub(super) struct Output {
    left: Arc<AtomicUsize>,
    /// One instance's own: its lock is never waited for.
    written: Arc<Mutex<Written>>,
}

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    /// Bytes beyond what may be written.
    lost: usize,
}

impl Output {
    /// Takes from `left` what is written.
    pub(super) fn new(left: Arc<AtomicUsize>) -> Self {
        Self {
            left,
            written: Arc::default(),
        }
    }

    /// Writes what came since the last time to the log.
    pub(super) fn log(&self, volume: &Volume, route: &str, words: &Words) {
        let written = {
            let mut written = self.written.lock();
            if written.bytes.is_empty() && written.lost == 0 {
                return;
            }
            std::mem::take(&mut *written)
        };
        let text = String::from_utf8_lossy(&written.bytes);
        // A line whose end is lost may end in the middle of what is not to be shown.
        let whole = match written.lost {
            0 => text.len(),
            _ => text.rfind('\n').map_or(0, |end| end + 1),
        };
        let mut lines = text[..whole].lines().filter(|line| !line.trim().is_empty());
        let plugin = &*volume.plugin;
        for line in lines.by_ref().take(LINES) {
            if volume.is_spent() {
                continue;
            }
            let line = words.line(line, whole);
            if volume.take(route, line.len()) {
                tracing::info!(target: "gateway::plugin::log", plugin, route, "{line}");
            }
        }
        let (lines, bytes) = (lines.count(), written.lost + text.len() - whole);
        volume.lose(lines as u64);
        if (lines > 0 || bytes > 0) && volume.excess.pass().is_some() {
            tracing::warn!(
                plugin,
                route,
                lines,
                bytes,
                "the plugin wrote more in one call than it may; the rest is not in the log"
            );
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this one, and the gateway links 0.2.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut written = self.written.lock();
        if take(&self.left, bytes.len()) {
            written.bytes.extend_from_slice(&bytes);
        } else {
            written.lost += bytes.len();
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}
