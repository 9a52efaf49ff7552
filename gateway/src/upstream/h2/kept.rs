//! The connections of HTTP/2 that one worker has to one endpoint, for all that still take requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::connection::Shared;
use crate::upstream::pool::Places;

/// How often who waits for a stream looks again: one that made way in vain goes on without a word.
const AGAIN: Duration = Duration::from_millis(100);

/// The connections, of which the first are filled first, so that the others come to rest.
#[derive(Debug, Default)]
pub(super) struct Kept {
    connections: Mutex<Vec<Shared>>,
    /// Told of each stream that is given back.
    freed: Notify,
}

impl Kept {
    /// Takes a stream over this TLS, if one is free: its connection. One that idled too long is none: the other side may be
    /// about to close it.
    pub(super) fn take(&self, mark: usize) -> Option<Shared> {
        let mut connections = self.connections.lock();
        let_go_of_old(&mut connections, Instant::now());
        let free = connections.iter().find(|it| it.take(mark))?;
        Some(free.clone())
    }

    /// Keeps a connection for the requests to come.
    pub(super) fn add(&self, connection: Shared) {
        self.connections.lock().push(connection);
    }

    /// Waits until one is given back, or until it is time to look again.
    pub(super) async fn freed(&self) {
        // Either is as good.
        let _looked = timeout(AGAIN, self.freed.notified()).await;
    }

    /// A stream of it was given back. Where it carries nothing now, it closes for who waits for its place elsewhere.
    pub(super) fn rests(&self, connection: &Shared) {
        if connection.is_wanted() {
            self.let_go(|it| Arc::ptr_eq(&it.state, &connection.state) && it.state.is_idle());
        }
        self.freed.notify_one();
    }

    /// Lets those go that are over, or idled too long.
    pub(super) fn sweep(&self, now: Instant) {
        let_go_of_old(&mut self.connections.lock(), now);
    }

    /// Lets one go that carries nothing, of these places. Whether there was one.
    pub(super) fn give_up(&self, places: &Arc<Places>) -> bool {
        self.let_go(|it| it.is_idle_of(places))
    }

    fn let_go(&self, which: impl Fn(&Shared) -> bool) -> bool {
        let mut connections = self.connections.lock();
        let found = connections.iter().position(which);
        let gone = found.map(|at| connections.remove(at));
        drop(connections);
        gone.is_some_and(|gone| {
            gone.leave();
            true
        })
    }
}

fn let_go_of_old(connections: &mut Vec<Shared>, now: Instant) {
    for gone in connections.extract_if(.., |it| !it.is_kept(now)) {
        gone.leave();
    }
}
