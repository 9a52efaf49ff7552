//! What is in force no more is dropped where no client waits: a worker that dropped ten thousand routes would serve
//! nobody meanwhile, and the control thread would answer no operator.

use std::sync::Arc;
use std::time::Duration;

use crate::snapshot::Snapshot;
use crate::thread::priority::in_background;

/// How long it is until the first look whether somebody still has it, and how long at most between two.
const SOON: Duration = Duration::from_millis(10);
const SELDOM: Duration = Duration::from_secs(1);

/// Drops what was in force before `now`, however long exchanges that began with it go on.
pub(super) fn replaced(
    snapshot: Arc<Snapshot>,
    now: &Snapshot,
) -> impl Future<Output = ()> + use<> {
    // Of these an exchange has a part of its own. A reload of one plugin keeps the configuration.
    let upstreams = snapshot.upstreams.clone();
    let config = &snapshot.config;
    let config = (!Arc::ptr_eq(config, &now.config)).then(|| config.clone());
    async move {
        dropped(snapshot).await;
        dropped(upstreams).await;
        if let Some(config) = config {
            dropped(config).await;
        }
    }
}

/// Waits until nobody else has it, and drops it.
pub(super) async fn dropped<T: Send + Sync + ?Sized + 'static>(it: Arc<T>) {
    let mut pause = SOON;
    while Arc::strong_count(&it) > 1 {
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(SELDOM);
    }
    let dropped = tokio::task::spawn_blocking(move || in_background(move || drop(it)));
    if let Err(panic) = dropped.await {
        tracing::error!("a configuration was not dropped: {panic}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};

    use super::*;

    struct Tells(mpsc::Sender<ThreadId>);

    impl Drop for Tells {
        fn drop(&mut self) {
            let _told = self.0.send(thread::current().id());
        }
    }

    #[tokio::test]
    async fn what_a_long_exchange_has_is_not_dropped_by_its_worker() {
        let (tell, told) = mpsc::channel();
        let kept = Arc::new(Tells(tell));
        let of_exchange = kept.clone();
        let dropping = tokio::spawn(dropped(kept));
        tokio::time::sleep(SELDOM + 20 * SOON).await;
        drop(of_exchange);
        dropping.await.unwrap();
        assert_ne!(told.recv().unwrap(), thread::current().id());
    }
}
