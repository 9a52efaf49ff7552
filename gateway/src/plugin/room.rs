//! Room for the memories of all instances together: `server.plugin_memory`.
//!
//! Half of it is guaranteed, an equal share for each plugin; the other half is lent to the calls that need it first.
//! Where there is no room, idle instances are dropped to make some, and a call waits for what is still missing: calls of
//! one plugin in their order, and those that need what is lent in theirs.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The room of the process, and who has it.
#[derive(Default)]
pub(super) struct Rooms {
    ledger: Mutex<Ledger>,
    freed: Notify,
    /// Whose turn it is to have of what is lent.
    lent: tokio::sync::Mutex<()>,
    /// Calls that wait for room.
    waiting: AtomicUsize,
}

struct Ledger {
    total: usize,
    /// What each plugin of the configuration is guaranteed.
    share: usize,
    accounts: BTreeMap<Arc<str>, Account>,
}

/// What one plugin has, whatever its version.
#[derive(Default)]
struct Account {
    used: usize,
    /// It is in the configuration: it has a share.
    is_guaranteed: bool,
    spares: Vec<Weak<dyn Spare>>,
    /// Only the first call of a plugin watches what is freed; those behind it wait for their turn.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Instances of all its versions.
    living: Arc<AtomicUsize>,
}

/// Instances that nobody uses.
pub(super) trait Spare: Send + Sync {
    /// Drops one of them, if there is one.
    fn drop_one(&self) -> bool;
}

impl Default for Ledger {
    /// Nothing is guaranteed, and everything lent.
    fn default() -> Self {
        Self {
            total: 1 << 30,
            share: 0,
            accounts: BTreeMap::new(),
        }
    }
}

impl Ledger {
    fn guaranteed(&self, account: &Account) -> usize {
        if account.is_guaranteed { self.share } else { 0 }
    }

    /// What is not guaranteed to one plugin.
    fn lendable(&self) -> usize {
        let guaranteed = self.accounts.values();
        let guaranteed: usize = guaranteed.map(|account| self.guaranteed(account)).sum();
        self.total.saturating_sub(guaranteed)
    }

    /// Takes so much more for a plugin, if that is there; of what is lent, if it `borrows`.
    fn take(&mut self, name: &Arc<str>, bytes: usize, borrows: bool) -> bool {
        let Some(account) = self.accounts.get(name) else {
            return false;
        };
        let used = account.used.saturating_add(bytes);
        let own = used.saturating_sub(self.guaranteed(account));
        let others = self.accounts.iter().filter(|(other, _)| *other != name);
        let lent = others.map(|(_, other)| other.used.saturating_sub(self.guaranteed(other)));
        // A share is there whatever the others have.
        let fits = own == 0 || borrows && lent.fold(own, usize::saturating_add) <= self.lendable();
        if fits && let Some(account) = self.accounts.get_mut(name) {
            account.used = used;
        }
        fits
    }

    /// The idle instances of a plugin, and, if it `borrows`, of those that have more than their share.
    fn spares(&self, name: &Arc<str>, borrows: bool) -> Vec<Arc<dyn Spare>> {
        let own = self.accounts.get(name).into_iter();
        let others = self
            .accounts
            .iter()
            .filter(|_| borrows)
            .filter(|(other, account)| *other != name && account.used > self.guaranteed(account));
        let all = own.chain(others.map(|(_, account)| account));
        all.flat_map(|account| account.spares.iter().filter_map(Weak::upgrade))
            .collect()
    }
}

impl Rooms {
    /// Divides so much room among these plugins, from now on; what is in use stays in use.
    pub(super) fn divide<'a>(&self, total: usize, plugins: impl Iterator<Item = &'a Arc<str>>) {
        let mut ledger = self.ledger.lock();
        let accounts = &mut ledger.accounts;
        for account in accounts.values_mut() {
            account.is_guaranteed = false;
        }
        let mut count = 0;
        for name in plugins {
            accounts.entry(name.clone()).or_default().is_guaranteed = true;
            count += 1;
        }
        for account in accounts.values_mut() {
            account.spares.retain(|spare| spare.strong_count() > 0);
        }
        accounts.retain(|_, account| {
            let is_counted = Arc::strong_count(&account.living) > 1;
            account.is_guaranteed || account.used > 0 || !account.spares.is_empty() || is_counted
        });
        ledger.total = total;
        ledger.share = share(total, count);
        drop(ledger);
        self.freed.notify_waiters();
    }

    /// The number of living instances of one plugin, whatever their version.
    pub(super) fn living(&self, name: &Arc<str>) -> Arc<AtomicUsize> {
        let mut ledger = self.ledger.lock();
        let account = ledger.accounts.entry(name.clone()).or_default();
        account.living.clone()
    }

    /// That of one plugin.
    pub(super) fn room(self: &Arc<Self>, name: &Arc<str>) -> Room {
        Room {
            rooms: self.clone(),
            name: name.clone(),
        }
    }
}

/// What each of so many plugins is guaranteed of a total.
pub(super) fn share(total: usize, plugins: usize) -> usize {
    total / 2 / plugins.max(1)
}

/// The room of one plugin.
#[derive(Clone)]
pub(super) struct Room {
    rooms: Arc<Rooms>,
    name: Arc<str>,
}

impl Room {
    /// These instances may be dropped where room is short.
    pub(super) fn may_drop(&self, spare: Weak<dyn Spare>) {
        let mut ledger = self.rooms.ledger.lock();
        let account = ledger.accounts.entry(self.name.clone()).or_default();
        account.spares.retain(|spare| spare.strong_count() > 0);
        account.spares.push(spare);
    }

