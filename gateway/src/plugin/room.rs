//! Room for the memories of all instances together: `server.plugin_memory`.
//!
//! Half of it is guaranteed, an equal share for each plugin; the other half is lent to the calls that need it first.
//! Where there is no room, idle instances are dropped to make some, and a call waits for what is still missing.

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

    /// Takes so much more for a plugin, if that is there.
    fn take(&mut self, name: &Arc<str>, bytes: usize) -> bool {
        let Some(account) = self.accounts.get(name) else {
            return false;
        };
        let used = account.used.saturating_add(bytes);
        let own = used.saturating_sub(self.guaranteed(account));
        let others = self.accounts.iter().filter(|(other, _)| *other != name);
        let lent = others.map(|(_, other)| other.used.saturating_sub(self.guaranteed(other)));
        // A share is there whatever the others have.
        let fits = own == 0 || lent.fold(own, usize::saturating_add) <= self.lendable();
        if fits && let Some(account) = self.accounts.get_mut(name) {
            account.used = used;
        }
        fits
    }

    /// The idle instances of a plugin, and of those that have more than their share.
    fn spares(&self, name: &Arc<str>) -> Vec<Arc<dyn Spare>> {
        let own = self.accounts.get(name).into_iter();
        let others = self
            .accounts
            .iter()
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
            account.is_guaranteed || account.used > 0 || !account.spares.is_empty()
        });
        ledger.total = total;
        ledger.share = share(total, count);
        drop(ledger);
        self.freed.notify_waiters();
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

    /// The room of the process, and the most that this plugin can have of it.
    pub(super) fn most(&self) -> (usize, usize) {
        let ledger = self.rooms.ledger.lock();
        let account = ledger.accounts.get(&self.name);
        let share = account.map_or(0, |account| ledger.guaranteed(account));
        (ledger.total, share + ledger.lendable())
    }

    /// Takes so much if it is there, or can be made by dropping idle instances.
    fn take(&self, bytes: usize) -> bool {
        loop {
            let spares = {
                let mut ledger = self.rooms.ledger.lock();
                ledger.accounts.entry(self.name.clone()).or_default();
                if ledger.take(&self.name, bytes) {
                    return true;
                }
                ledger.spares(&self.name)
            };
            // Without the lock: an instance gives back what it had.
            if !spares.iter().any(|spare| spare.drop_one()) {
                return false;
            }
        }
    }

    /// Takes so much as soon as it is there; whether it was there in time.
    async fn take_by(&self, bytes: usize, deadline: Instant) -> bool {
        if self.take(bytes) {
            return true;
        }
        let _waiting = Waiting::new(&self.rooms.waiting);
        let turn = {
            let mut ledger = self.rooms.ledger.lock();
            let account = ledger.accounts.entry(self.name.clone()).or_default();
            account.turn.clone()
        };
        let taken = async {
            let _turn = turn.lock().await;
            loop {
                let mut freed = pin!(self.rooms.freed.notified());
                freed.as_mut().enable();
                if self.take(bytes) {
                    return;
                }
                freed.await;
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
            if self.room.as_ref().is_some_and(|room| !room.take(more)) {
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
mod tests {
    use std::time::Duration;

    use super::*;

    fn rooms(total: usize, plugins: &[&str]) -> (Arc<Rooms>, Vec<Room>) {
        let rooms = Arc::<Rooms>::default();
        let names: Vec<Arc<str>> = plugins.iter().map(|name| Arc::from(*name)).collect();
        rooms.divide(total, names.iter());
        let of = names.iter().map(|name| rooms.room(name)).collect();
        (rooms, of)
    }

    #[test]
    fn a_plugin_has_its_share_whatever_another_takes() {
        let (_rooms, of) = rooms(800, &["a", "b"]);
        let (mut greedy, mut modest) = (Lease::new(of[0].clone()), Lease::new(of[1].clone()));
        assert_eq!(of[0].most(), (800, 600), "a share of 200, and what is lent");
        assert!(!greedy.cover(601));
        assert!(greedy.cover(600));
        assert!(!modest.cover(201) && modest.cover(200));
        greedy.shrink(599);
        assert!(modest.cover(201));
        drop(greedy);
        assert!(modest.cover(600) && !modest.cover(601));
    }

    #[test]
    fn a_new_division_holds_for_what_is_in_use() {
        let (rooms, of) = rooms(800, &["a", "b"]);
        let (mut before, mut other) = (Lease::new(of[0].clone()), Lease::new(of[1].clone()));
        assert!(before.cover(600));
        let names = [Arc::from("b")];
        rooms.divide(800, names.iter());
        assert!(other.cover(200) && !other.cover(401), "400 are b's");
        assert!(other.cover(400));
        drop((before, other));
        rooms.divide(800, names.iter());
        assert_eq!(rooms.ledger.lock().accounts.len(), 1);
        assert_eq!(rooms.ledger.lock().accounts[&names[0]].used, 0);
    }

    struct Idle(Mutex<Vec<Lease>>);

    impl Spare for Idle {
        fn drop_one(&self) -> bool {
            let dropped = self.0.lock().pop();
            dropped.is_some()
        }
    }

    #[test]
    fn idle_instances_make_way_but_none_within_the_share_of_another() {
        let (_rooms, of) = rooms(800, &["a", "b", "c"]);
        let idle = |room: &Room, bytes: &[usize]| {
            let lease = |bytes: &usize| {
                let mut lease = Lease::new(room.clone());
                assert!(lease.cover(*bytes));
                lease
            };
            let leases = bytes.iter().map(lease).collect();
            let idle: Arc<dyn Spare> = Arc::new(Idle(Mutex::new(leases)));
            room.may_drop(Arc::downgrade(&idle));
            idle
        };
        let over = idle(&of[0], &[133, 200, 200]);
        let within = idle(&of[1], &[100]);
        let mut busy = Lease::new(of[2].clone());
        assert!(busy.cover(400));
        assert!(over.drop_one(), "one is left beside the share");
        assert!(within.drop_one(), "what is within a share is kept");
    }

    #[tokio::test]
    async fn what_is_guaranteed_is_kept_whoever_waits() {
        let (_rooms, of) = rooms(800, &["a", "b"]);
        let (mut greedy, mut modest) = (Lease::new(of[0].clone()), Lease::new(of[1].clone()));
        assert!(greedy.cover(600) && modest.cover(100));
        let (room, far) = (of[0].clone(), Instant::now() + Duration::from_secs(20));
        let waits = tokio::spawn(async move { Lease::new(room).cover_by(200, far).await });
        while of[0].rooms.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(of[0].is_short() && !of[1].is_short());
        drop(greedy);
        assert!(waits.await.unwrap());
    }

    #[tokio::test]
    async fn a_call_waits_for_room_and_no_longer_than_it_may() {
        let (_rooms, of) = rooms(800, &["a"]);
        let mut first = Lease::new(of[0].clone());
        assert!(first.cover(700));
        let soon = Instant::now() + Duration::from_millis(20);
        let mut late = Lease::new(of[0].clone());
        assert!(!late.cover_by(200, soon).await && Instant::now() >= soon);
        assert!(!of[0].is_short());
        let room = of[0].clone();
        let far = Instant::now() + Duration::from_secs(20);
        let waits = tokio::spawn(async move {
            let mut lease = Lease::new(room);
            (lease.cover_by(200, far).await, lease)
        });
        while !of[0].is_short() {
            tokio::task::yield_now().await;
        }
        drop(first);
        assert!(waits.await.unwrap().0);
    }
}
