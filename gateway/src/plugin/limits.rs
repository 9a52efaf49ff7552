//! What one call may use up: guest time, memory, host calls, log lines. An instance carries its budget and
//! refills it before every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::engine::TICK;
use super::failure::Stop;
use crate::config;

/// Calls into the host that one call of a plugin may make.
pub(super) const HOST_CALLS: u32 = 100_000;
/// Fields of one message that a plugin may bring it to.
pub(super) const FIELDS: usize = 1_000;
/// Log lines of one call.
const LOG_LINES: u32 = 32;
/// Log bytes of one call.
const LOG_BYTES: usize = 16 << 10;
/// Elements of one table.
const TABLE_ELEMENTS: usize = 20_000;
/// Configuring, describing and instantiating may take this many times the guest time of a call, since they parse
/// and build what calls then use.
pub(super) const SETUP_FACTOR: u64 = 50;

/// What is left of a call's allowance.
#[derive(Debug)]
pub(super) struct Budget {
    memory_limit: usize,
    memory: usize,
    memory_refused: bool,
    ticks: u64,
    tick_limit: u64,
    /// The guest was waiting in the host when the epoch moved on: the next tick is not its fault.
    waited: bool,
    host_calls: u32,
    log_lines: u32,
    log_bytes: Arc<AtomicUsize>,
    log_suppressed: u32,
}

impl Budget {
    pub(super) fn new(plugin: &config::Plugin) -> Self {
        Self {
            memory_limit: plugin.memory,
            memory: 0,
            memory_refused: false,
            ticks: 0,
            tick_limit: 0,
            waited: false,
            host_calls: 0,
            log_lines: 0,
            log_bytes: Arc::new(AtomicUsize::new(LOG_BYTES)),
            log_suppressed: 0,
        }
    }

    /// Refills everything for a call.
    pub(super) fn refill(&mut self, tick_limit: u64) {
        self.memory_refused = false;
        self.ticks = 0;
        self.tick_limit = tick_limit;
        self.waited = false;
        self.host_calls = HOST_CALLS;
        self.log_lines = LOG_LINES;
        self.log_suppressed = 0;
        self.log_bytes.store(LOG_BYTES, Ordering::Relaxed);
    }

    /// One tick of the epoch passed in the guest: the worker's other tasks get their turn, and a guest that used
    /// up its time is stopped.
    pub(super) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        if std::mem::take(&mut self.waited) {
            return Ok(UpdateDeadline::Continue(1));
        }
        self.ticks += 1;
        if self.ticks > self.tick_limit {
            return Err(Stop::Cpu(self.tick_limit).into());
        }
        Ok(UpdateDeadline::Yield(1))
    }

    /// Ticks of the call so far.
    pub(super) fn ticks(&self) -> u64 {
        self.ticks
    }

    /// The guest waited in the host.
    pub(super) fn waited(&mut self) {
        self.waited = true;
    }

    /// The guest called the host.
    pub(super) fn host_call(&mut self) -> wasmtime::Result<()> {
        self.host_calls = self
            .host_calls
            .checked_sub(1)
            .ok_or(Stop::HostCalls(HOST_CALLS))?;
        Ok(())
    }

    /// Whether a log line of that length may still be written.
    pub(super) fn log_line(&mut self, bytes: usize) -> bool {
        if self.log_lines > 0 && take(&self.log_bytes, bytes) {
            self.log_lines -= 1;
            return true;
        }
        self.log_suppressed += 1;
        false
    }

    /// How many log lines were suppressed in this call.
    pub(super) fn log_suppressed(&self) -> u32 {
        self.log_suppressed
    }

    /// The bytes left for the log, shared with standard output and error.
    pub(super) fn log_bytes(&self) -> Arc<AtomicUsize> {
        self.log_bytes.clone()
    }

    /// Whether the guest was refused memory in this call.
    pub(super) fn memory_refused(&self) -> bool {
        self.memory_refused
    }

    /// Whether the instance has grown so large that a new one is better.
    pub(super) fn bloated(&self) -> bool {
        self.memory > self.memory_limit / 2
    }
}

/// Takes `bytes` from a budget, or nothing if there are not so many.
pub(super) fn take(budget: &AtomicUsize, bytes: usize) -> bool {
    budget
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(bytes)
        })
        .is_ok()
}

/// A duration in ticks, rounded up, at least one.
pub(super) fn ticks(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(TICK.as_millis()))
        .unwrap_or(u64::MAX)
        .max(1)
}

impl ResourceLimiter for Budget {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        let allowed =
            total <= self.memory_limit && maximum.is_none_or(|maximum| desired <= maximum);
        if allowed {
            self.memory = total;
        } else {
            self.memory_refused = true;
        }
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= TABLE_ELEMENTS && maximum.is_none_or(|maximum| desired <= maximum);
        self.memory_refused |= !allowed;
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        16
    }

    fn tables(&self) -> usize {
        16
    }

    fn memories(&self) -> usize {
        4
    }
}
