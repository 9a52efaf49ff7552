//! Shares of a worker's time: what slow calls of plugins may take of it, so that they starve none of its other work.
//!
//! A call is slow once it has used a whole tick of processor time. The slow calls of one plugin wait in one queue and run
//! one after the other, a tick at a time; an account says when the next tick may begin, so that they take a quarter of
//! the worker, and those of all plugins half. A call that begins has its first ticks out of another account, a part of
//! the same quarter: quick calls do not wait behind slow ones of their own plugin. A plugin that has not been slow
//! lately is asked nothing. A slow call that is the only one of its plugin has what nobody else wants of an idle worker:
//! a large document takes no longer than it must where nobody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::admission::{Admission, Admitted};
use super::failure::{Failure, FailureKind};
use super::host::Shared;
use super::lately::Lately;
use super::ticker::TICK;

/// The slow calls of all plugins take one part in so many of a worker.
const ALL: u32 = 2;
/// Those of one plugin.
const PLUGIN: u32 = 4;
/// Of these, what calls use until they are known to be slow.
const STARTS: u32 = 6;
/// What may be used at once, after a time without slow calls. Other tasks have their turn after each tick of it.
const BURST: Duration = TICK.saturating_mul(25);
/// Calls that compute at once, of a plugin that is not known to be slow: a tick alone comes to any call, but hardly to so
/// many before the first of them has had its next turn.
const CROWD: usize = 25;
/// Ticks after which a slow call goes to the end of the queue of its plugin: those of the default of `cpu`.
const STINT: u32 = 10;
/// `complete` phases of one plugin that a worker calls at once, and how many more wait: no client waits for them, and
/// some may sleep.
const COMPLETING: usize = 64;
const COMPLETE_WAITING: usize = 1_000;

/// What all plugins share of one worker.
#[derive(Debug)]
pub(super) struct WorkerShare {
    /// Whose turn it is.
    turn: Semaphore,
    account: Account,
    lately: Lately,
}

impl Default for WorkerShare {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            account: Account::new(ALL),
            lately: Lately::default(),
        }
    }
}

/// The share of one plugin of one worker.
pub(super) struct Share {
    worker: Arc<WorkerShare>,
    plugin: Arc<Shared>,
    /// The first of the calls that wait to begin.
    starts: Semaphore,
    starting: Account,
    /// The one slow call that runs, turn by turn.
    running: Arc<Semaphore>,
    account: Account,
    /// Those that hold large bodies.
    admission: Admission,
    completing: Semaphore,
    completions: AtomicUsize,
    /// Calls that wait for their share.
    waiting: AtomicUsize,
    /// Calls that gave way and are not done: they want the worker again.
    computing: AtomicUsize,
}

impl Share {
    pub(super) fn new(worker: Arc<WorkerShare>, workers: usize, plugin: Arc<Shared>) -> Self {
        Self {
            worker,
            plugin,
            starts: Semaphore::new(1),
            starting: Account::new(STARTS),
            running: Arc::new(Semaphore::new(1)),
            account: Account::new(PLUGIN),
            admission: Admission::new(workers),
            completing: Semaphore::new(COMPLETING),
            completions: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            computing: AtomicUsize::new(0),
        }
    }

    /// Whether the worker is lent to a call: it has nothing else to do, and no other call of the plugin wants it, of which
    /// so many are this one. What is lent is not owed.
    fn lends(&self, now: Instant, own: usize) -> bool {
        let is_alone = [&self.waiting, &self.computing]
            .iter()
            .all(|count| count.load(Ordering::Relaxed) <= own);
        let lends = is_alone && self.worker.lately.is_idle(now);
        if lends {
            for account in [&self.starting, &self.account, &self.worker.account] {
                account.forgive(now);
            }
        }
        lends
    }

    /// Lets a call begin that may need so much room, where its plugin may have `most`. None: its turn did not come in time.
    pub(super) async fn admit(
        &self,
        bytes: usize,
        most: usize,
        deadline: Instant,
    ) -> Option<Admitted> {
        if let Some(admitted) = self.admission.try_begin(bytes, most) {
            return Some(admitted);
        }
        let _waiting = self.waiting();
        self.throttled();
        let admitted = self.admission.begin(bytes, most);
        let admitted = tokio::time::timeout_at(deadline.into(), admitted).await;
        admitted.ok().flatten()
    }

    /// Whether so many calls compute that a burst of slow ones has come: what is known of a call that is slow is known
    /// only when it is over.
    pub(super) fn is_crowded(&self) -> bool {
        self.computing.load(Ordering::Relaxed) >= CROWD
    }

    /// Lets a call begin, of a plugin that was slow lately or has a crowd. Until its first tick it runs without a pause, so that what it
    /// uses is charged before the next one begins.
    ///
    /// # Errors
    /// If the plugin has used up its share for longer than until `deadline`.
    pub(super) async fn enter(&self, deadline: Instant) -> Result<(), Failure> {
        let now = Instant::now();
        let free = self.starts.available_permits() > 0
            && self.starting.is_paid(now)
            && self.worker.account.is_paid(now);
        if free || self.lends(now, 0) {
            return Ok(());
        }
        let _waiting = self.waiting();
        self.throttled();
        let entered = async {
            let _first = self.starts.acquire().await;
            self.starting.paid().await;
            self.worker.turn().await;
        };
        let entered = tokio::time::timeout_at(deadline.into(), entered).await;
        entered.map_err(|_elapsed| {
            let text = "not begun within the time that `timeout` allows: slow calls of the plugin have used up its \
                        share of the worker";
            Failure::new(FailureKind::Timeout, text)
        })
    }

