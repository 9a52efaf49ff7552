//! Which addresses of an upstream an operator drains.
//!
//! A drain is of an address, wherever that comes from: the configuration or the DNS. It holds until it is restored, or
//! until a configuration is in force that has neither the address nor the name that led there. That an answer of the DNS
//! leaves the address out for a while ends nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::standing::{Obstacle, Reason, Standing};
use crate::config::Named;
use crate::message::target::Target;

/// Why no request goes to an endpoint that is drained.
const WHY: &str = "an operator drained it";

/// The addresses of one upstream that are drained, over reloads.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Drains(Mutex<HashMap<Target, Drain>>);

#[derive(Debug, Clone)]
struct Drain {
    since: SystemTime,
    /// The name in the DNS that led there, if one did.
    name: Option<Arc<str>>,
}

impl Drains {
    /// No request goes to the endpoint at an address from now on, to which this name led if one did. Whether it was
    /// otherwise before.
    pub(in crate::upstream) fn add(
        &self,
        target: &Target,
        name: Option<Arc<str>>,
        standing: &Standing,
    ) -> bool {
        let mut drains = self.0.lock();
        let is_new = !drains.contains_key(target);
        let since = SystemTime::now();
        let drain = drains.entry(target.clone());
        block(standing, drain.or_insert(Drain { since, name }));
        is_new
    }

    /// Requests go to an address again, where an endpoint has it. Whether they did not before.
    pub(in crate::upstream) fn end(&self, target: &Target, standing: Option<&Standing>) -> bool {
        let mut drains = self.0.lock();
        standing.map(|standing| standing.clear(Obstacle::Drained));
        drains.remove(target).is_some()
    }

    /// An endpoint comes, or comes back: it stands as its address does.
    pub(in crate::upstream) fn apply(&self, target: &Target, standing: &Standing) {
        let drains = self.0.lock();
        match drains.get(target) {
            Some(drain) => block(standing, drain),
            None => {
                standing.clear(Obstacle::Drained);
            }
        }
    }

    /// A configuration is in force with these names, and has endpoints at these addresses now, each with the name that led
    /// there if one did: what it has no more is not drained any more.
    pub(in crate::upstream) fn keep(
        &self,
        names: &[Named],
        present: &HashMap<&Target, Option<Arc<str>>>,
    ) {
        let is_named = |name: &Arc<str>| names.iter().any(|it| it.bare() == &**name);
        let mut drains = self.0.lock();
        drains.retain(|target, drain| {
            let name = present.get(target);
            if let Some(name) = name {
                drain.name.clone_from(name);
            }
            name.is_some() || drain.name.as_ref().is_some_and(is_named)
        });
    }

    /// The upstream is gone.
    pub(in crate::upstream) fn forget(&self) {
        self.0.lock().clear();
    }

    /// Those that are drained, and since when.
    pub(in crate::upstream) fn all(&self) -> Vec<(Target, SystemTime)> {
        let drains = self.0.lock();
        let all = drains.iter().map(|(target, it)| (target.clone(), it.since));
        let mut all: Vec<_> = all.collect();
        drop(drains);
        all.sort_by_key(|(target, _)| target.to_string());
        all
    }
}

fn block(standing: &Standing, drain: &Drain) {
    let (since, why) = (drain.since, WHY.to_owned());
    standing.block_for(Obstacle::Drained, Reason { since, why });
}