    /// Whether a call of the plugin waits for room, or one of another while the plugin has more than is guaranteed to it:
    /// then nothing of it is kept for later.
    pub(super) fn is_short(&self) -> bool {
        self.rooms.waiting.load(Ordering::Relaxed) > 0 && self.is_owing()
    }

    #[cold]
    fn is_owing(&self) -> bool {
        let ledger = self.rooms.ledger.lock();
        let account = ledger.accounts.get(&self.name);
        account.is_some_and(|account| {
            account.used > ledger.guaranteed(account) || account.turn.try_lock().is_err()
        })
    }

    /// Whether a call of the plugin waits for room.
    pub(super) fn is_waited_for(&self) -> bool {
        let ledger = self.rooms.ledger.lock();
        let account = ledger.accounts.get(&self.name);
        account.is_some_and(|account| account.turn.try_lock().is_err())
    }

    /// Drops an idle instance of the plugin, the oldest version's first; whether there was one.
    pub(super) fn drop_own(&self) -> bool {
        let spares = self.rooms.ledger.lock().spares(&self.name, false);
        spares.iter().any(|spare| spare.drop_one())
    }

    /// The room of the process, and the most that this plugin can have of it.
    pub(super) fn most(&self) -> (usize, usize) {
        let ledger = self.rooms.ledger.lock();
        let account = ledger.accounts.get(&self.name);
        let share = account.map_or(0, |account| ledger.guaranteed(account));
        (ledger.total, share + ledger.lendable())
    }

    /// What the plugin has, and what of it is guaranteed.
    pub(super) fn reserved(&self) -> (usize, usize) {
        let ledger = self.rooms.ledger.lock();
        let account = ledger.accounts.get(&self.name);
        account.map_or((0, 0), |account| (account.used, ledger.guaranteed(account)))
    }

    /// Takes so much if it is there, or can be made by dropping idle instances.
    fn take(&self, bytes: usize, borrows: bool) -> bool {
        loop {
            let spares = {
                let mut ledger = self.rooms.ledger.lock();
                ledger.accounts.entry(self.name.clone()).or_default();
                if ledger.take(&self.name, bytes, borrows) {
                    return true;
                }
                ledger.spares(&self.name, borrows)
            };
            // Without the lock: an instance gives back what it had.
            if !spares.iter().any(|spare| spare.drop_one()) {
                return false;
            }
        }
    }

    /// Takes so much as soon as it is there; whether it was there in time.
    async fn take_by(&self, bytes: usize, deadline: Instant) -> bool {
        let turn = {
            let mut ledger = self.rooms.ledger.lock();
            let account = ledger.accounts.entry(self.name.clone()).or_default();
            account.turn.clone()
        };
        if let Ok(_first) = turn.try_lock()
            && self.take(bytes, self.rooms.lent.try_lock().is_ok())
        {
            return true;
        }
        let _waiting = Waiting::new(&self.rooms.waiting);
        let taken = async {
            let _turn = turn.lock().await;
            let mut lent = pin!(self.rooms.lent.lock());
            let mut borrows = None;
            loop {
                let mut freed = pin!(self.rooms.freed.notified());
                freed.as_mut().enable();
                if self.take(bytes, borrows.is_some()) {
                    return;
                }
                tokio::select! {
                    () = freed => {}
                    lent = &mut lent, if borrows.is_none() => borrows = Some(lent),
                }
            }
        };
        tokio::time::timeout_at(deadline.into(), taken)
            .await
            .is_ok()
    }

    fn give(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let mut ledger = self.rooms.ledger.lock();
        if let Some(account) = ledger.accounts.get_mut(&self.name) {
            account.used -= bytes;
        }
        drop(ledger);
        self.rooms.freed.notify_waiters();
    }
}

/// A call that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Room that one instance has.
#[derive(Debug)]
pub(super) struct Lease {
    room: Option<Room>,
    bytes: usize,
}

impl Lease {
    /// None yet.
    pub(super) fn new(room: Room) -> Self {
        Self {
            room: Some(room),
            bytes: 0,
        }
    }

    /// As much as is asked for: of an instance that serves no client, such as the one that a new version is tried in.
    /// A configuration can be loaded whatever its traffic takes.
    pub(super) fn unbounded() -> Self {
        Self {
            room: None,
            bytes: 0,
        }
    }

    /// Whether there is room for so much in all, now.
    pub(super) fn cover(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 {
            if self
                .room
                .as_ref()
                .is_some_and(|room| !room.take(more, true))
            {
                return false;
            }
            self.bytes = bytes;
        }
        true
    }

    /// Whether there is room for so much in all before `deadline`.
    pub(super) async fn cover_by(&mut self, bytes: usize, deadline: Instant) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 {
            if let Some(room) = &self.room
                && !room.take_by(more, deadline).await
            {
                return false;
            }
            self.bytes = bytes;
        }
        true
    }

    /// Gives back what is over.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let over = self.bytes.saturating_sub(bytes);
        if over > 0 {
            self.bytes = bytes;
            if let Some(room) = &self.room {
                room.give(over);
            }
        }
    }

    /// The room of the process, and the most that this instance can have of it.
    pub(super) fn most(&self) -> (usize, usize) {
        let room = self.room.as_ref();
        room.map_or((usize::MAX, usize::MAX), Room::most)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("plugin", &self.name).finish()
    }
}

#[cfg(test)]
mod tests;
