//! What one call may use up: processor time, memory, host calls, log lines. An instance carries its budget and
//! refills it before every call.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::failure::{Failure, FailureKind, Stop};
use super::meter::{Meter, Reading};
use super::room::Lease;
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
/// Log lines of one plugin in a second, over all its calls.
pub(super) const LOG_LINES_PER_SECOND: u64 = 200;
/// Log bytes of one plugin in a second, as they are written.
pub(super) const LOG_BYTES_PER_SECOND: u64 = 64 << 10;
/// What a call may compute beside `cpu` for each MiB that is held for it. The worst body takes the slowest shipped plugin 110 ms
/// where it shares a core.
const CPU_PER_MIB: Duration = Duration::from_millis(200);
/// How many times what is held for a call its memory may grow by, beside `memory`. A tree of a document takes a few
/// words for a byte or two of it.
const MEMORY_PER_HELD: usize = 32;
/// A call that holds at least so much is a large one: it runs on a fibre, since it may take long, and room is made sure
/// of before it. Others take what they need as they need it.
pub(super) const LARGE: usize = 64 << 10;
/// How many times as large as what is held for a call a body may be that the call sets.
const GROWTH: usize = 32;
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
    /// What of the process's room it has: at least its memory.
    lease: Lease,
    /// The process had no room for it.
    no_room: bool,
    /// Bytes that are held for the call: bodies that it sees, answers to its sub-requests.
    held: usize,
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
        lease: Lease,
    ) -> Self {
        Self {
            metrics,
            memory_limit: plugin.memory,
            memory: 0,
            memory_refused: false,
            lease,
            no_room: false,
            held: 0,
            meter: Arc::new(Meter::new(clock)),
            cpu: Duration::ZERO,
            ticks: 0,
            host_calls: 0,
            log_lines: 0,
            log_bytes: Arc::new(AtomicUsize::new(LOG_BYTES)),
            log_suppressed: 0,
        }
    }

    /// Refills everything for a call for which so many bytes are held. Processor time is told by ticks: there is at
    /// least one.
    pub(super) fn refill(&mut self, cpu: Duration, held: usize) {
        self.memory_refused = false;
        self.no_room = false;
        self.meter.begin();
        self.cpu = cpu.max(TICK);
        self.held = 0;
        self.hold(held);
        self.ticks = self.meter.ticks();
        self.host_calls = HOST_CALLS;
        self.log_lines = LOG_LINES;
        self.log_suppressed = 0;
        self.log_bytes.store(LOG_BYTES, Ordering::Relaxed);
    }

    /// So many bytes more are held for the call, which may compute and grow the more.
    pub(super) fn hold(&mut self, bytes: usize) {
        if bytes > 0 {
            self.held = self.held.saturating_add(bytes);
            self.cpu = self.cpu.saturating_add(cpu_for(bytes));
        }
    }

    /// The largest body that the call may set where `body_limit` is so much.
    pub(super) fn largest_body(&self, body_limit: usize) -> usize {
        body_limit.max(self.held.saturating_mul(GROWTH))
    }

    /// Waits for the room of a call that holds so much.
    ///
    /// # Errors
    /// If there is none before `deadline`.
    pub(super) async fn room_by(&mut self, held: usize, deadline: Instant) -> Result<(), Failure> {
        let (_, most) = self.lease.most();
        let wanted = wanted(held, self.memory, self.memory_limit).min(most);
        match self.lease.cover_by(wanted, deadline).await {
            true => Ok(()),
            false => {
                let wanted = wanted.saturating_sub(self.memory).div_ceil(1 << 10);
                let what = format!("no room for {wanted} KiB of memory within `timeout`");
                Err(no_room(&what, self.lease.most().0))
            }
        }
    }

    /// The call is over: what it did not grow by is for others.
    pub(super) fn settle(&mut self) {
        self.lease.shrink(self.memory);
    }

    /// The linear memory of the instance, bytes.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Why the guest was refused memory in this call, if it was.
    pub(super) fn refusal(&self) -> Option<Failure> {
        if self.no_room {
            let what = format!("no room to grow beyond {} KiB", self.memory >> 10);
            return Some(no_room(&what, self.lease.most().0));
        }
        let text = "more memory was asked for than `memory` allows";
        self.memory_refused
            .then(|| Failure::new(FailureKind::Memory, text))
    }

    /// Whether the instance has more memory than `memory` allows one that holds nothing.
    pub(super) fn has_grown(&self) -> bool {
        self.memory > self.memory_limit
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

/// What a call may compute for so many bytes that are held for it.
fn cpu_for(bytes: usize) -> Duration {
    let nanos = CPU_PER_MIB.as_nanos().saturating_mul(bytes as u128) >> 20;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// What the process must have room for before a call that holds so much, in an instance that has `memory` and may have
/// `limit` where it holds nothing.
pub(super) fn wanted(held: usize, memory: usize, limit: usize) -> usize {
    if held < LARGE {
        return 0;
    }
    let held = held.saturating_mul(MEMORY_PER_HELD);
    // A part of `memory` is for what is held, too, and not all of it for a little.
    let own = memory.saturating_add(held).min(limit);
    own.saturating_add(held).max(memory)
}

/// A call came to nothing, since all instances together have as much memory as they may.
pub(super) fn no_room(what: &str, total: usize) -> Failure {
    let total = total >> 20;
    let text = format!("{what}: all plugins together have {total} MiB by `server.plugin_memory`");
    Failure::new(FailureKind::NoRoom, text)
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
        let held = self.held.saturating_mul(MEMORY_PER_HELD);
        let limit = self.memory_limit.saturating_add(held);
        if total > limit || maximum.is_some_and(|maximum| desired > maximum) {
            self.memory_refused = true;
            return Ok(false);
        }
        if !self.lease.cover(total) {
            self.no_room = true;
            return Ok(false);
        }
        self.metrics
            .memory_add(signed(total).saturating_sub(signed(self.memory)));
        self.memory = total;
        Ok(true)
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
