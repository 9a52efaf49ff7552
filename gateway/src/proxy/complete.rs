//! The `complete` phases: after the end of an exchange, and never in its way.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::passage::{Completions, Passage};

/// Exchanges whose `complete` phases wait to be called, per worker; beyond it they are not called.
const WAITING: usize = 10_000;

/// Exchanges whose `complete` phases are under way at once, per worker: each plugin bounds how many of its own run and
/// wait, so that those of one do not wait for another's.
const AT_ONCE: u32 = 10_000;

/// Starts to call the `complete` phases of what is added, on this worker. The task ends when the completions are
/// [closed](Completions::close) and all is called.
pub fn start() -> (Completions, JoinHandle<()>) {
    let (sender, mut added) = mpsc::channel::<Passage>(WAITING);
    let calling = tokio::task::spawn_local(async move {
        let places = Arc::new(Semaphore::new(AT_ONCE as usize));
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
        let _over = places.acquire_many(AT_ONCE).await;
    });
    (Completions::new(sender), calling)
}

/// Calls the `complete` phases of an exchange that is recorded already.
async fn call(mut passage: Passage) {
    let route = passage.route.clone();
    let wanted = route.on_complete.iter();
    let decisions = passage.decisions;
    for link in wanted.filter(|link| !decisions.leaves_out(link.place)) {
        let pool = passage.pool(*link);
        let Passage { held, exchange, .. } = &mut passage;
        pool.on_complete(*link, held, exchange).await;
    }
}
