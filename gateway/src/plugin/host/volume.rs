//! How much one plugin writes to the log, over all its calls: so many lines and bytes in a second.

use std::sync::Arc;

use crate::plugin::limits::{LOG_BYTES_PER_SECOND, LOG_LINES_PER_SECOND};
use crate::telemetry::log_gate::LogGate;
use crate::telemetry::metrics::PluginMetrics;

/// What a plugin may still log.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) plugin: Arc<str>,
    metrics: Arc<PluginMetrics>,
    lines: LogGate,
    /// Bounds what is said of calls that log too much.
    pub(super) excess: LogGate,
}

impl Volume {
    pub(super) fn new(plugin: Arc<str>, metrics: Arc<PluginMetrics>) -> Self {
        Self {
            plugin,
            metrics,
            lines: LogGate::of(LOG_LINES_PER_SECOND, LOG_BYTES_PER_SECOND),
            excess: LogGate::new(),
        }
    }

    /// Whether no line can be written in this second any more, so that none needs to be made; then it counts.
    pub(super) fn is_spent(&self) -> bool {
        let spent = self.lines.is_shut();
        if spent {
            self.lines.suppress();
            self.lose(1);
        }
        spent
    }

    /// Whether a line of so many bytes may be written now. Tells the operator of those that could not.
    pub(super) fn take(&self, route: &str, bytes: usize) -> bool {
        let Some(suppressed) = self.lines.pass_bytes(bytes) else {
            self.lose(1);
            return false;
        };
        if suppressed > 0 {
            tracing::warn!(
                plugin = &*self.plugin,
                route,
                suppressed,
                "{suppressed} log lines of the plugin were not written: it may write {LOG_LINES_PER_SECOND} lines and \
                 {} KiB in a second",
                LOG_BYTES_PER_SECOND >> 10
            );
        }
        true
    }

    /// Counts lines that are not written.
    pub(super) fn lose(&self, lines: u64) {
        self.metrics.log_suppressed(lines);
    }
}
