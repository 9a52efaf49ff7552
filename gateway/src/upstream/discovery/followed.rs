//! Endpoints that come and go with what the DNS says of their names.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::answer::{Answer, Learnt};
use super::known::Endpoints;
use crate::config::{self, Named};
use crate::message::target::Target;
use crate::upstream::endpoint::{Fleet, Member, Members};

/// What was learnt of a name.
#[derive(Debug)]
pub struct Learned {
    /// All its addresses, if they are others than before.
    pub changed: Option<Vec<IpAddr>>,
    /// How many are no endpoints, since there are too many of them.
    pub left_out: usize,
}

/// The endpoints of an upstream of which some are found by name.
#[derive(Debug)]
pub struct Followed {
    config: config::Upstream,
    fleet: Fleet,
    endpoints: Arc<Endpoints>,
    /// Of each name, in the order of the configuration.
    answers: Vec<Arc<Answer>>,
    members: ArcSwap<Members>,
    /// The addresses that they were built of, of each name.
    built_of: Mutex<Vec<Vec<IpAddr>>>,
}

impl Followed {
    /// With what is known already of the names.
    pub(in crate::upstream) fn new(
        config: &config::Upstream,
        fleet: &Fleet,
        endpoints: &Arc<Endpoints>,
    ) -> Self {
        let answers = config.names.iter();
        let answers: Vec<_> = answers.map(|name| endpoints.answer(&name.host)).collect();
        let built_of: Vec<_> = answers.iter().map(|answer| answer.all()).collect();
        let members = members(config, fleet, endpoints, &built_of);
        Self {
            config: config.clone(),
            fleet: fleet.clone(),
            endpoints: endpoints.clone(),
            answers,
            members: ArcSwap::from_pointee(members),
            built_of: Mutex::new(built_of),
        }
    }

    /// All endpoints that are known, those that go included.
    #[cfg(test)]
    pub(in crate::upstream) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The endpoints now.
    pub(in crate::upstream) fn members(&self) -> arc_swap::Guard<Arc<Members>> {
        self.members.load()
    }

    /// The names, in the order of the configuration.
    pub fn names(&self) -> &[Named] {
        &self.config.names
    }

    /// Whether the name at this place was resolved, if perhaps long ago.
    pub fn is_known(&self, at: usize) -> bool {
        self.answers[at].is_known()
    }

    /// Whether a look-up of a name has ended, with an answer or without, before a reload too.
    pub fn was_asked(&self, at: usize) -> bool {
        self.answers[at].was_asked()
    }

    /// Takes up what the DNS says of the name at this place.
    pub fn learn(&self, at: usize, learnt: Learnt) -> Learned {
        let answer = &self.answers[at];
        let left_out = answer.learn(learnt);
        let addresses = answer.all();
        let is_new = self.built_of.lock()[at] != addresses;
        if is_new {
            self.take_up();
        }
        Learned {
            changed: is_new.then_some(addresses),
            left_out,
        }
    }

    /// How the last look-up of the name at this place ended: why it has no answer, if it has none.
    pub fn asked(&self, at: usize, trouble: Option<String>) {
        self.answers[at].asked(trouble);
    }

    /// The names, how many addresses each has, and why the last look-up has no answer, or that there was none yet.
    pub fn known(&self) -> impl Iterator<Item = (&Named, usize, Option<String>)> {
        let names = self.config.names.iter().zip(&self.answers);
        names.map(|(name, answer)| (name, answer.all().len(), answer.trouble()))
    }

    /// Takes up what was learnt of its names, by whomever. Endpoints that stay keep all that they have; those that go
    /// get no more requests, and their connections end with those that are under way.
    pub fn take_up(&self) {
        // One at a time.
        let mut built_of = self.built_of.lock();
        let addresses: Vec<_> = self.answers.iter().map(|answer| answer.all()).collect();
        if *built_of == addresses {
            return;
        }
        let next = members(&self.config, &self.fleet, &self.endpoints, &addresses);
        let next = Arc::new(next);
        *built_of = addresses;
        let previous = self.members.swap(next.clone());
        let stays = |member: &Member| {
            let mut all = next.all().iter();
            all.any(|it| Arc::ptr_eq(&it.endpoint, &member.endpoint))
        };
        for member in previous.all().iter().filter(|member| !stays(member)) {
            member.endpoint.leave();
        }
        drop(previous);
        // Those that went with nothing under way are nobody's any more.
        self.endpoints.prune();
    }

    /// Why there is no endpoint at all, where that is for want of an answer.
    pub(in crate::upstream) fn unresolved(&self) -> Option<String> {
        if !self.members.load().all().is_empty() {
            return None;
        }
        let names = self.config.names.iter().zip(&self.answers);
        let unknown = names.filter(|(_, answer)| !answer.is_known());
        let (mut unresolved, mut why) = (Vec::new(), Vec::new());
        for (name, answer) in unknown {
            unresolved.push(format!("`{}`", name.bare()));
            why.extend(answer.trouble().filter(|trouble| !why.contains(trouble)));
        }
        let why = why.join("; ");
        match &unresolved[..] {
            [] => None,
            [one] => Some(format!("{one} has not resolved yet: {why}")),
            several => {
                let several = several.join(", ");
                Some(format!("{several} have not resolved yet: {why}"))
            }
        }
    }
}

/// The endpoints that a configuration lists, and those at the addresses of its names; what two names lead to is one endpoint.
pub(in crate::upstream) fn members(
    config: &config::Upstream,
    fleet: &Fleet,
    endpoints: &Endpoints,
    addresses: &[Vec<IpAddr>],
) -> Members {
    let mut members: Vec<_> = config
        .endpoints
        .iter()
        .map(|it| Member {
            endpoint: endpoints.at(&it.target, None),
            weight: it.weight,
            backup: it.backup,
            gateway: fleet.has(config, &it.target),
        })
        .collect();
    let listed = config.endpoints.iter().map(|it| it.target.clone());
    let mut seen: HashSet<Target> = listed.collect();
    for (name, addresses) in config.names.iter().zip(addresses) {
        for address in addresses {
            let target = Target::Tcp(SocketAddr::new(*address, name.port));
            if !seen.insert(target.clone()) {
                continue;
            }
            members.push(Member {
                endpoint: endpoints.at(&target, Some(name)),
                weight: name.weight,
                backup: name.backup,
                gateway: fleet.has(config, &target),
            });
        }
    }
    Members::new(members)
}