    /// Lets a `complete` phase begin.
    ///
    /// # Errors
    /// If too many wait, or as [`Self::enter`].
    pub(super) async fn complete(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(place) = self.completing.try_acquire() {
            return Ok(place);
        }
        let _waiting = self.waiting();
        let _place = Place::take(&self.completions).ok_or_else(|| {
            let text = format!("{COMPLETE_WAITING} of its `complete` phases wait already");
            Failure::new(FailureKind::Crowded, text)
        })?;
        let place = tokio::time::timeout_at(deadline.into(), self.completing.acquire()).await;
        let place = place.ok().and_then(Result::ok);
        place.ok_or_else(|| {
            let text = format!("{COMPLETING} of its `complete` phases are running already");
            Failure::new(FailureKind::Crowded, text)
        })
    }

    /// A call has used so much of the worker: in its first turn, or in a later one.
    pub(super) fn charge(&self, used: Duration, first: bool) {
        let now = Instant::now();
        if first {
            self.starting.charge(used, now);
        }
        self.account.charge(used, now);
        self.worker.account.charge(used, now);
        self.worker.lately.slow(used);
    }

    /// A call has to wait for its share.
    fn throttled(&self) {
        self.plugin.metrics.throttled();
        let Some(others) = self.plugin.throttled.pass() else {
            return;
        };
        tracing::warn!(
            plugin = &*self.plugin.plugin.name,
            others,
            "slow calls of the plugin wait: they have used up its share of a worker, a quarter of its time"
        );
    }

    fn waiting(&self) -> Waiting<'_> {
        self.plugin.metrics.waiting_add(1);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }
}

/// A call that wants the worker again.
pub(super) struct Computing<'a>(&'a Share);

impl Share {
    pub(super) fn computing(&self) -> Computing<'_> {
        self.computing.fetch_add(1, Ordering::Relaxed);
        Computing(self)
    }
}

impl Drop for Computing<'_> {
    fn drop(&mut self) {
        self.0.computing.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call that waits for its share, as the metrics have it.
struct Waiting<'a>(&'a Share);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.plugin.metrics.waiting_add(-1);
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place among the `complete` phases that wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(taken: &'a AtomicUsize) -> Option<Self> {
        let more = |taken| (taken < COMPLETE_WAITING).then_some(taken + 1);
        let took = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        took.is_ok().then_some(Self(taken))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl WorkerShare {
    /// Waits until plugins may have the worker again, in the order in which they ask.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        let turn = self.turn.acquire().await.ok();
        self.account.paid().await;
        turn
    }
}

/// The turns of one slow call.
#[derive(Default)]
pub(super) struct Turns {
    /// Its place at the head of the queue.
    place: Option<OwnedSemaphorePermit>,
    /// Turns since it came there.
    had: u32,
    throttled: bool,
    /// How long it waited for them.
    pub(super) waited: Duration,
}

impl Turns {
    /// Waits for the next turn, which lasts as long as what this returns.
    pub(super) async fn next<'a>(&mut self, share: &'a Share) -> Option<SemaphorePermit<'a>> {
        let began = Instant::now();
        let _waiting = share.waiting();
        if self.had >= STINT {
            self.rest();
        }
        if self.place.is_none() {
            // Never closed.
            self.place = share.running.clone().acquire_owned().await.ok();
        }
        if !share.lends(began, 1) {
            share.account.paid().await;
        }
        let turn = share.worker.turn().await;
        self.had += 1;
        let waited = began.elapsed();
        self.waited += waited;
        if waited >= TICK && !self.throttled {
            self.throttled = true;
            share.throttled();
        }
        turn
    }

    /// The call waits for something else, or goes to the end of the queue.
    pub(super) fn rest(&mut self) {
        self.place = None;
        self.had = 0;
    }
}

/// Until when what was used takes the share: each tick stands for as many as the share is a part of.
#[derive(Debug)]
struct Account {
    parts: u32,
    paid: Mutex<Option<Instant>>,
}

impl Account {
    fn new(parts: u32) -> Self {
        Self {
            parts,
            paid: Mutex::new(None),
        }
    }

    fn charge(&self, used: Duration, now: Instant) {
        let burst = BURST * self.parts;
        let earliest = now.checked_sub(burst).unwrap_or(now);
        let mut paid = self.paid.lock();
        let from = paid.map_or(earliest, |paid| paid.max(earliest));
        *paid = Some(from + used * self.parts);
    }

    /// Nothing is owed any more.
    fn forgive(&self, now: Instant) {
        let mut paid = self.paid.lock();
        *paid = paid.map(|paid| paid.min(now));
    }

    fn due(&self) -> Option<Instant> {
        *self.paid.lock()
    }

    fn is_paid(&self, now: Instant) -> bool {
        self.due().is_none_or(|due| due <= now)
    }

    /// Waits until there is room for another turn.
    async fn paid(&self) {
        while let Some(due) = self.due()
            && due > Instant::now()
        {
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_a_burst_and_then_its_part_of_the_time() {
        let account = Account::new(PLUGIN);
        let mut now = Instant::now();
        let began = now;
        let mut used = 0;
        // A call that always wants more, for a second.
        while now < began + Duration::from_secs(1) {
            if account.is_paid(now) {
                used += 1;
                now += TICK;
                account.charge(TICK, now);
            } else {
                now = account.due().unwrap();
            }
        }
        let share = 1_000 / PLUGIN;
        let burst = u32::try_from(BURST.as_millis()).unwrap();
        assert!((share..=share + burst + 2).contains(&used), "{used}");
    }
}
