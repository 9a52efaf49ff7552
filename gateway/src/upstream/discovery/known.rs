//! The endpoints of one upstream, by where they are and what they were found by.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use http::HeaderValue;
use parking_lot::Mutex;

use super::answer::Answer;
use crate::config::Named;
use crate::message::target::Target;
use crate::upstream::endpoint::{Endpoint, Slots, State};

/// Where an endpoint is, and the authority of the name that led there, if one did.
type Place = (Target, Option<String>);

/// The endpoints of an upstream that are in use, over all snapshots.
#[derive(Debug)]
pub(in crate::upstream) struct Endpoints {
    state: Arc<State>,
    slots: Arc<Slots>,
    present: Mutex<HashMap<Place, Weak<Endpoint>>>,
    /// What the DNS said last, by name.
    answers: Mutex<HashMap<Arc<str>, Weak<Answer>>>,
}

impl Endpoints {
    pub(in crate::upstream) fn new(state: Arc<State>, slots: Arc<Slots>) -> Arc<Self> {
        Arc::new(Self {
            state,
            slots,
            present: Mutex::default(),
            answers: Mutex::default(),
        })
    }

    /// How many it has, those that nobody has any more included.
    #[cfg(test)]
    pub(in crate::upstream) fn known(&self) -> usize {
        self.present.lock().len()
    }

    /// Forgets those that nobody has any more.
    pub(in crate::upstream) fn prune(&self) {
        let mut present = self.present.lock();
        present.retain(|_, endpoint| endpoint.strong_count() > 0);
        let mut answers = self.answers.lock();
        answers.retain(|_, answer| answer.strong_count() > 0);
    }

    /// The endpoint at a place that a name led to, or the configuration: the one that is there, or a new one.
    pub(in crate::upstream) fn at(&self, target: &Target, name: Option<&Named>) -> Arc<Endpoint> {
        let key = (target.clone(), name.map(ToString::to_string));
        let mut endpoints = self.present.lock();
        if let Some(present) = endpoints.get(&key).and_then(Weak::upgrade) {
            present.come_back();
            self.state.drains.apply(target, &present.standing);
            return present;
        }
        let authority = authority(target, key.1.as_deref());
        let (slot, state) = (self.slots.take(), self.state.clone());
        let name = name.map(|name| name.bare().into());
        let made = Arc::new(Endpoint::new(target.clone(), name, authority, slot, state));
        self.state.drains.apply(target, &made.standing);
        endpoints.insert(key, Arc::downgrade(&made));
        made
    }

    /// What is known of a name.
    pub(in crate::upstream) fn answer(&self, host: &Arc<str>) -> Arc<Answer> {
        let mut answers = self.answers.lock();
        if let Some(present) = answers.get(host).and_then(Weak::upgrade) {
            return present;
        }
        let made = Arc::<Answer>::default();
        answers.insert(host.clone(), Arc::downgrade(&made));
        made
    }
}

/// The `Host` that stands for an endpoint: the name that led to it, its address, or `localhost` where it has neither.
fn authority(target: &Target, name: Option<&str>) -> HeaderValue {
    let address = || target.tcp().map(|address| address.to_string());
    let authority = name.map(str::to_owned).or_else(address);
    let authority = authority.and_then(|authority| HeaderValue::try_from(authority).ok());
    authority.unwrap_or(HeaderValue::from_static("localhost"))
}
