//! A worker's instances of one plugin. A call takes an idle one, or makes one; what did not end well is not put
//! back. Another worker comes near only when the plugin has as many instances as it may and needs an idle one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;

use super::admission::{Admitted, Entered};
use super::failure::{Failure, FailureKind};
use super::instance::Instance;
use super::limits::{LARGE, no_room, wanted};
use super::linked::Linked;
use super::room::{Lease, Spare};
use super::shares::Share;
use crate::exchange::FilterId;

/// Idle instances a worker keeps of one plugin.
const IDLE: usize = 64;
/// Configurations that a warm instance has taken beforehand; others are taken at their first call.
const WARM_FILTERS: usize = 32;

/// Instances of one plugin on one worker.
pub struct Pool {
    linked: Arc<Linked>,
    /// Every worker's.
    idle: Arc<IdleInstances>,
    worker: usize,
    /// What its slow calls may take of the worker.
    share: Arc<Share>,
}

/// Those of all workers.
struct IdleInstances(Box<[Idle]>);

/// The idle instances of one worker, on cache lines of their own.
#[derive(Default)]
#[repr(align(128))]
struct Idle(Mutex<Vec<Leased>>);

/// An instance with its place among those the plugin may have. The place is free for another before the memory is given
/// back, which takes long.
pub(super) struct Leased {
    permit: Permit,
    pub(super) instance: Box<Instance>,
}

struct Permit(Arc<Linked>);

