//! A snapshot comes into force in the place of another.

use std::sync::Arc;

use super::discovery::Following;
use super::gateway::Gateway;
use crate::snapshot::Snapshot;
use crate::upstream::Upstream;

impl Gateway {
    /// Publishes a snapshot, once the names of its endpoints were asked for. Nobody follows the names of the one before by
    /// then: the two share their endpoints, and would undo what the other does.
    pub(super) async fn publish(&self, previous: &Snapshot, snapshot: &Arc<Snapshot>) {
        let before = std::mem::take(&mut *self.following.lock());
        before.end().await;
        for upstream in snapshot.upstreams.iter() {
            upstream.own_endpoints();
        }
        let following = Following::start(snapshot).await;
        self.published.publish(snapshot.clone());
        for upstream in snapshot.upstreams.iter() {
            upstream.take_over(named(previous, &upstream.name));
        }
        let gone = previous.upstreams.iter();
        gone.filter(|it| named(snapshot, &it.name).is_none())
            .for_each(|upstream| upstream.retire());
        self.checks.follow(&snapshot.upstreams);
        *self.following.lock() = following;
    }
}

fn named<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Upstream> {
    let at = snapshot.config.upstreams.get_index_of(name)?;
    Some(&snapshot.upstreams[at])
}
