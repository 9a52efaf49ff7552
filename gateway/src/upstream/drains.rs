//! Which addresses of an upstream an operator drains.
//!
//! A drain is of an address, wherever that comes from: the configuration or the DNS. It holds until it is restored, or
//! until a configuration is in force that has neither the address nor the name that led there. That an answer of the DNS
//! leaves the address out for a while ends nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::endpoint::Endpoint;
use super::member::Member;
use super::standing::{Obstacle, Reason};
use crate::config;
use crate::message::target::Target;

/// Why no request goes to an endpoint that is drained.
const WHY: &str = "an operator drained it";

/// The addresses of one upstream that are drained, over reloads.
#[derive(Debug, Default)]
pub(super) struct Drains(Mutex<HashMap<Target, Drain>>);

#[derive(Debug, Clone)]
struct Drain {
    since: SystemTime,
    /// The name in the DNS that led there, if one did.
    name: Option<Arc<str>>,
}

impl Drains {
    /// No request goes there from now on. Whether it was otherwise before.
    pub(super) fn add(&self, endpoint: &Endpoint) -> bool {
        let mut drains = self.0.lock();
        let is_new = !drains.contains_key(&endpoint.target);
        let drain = drains.entry(endpoint.target.clone()).or_insert(Drain {
            since: SystemTime::now(),
            name: endpoint.name.clone(),
        });
        block(endpoint, drain);
        is_new
    }

    /// Requests go to an address again, where one of these endpoints has it. Whether they did not before.
    pub(super) fn end(&self, target: &Target, members: &[Member]) -> bool {
        let mut drains = self.0.lock();
        let endpoints = members.iter().map(|member| &member.endpoint);
        for endpoint in endpoints.filter(|it| it.target == *target) {
            endpoint.standing.clear(Obstacle::Drained);
        }
        drains.remove(target).is_some()
    }

    /// An endpoint comes, or comes back: it stands as its address does.
    pub(super) fn apply(&self, endpoint: &Endpoint) {
        let drains = self.0.lock();
        match drains.get(&endpoint.target) {
            Some(drain) => block(endpoint, drain),
            None => {
                endpoint.standing.clear(Obstacle::Drained);
            }
        }
    }

    /// This configuration is in force, and has these endpoints now: what it has no more is not drained any more.
    pub(super) fn keep(&self, config: &config::Upstream, members: &[Member]) {
        let is_named = |name: &Arc<str>| config.names.iter().any(|it| it.bare() == &**name);
        let mut drains = self.0.lock();
        drains.retain(|target, drain| {
            let mut members = members.iter().map(|member| &member.endpoint);
            let present = members.find(|endpoint| endpoint.target == *target);
            if let Some(endpoint) = present {
                drain.name.clone_from(&endpoint.name);
            }
            present.is_some() || drain.name.as_ref().is_some_and(is_named)
        });
    }

    /// The upstream is gone.
    pub(super) fn forget(&self) {
        self.0.lock().clear();
    }

    /// Those that are drained, and since when.
    pub(super) fn all(&self) -> Vec<(Target, SystemTime)> {
        let drains = self.0.lock();
        let all = drains.iter().map(|(target, it)| (target.clone(), it.since));
        let mut all: Vec<_> = all.collect();
        drop(drains);
        all.sort_by_key(|(target, _)| target.to_string());
        all
    }
}

fn block(endpoint: &Endpoint, drain: &Drain) {
    let (since, why) = (drain.since, WHY.to_owned());
    let reason = Reason { since, why };
    endpoint.standing.block_for(Obstacle::Drained, reason);
}
