//! Shares of a worker's time: what slow calls of plugins may take of it, so that they starve none of its other work.
//!
//! A call is slow once it has used a whole tick of processor time. The slow calls of one plugin wait in one queue and run
//! one after the other, a tick at a time; an account says when the next tick may begin, so that they take a quarter of
//! the worker, and those of all plugins half. A call that begins has its first ticks out of another account, a part of
//! the same quarter: quick calls do not wait behind slow ones of their own plugin. A plugin that has not been slow
//! lately is asked nothing.
//!
//! A worker lends what nobody else wants. A slow call that is the only one of the worker has what is left where there is
//! next to nothing else to do: a large document takes no longer than it must where nobody waits. The slow calls of a
//! plugin that end by themselves have what is left where all other work takes less than half: that is work that is
//! wanted. One that was cut off is why there are shares.

mod account;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::admission::{Admission, Admitted};
use super::failure::{Failure, FailureKind};
use super::host::Shared;
use super::lately::{Lately, Load};
use super::ticker::TICK;
use account::Account;

/// The slow calls of all plugins take one part in so many of a worker.
const ALL: u32 = 2;
/// Those of one plugin.
const PLUGIN: u32 = 4;
/// Of these, what calls use until they are known to be slow.
const STARTS: u32 = 6;
/// Calls that compute at once, of a plugin that is not known to be slow: a tick alone comes to any call, but hardly to so
/// many before the first of them has had its next turn.
const CROWD: usize = 25;
/// Calls of one plugin that may begin beside a crowd of others, and of one whose calls are wanted, where the worker lends.
const FEW: usize = 2;
/// Calls after one that was cut off, for which the worker lends its plugin nothing.
const CALLS: u32 = 1_000;
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
    /// Calls that wait for their share.
    waiting: AtomicUsize,
    /// Calls that gave way and are not done: they want the worker again.
    computing: AtomicUsize,
}

impl Default for WorkerShare {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            account: Account::new(ALL),
            lately: Lately::default(),
            waiting: AtomicUsize::new(0),
            computing: AtomicUsize::new(0),
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
    /// Those of the worker that are of this plugin.
    computing: AtomicUsize,
    /// One of them is done.
    freed: Notify,
    /// Calls that have to end by themselves before the worker lends again.
    distrust: AtomicU32,
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
            computing: AtomicUsize::new(0),
            freed: Notify::new(),
            distrust: AtomicU32::new(0),
        }
    }

    /// Whether the worker is lent to a call: of all that want it, so many are this one, and there is next to nothing else to
    /// do; or the calls of the plugin are wanted. What is lent is not owed.
    fn lends(&self, now: Instant, own: usize) -> bool {
        let worker = &self.worker;
        let is_alone = [&worker.waiting, &worker.computing]
            .iter()
            .all(|count| count.load(Ordering::Relaxed) <= own);
        let most = match (is_alone, self.is_wanted()) {
            (_, true) => Load::Light,
            (true, false) => Load::Idle,
            (false, false) => return false,
        };
        let lends = worker.lately.load(now) <= most;
        if lends {
            for account in [&self.starting, &self.account, &worker.account] {
                account.forgive(now);
            }
        }
        lends
    }

    /// Whether the calls of the plugin end by themselves.
    fn is_wanted(&self) -> bool {
        self.distrust.load(Ordering::Relaxed) == 0
    }

    /// A call is over: by itself, or it was cut off.
    pub(super) fn ended(&self, by_itself: bool) {
        match (by_itself, self.distrust.load(Ordering::Relaxed)) {
            (true, 0) => {}
            (true, left) => self.distrust.store(left - 1, Ordering::Relaxed),
            (false, _) => self.distrust.store(CALLS, Ordering::Relaxed),
        }
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
        let own = self.computing.load(Ordering::Relaxed);
        own >= CROWD || own >= FEW && self.worker.computing.load(Ordering::Relaxed) >= CROWD
    }

    /// Lets a call begin, of a plugin that was slow lately or has a crowd. Until its first tick it runs without a pause, so
    /// that what it uses is charged before the next one begins.
    ///
    /// # Errors
    /// If the plugin has used up its share for longer than until `deadline`.
    pub(super) async fn enter(&self, deadline: Instant) -> Result<(), Failure> {
        let now = Instant::now();
        let free = self.starts.available_permits() > 0
            && self.starting.is_paid(now)
            && self.worker.account.is_paid(now);
        let may_begin = free || self.is_quiet() && self.lends(now, 0);
        if may_begin && self.worker.computing.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let _waiting = (!may_begin).then(|| self.waiting());
        let entered = async {
            let mut is_lent = may_begin;
            let _first = match may_begin {
                true => None,
                false => {
                    // Never closed.
                    let first = self.starts.acquire().await.ok();
                    is_lent = self.paid_or_lent().await;
                    first
                }
            };
            if !is_lent {
                self.throttled();
            }
            drop(self.worker.turn(is_lent).await);
        };
        let entered = tokio::time::timeout_at(deadline.into(), entered).await;
        entered.map_err(|_elapsed| {
            self.throttled();
            let text = "not begun within the time that `timeout` allows: slow calls of the plugin have used up its \
                        share of the worker";
            Failure::new(FailureKind::Timeout, text)
        })
    }

    /// Whether one more call may begin where the worker lends: neither do others wait, nor do many compute. So a burst has not
    /// its first ticks all at once.
    fn is_quiet(&self) -> bool {
        self.starts.available_permits() > 0 && self.computing.load(Ordering::Relaxed) < FEW
    }

    /// Waits until the first of the calls that wait may begin. Whether what it uses is lent.
    async fn paid_or_lent(&self) -> bool {
        loop {
            let now = Instant::now();
            // Where it is asked again, this one is among those that wait.
            if self.computing.load(Ordering::Relaxed) < FEW && self.lends(now, 1) {
                return true;
            }
            let Some(due) = self.starting.due().filter(|due| *due > now) else {
                return false;
            };
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                () = self.freed.notified() => {}
            }
        }
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
        self.worker.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }
}

/// A call that wants the worker again.
pub(super) struct Computing<'a>(&'a Share);

impl Share {
    pub(super) fn computing(&self) -> Computing<'_> {
        self.computing.fetch_add(1, Ordering::Relaxed);
        self.worker.computing.fetch_add(1, Ordering::Relaxed);
        Computing(self)
    }
}

impl Drop for Computing<'_> {
    fn drop(&mut self) {
        self.0.computing.fetch_sub(1, Ordering::Relaxed);
        self.0.worker.computing.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

/// A call that waits for its share, as the metrics have it.
struct Waiting<'a>(&'a Share);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.plugin.metrics.waiting_add(-1);
        self.0.worker.waiting.fetch_sub(1, Ordering::Relaxed);
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
    /// Waits until plugins may have the worker again, unless it is lent, in the order in which they ask, and until it has
    /// looked for other work: a turn that is handed on leaves it no time for that.
    async fn turn(&self, is_lent: bool) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        let turn = self.turn.acquire().await.ok();
        if !is_lent {
            self.account.paid().await;
        }
        tokio::task::yield_now().await;
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
        let is_lent = share.lends(Instant::now(), 1);
        if !is_lent {
            share.account.paid().await;
        }
        let turn = share.worker.turn(false).await;
        self.had += 1;
        let waited = began.elapsed();
        self.waited += waited;
        if waited >= TICK && !is_lent && !self.throttled {
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
