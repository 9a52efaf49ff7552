//! The `complete` phases: after the end of an exchange, and never in its way.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::passage::Passage;

/// Exchanges whose `complete` phases wait to be called, per worker; beyond it they are recorded without.
const WAITING: usize = 10_000;

/// Exchanges whose `complete` phases are called at once, per worker: each may need instances of its own, and no client
/// waits for it.
const AT_ONCE: usize = 64;

/// Where exchanges go whose `complete` phases are to be called.
#[derive(Debug)]
pub struct Completions(RefCell<Option<mpsc::Sender<Passage>>>);

impl Completions {
    /// Starts to call what is added, on this worker; the task ends when they are [closed](Self::close) and all is
    /// called.
    pub fn start() -> (Self, JoinHandle<()>) {
        let (sender, mut added) = mpsc::channel::<Passage>(WAITING);
        let calling = tokio::task::spawn_local(async move {
            let places = Arc::new(Semaphore::new(AT_ONCE));
            while let Some(passage) = added.recv().await {
                // Never closed.
                let Ok(place) = places.clone().acquire_owned().await else {
                    break;
                };
                tokio::task::spawn_local(async move {
                    call(passage).await;
                    drop(place);
                });
            }
        });
        (Self(RefCell::new(Some(sender))), calling)
    }

    /// Has the `complete` phases of an exchange called soon. Where they cannot be, its drop records it.
    pub(super) fn add(&self, passage: Passage) {
        if let Some(sender) = &*self.0.borrow() {
            let _recorded = sender.try_send(passage);
        }
    }

    /// Takes no more: exchanges that end from now on are recorded without.
    pub fn close(&self) {
        self.0.replace(None);
    }
}

/// Calls the `complete` phases; the drop of the exchange records it.
async fn call(mut passage: Passage) {
    let route = passage.route.clone();
    for link in &route.on_complete {
        let pool = passage.pool(*link);
        let Passage { held, exchange, .. } = &mut passage;
        pool.on_complete(*link, held, exchange).await;
    }
}
