//! What one call may use up: processor time, memory, host calls, log lines. An instance carries its budget and
//! refills it before every call.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::failure::Stop;
use super::meter::{Meter, Reading};
use super::ticker::{Clock, TICK};
use crate::config;
use crate::telemetry::metrics::PluginMetrics;

/// Calls into the host that one call of a plugin may make.
pub(super) const HOST_CALLS: u32 = 100_000;
/// Fields of one message that a plugin may bring it to.
pub(super) const FIELDS: usize = 1_000;
/// Bytes of fields that plugins may write in one exchange, whatever becomes of them. A field takes [`FIELD`] bytes beside
/// its name and value, and so does one that is removed.
pub(super) const WRITTEN: usize = 1 << 20;
pub(super) const FIELD: usize = 64;
/// Log lines of one call.
const LOG_LINES: u32 = 32;
/// Log bytes of one call.
const LOG_BYTES: usize = 16 << 10;
/// Elements of one table.
const TABLE_ELEMENTS: usize = 20_000;
/// Configuring, describing and instantiating may take this many times the processor time of a call, since they parse
/// and build what calls then use.
pub(super) const SETUP_FACTOR: u32 = 50;

/// What is left of a call's allowance.
#[derive(Debug)]
pub(super) struct Budget {
    metrics: Arc<PluginMetrics>,
    memory_limit: usize,
    memory: usize,
    memory_refused: bool,
    meter: Arc<Meter>,
    cpu: Duration,
    /// Ticks of the clock that the call has been charged for.
    ticks: u64,
    host_calls: u32,
    log_lines: u32,
    log_bytes: Arc<AtomicUsize>,
    log_suppressed: u32,
}

impl Budget {
    pub(super) fn new(
        plugin: &config::Plugin,
        metrics: Arc<PluginMetrics>,
        clock: Arc<Clock>,
    ) -> Self {
        Self {
            metrics,
            memory_limit: plugin.memory,
            memory: 0,
            memory_refused: false,
            meter: Arc::new(Meter::new(clock)),
            cpu: Duration::ZERO,
            ticks: 0,
            host_calls: 0,
            log_lines: 0,
            log_bytes: Arc::new(AtomicUsize::new(LOG_BYTES)),
            log_suppressed: 0,
        }
    }

    /// Refills everything for a call. Processor time is told by ticks: there is at least one.
    pub(super) fn refill(&mut self, cpu: Duration) {
        self.memory_refused = false;
        self.meter.begin();
        self.cpu = cpu.max(TICK);
        self.ticks = self.meter.ticks();
        self.host_calls = HOST_CALLS;
        self.log_lines = LOG_LINES;
        self.log_suppressed = 0;
        self.log_bytes.store(LOG_BYTES, Ordering::Relaxed);
    }

    /// What tells the processor time of the call in hand.
    pub(super) fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }

    /// The epoch moved on in the guest: one that used up its time is stopped, one that had the worker for a while
    /// makes way for the worker's other tasks, sockets and timers.
    pub(super) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let Reading { at_once, .. } = self.charge()?;
        if at_once < TICK / 2 {
            // It has only just begun, or come back.
            return Ok(UpdateDeadline::Continue(1));
        }
        self.meter.give_way();
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(GiveWay(false))))
    }

    /// Charges the call with what it has used.
    fn charge(&mut self) -> wasmtime::Result<Reading> {
        self.ticks = self.meter.ticks();
        let reading = self.meter.tick();
        let (used, allowed) = (reading.used, self.cpu);
        if used > allowed {
            return Err(Stop::Cpu { used, allowed }.into());
        }
        Ok(reading)
    }

    /// The host works for the guest, where no epoch interrupts: the guest is charged for it, and stopped where it has
    /// used up its time. To be called before each piece of work that takes microseconds.
    pub(super) fn host_work(&mut self) -> wasmtime::Result<()> {
        if self.meter.ticks() != self.ticks {
            self.charge()?;
        }
        Ok(())
    }

    /// The guest called the host.
    pub(super) fn host_call(&mut self) -> wasmtime::Result<()> {
        self.host_calls = self
            .host_calls
            .checked_sub(1)
            .ok_or(Stop::HostCalls(HOST_CALLS))?;
        self.host_work()
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

/// Leaves the call once. What polls the call knows why it was left, and comes back without being woken.
struct GiveWay(bool);

impl Future for GiveWay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match std::mem::replace(&mut self.0, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.metrics.memory_add(-signed(self.memory));
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Takes `bytes` from a budget, or nothing if there are not so many.
pub(super) fn take(budget: &AtomicUsize, bytes: usize) -> bool {
    budget
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(bytes)
        })
        .is_ok()
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
            self.metrics
                .memory_add(signed(total).saturating_sub(signed(self.memory)));
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