impl Permit {
    /// One of those that all versions of the plugin have together.
    fn take(linked: &Arc<Linked>) -> Option<Self> {
        let max = linked.config.instances.max;
        let more = |living| (living < max).then_some(living + 1);
        let living = &linked.living_of_all;
        let taken = living.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok()?;
        linked.living.fetch_add(1, Ordering::Relaxed);
        linked.shared.metrics.instances_add(1);
        Some(Self(linked.clone()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.living.fetch_sub(1, Ordering::Relaxed);
        self.0.living_of_all.fetch_sub(1, Ordering::Relaxed);
        self.0.shared.metrics.instances_add(-1);
    }
}

impl Pool {
    /// One for each worker, without instances yet.
    pub fn of_workers(linked: &Arc<Linked>, workers: usize) -> Vec<Arc<Self>> {
        let idle = (0..workers).map(|_| Idle::default()).collect();
        let idle = Arc::new(IdleInstances(idle));
        let spare: Arc<dyn Spare> = idle.clone();
        linked.room.may_drop(Arc::downgrade(&spare));
        let pool = |worker| {
            Arc::new(Self {
                linked: linked.clone(),
                idle: idle.clone(),
                worker,
                share: Arc::new(Share::new(
                    linked.engine.share(worker),
                    workers,
                    linked.shared.clone(),
                )),
            })
        };
        (0..workers).map(pool).collect()
    }

    /// The plugin.
    pub fn linked(&self) -> &Arc<Linked> {
        &self.linked
    }

    /// Idle instances right now.
    pub fn idle(&self) -> usize {
        self.own().lock().len()
    }

    /// Makes idle instances until there are `count`, so that the first requests need not.
    pub async fn warm(&self, count: usize) {
        if self.linked.config.instances.fresh {
            return;
        }
        while self.idle() < count.min(IDLE) {
            // The version in force needs its instances: none makes way for one that nobody asked for yet.
            let Some(permit) = Permit::take(&self.linked) else {
                return;
            };
            let Ok(mut leased) = self.make(permit, Instant::now(), None).await else {
                return;
            };
            for filter in (0..self.linked.filters().min(WARM_FILTERS)).map(FilterId) {
                let json = self.linked.filter_json(filter);
                if !matches!(leased.instance.configure(filter, json).await, Ok(Ok(_))) {
                    return;
                }
            }
            leased.instance.share(&self.share);
            self.give_back(leased);
        }
    }

    /// What its slow calls may take of the worker.
    pub(super) fn share(&self) -> &Share {
        &self.share
    }

    /// Waits until a call may begin that holds so much and must be over at `deadline`; a light one waits only where the
    /// plugin was slow lately, or many of its calls compute.
    pub(super) async fn enter(&self, held: usize, deadline: Instant) -> Result<Entered, Failure> {
        let admitted = match held < LARGE {
            true => None,
            false => Some(self.admit(held, deadline).await?),
        };
        if self.linked.patience.wants_fibre() || self.share.is_crowded() {
            self.share.enter(deadline).await?;
        }
        Ok(Entered { held, admitted })
    }

    /// Waits for the turn of a call that holds much.
    async fn admit(&self, held: usize, deadline: Instant) -> Result<Admitted, Failure> {
        let linked = &self.linked;
        let (total, most) = linked.room.most();
        let bytes = wanted(held, linked.footprint, linked.config.memory);
        let admitted = self.share.admit(bytes, most, deadline).await;
        admitted.ok_or_else(|| match linked.room.is_waited_for() {
            true => no_room("not begun within `timeout`, since calls before it wait", total),
            false => {
                let text = "not begun within the time that `timeout` allows: other calls of the plugin that hold large \
                            bodies have used up its share of the worker";
                Failure::new(FailureKind::Timeout, text)
            }
        })
    }

    /// An idle instance, if there is one.
    pub(super) fn take_idle(&self) -> Option<Leased> {
        self.own().lock().pop()
    }

    /// An idle instance, or a new one as soon as there is room for it.
    pub(super) async fn take(&self, deadline: Instant) -> Result<Leased, Failure> {
        match self.take_idle() {
            Some(leased) => Ok(leased),
            None => {
                let permit = self.permit()?;
                self.make(permit, deadline, Some(self.share.clone())).await
            }
        }
    }

    /// Keeps an instance for the next call if it is fit for one, and no other waits for its room.
    pub(super) fn give_back(&self, mut leased: Leased) {
        let instances = &self.linked.config.instances;
        let is_kept = !instances.fresh && leased.instance.is_fit(instances.recycle_after);
        if !is_kept || self.linked.room.is_short() {
            return;
        }
        leased.instance.guest().route = None;
        let mut idle = self.own().lock();
        if idle.len() < IDLE {
            idle.push(leased);
        }
    }

    fn own(&self) -> &Mutex<Vec<Leased>> {
        &self.idle.0[self.worker].0
    }

    /// A new instance as soon as there is room for it; its calls take their turns where it has a share.
    async fn make(
        &self,
        permit: Permit,
        deadline: Instant,
        share: Option<Arc<Share>>,
    ) -> Result<Leased, Failure> {
        let linked = &*self.linked;
        let mut lease = Lease::new(linked.room.clone());
        if !lease.cover_by(linked.footprint, deadline).await {
            let what = "no room for another instance within `timeout`";
            return Err(no_room(what, lease.most().0));
        }
        let instance = Instance::new(
            linked.engine.wasmtime(),
            &linked.resolved,
            &linked.exports,
            linked.shared.clone(),
            lease,
            share,
        )
        .await;
        Ok(Leased {
            permit,
            instance: Box::new(instance.inspect_err(|_| linked.patience.suspect())?),
        })
    }

    /// A place for one more instance; an idle one of any worker and version makes way if there is none.
    fn permit(&self) -> Result<Permit, Failure> {
        loop {
            if let Some(permit) = Permit::take(&self.linked) {
                return Ok(permit);
            }
            if !self.linked.room.drop_own() {
                let max = self.linked.config.instances.max;
                let text = format!("all {max} instances that `instances.max` allows are in use");
                return Err(Failure::new(FailureKind::Instances, text));
            }
        }
    }
}

impl Spare for IdleInstances {
    fn drop_one(&self) -> bool {
        let idle = self.0.iter().find_map(|idle| idle.0.lock().pop());
        idle.is_some()
    }
}

impl Drop for IdleInstances {
    /// Those of a version that is no longer in force: all their places are free at once.
    fn drop(&mut self) {
        let idle = self
            .0
            .iter_mut()
            .flat_map(|idle| idle.0.get_mut().drain(..));
        let (permits, instances): (Vec<_>, Vec<_>) =
            idle.map(|leased| (leased.permit, leased.instance)).unzip();
        drop(permits);
        drop(instances);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("plugin", &self.linked.name)
            .field("idle", &self.idle())
            .finish_non_exhaustive()
    }
}
