//! Standard output and error of a guest: lines of the log, bounded like every other.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::plugin::limits::take;

/// The longest write that is taken at once.
const PERMIT: usize = 4096;

/// Where a guest's standard output goes.
#[derive(Clone)]
pub(super) struct Output {
    plugin: Arc<str>,
    left: Arc<AtomicUsize>,
}

impl Output {
    pub(super) fn new(plugin: &Arc<str>, left: Arc<AtomicUsize>) -> Self {
        Self {
            plugin: plugin.clone(),
            left,
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
        if take(&self.left, bytes.len()) {
            for line in String::from_utf8_lossy(&bytes)
                .lines()
                .filter(|line| !line.trim().is_empty())
            {
                tracing::info!(target: "gateway::plugin::log", plugin = &*self.plugin, "{}", line.escape_debug());
            }
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
