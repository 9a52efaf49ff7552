//! Which arm of a split a request goes to.
//!
//! The first arm whose override holds; else, with `split_on`, the arm that the client's key leads to; else the next in
//! turn. The weights are those of all arms, with overrides too.

mod keyed;
mod turns;

use std::borrow::Cow;

use super::matcher;
use super::subject::Subject;
use crate::config;

use keyed::Keyed;
use turns::Turns;

/// The choice between the arms of a split.
#[derive(Debug)]
pub struct Split {
    config: config::Split,
    keyed: Keyed,
    turns: Turns,
}

/// Why a request goes to an arm. Arms stand for their place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The override of this arm holds.
    Override(usize),
    /// The client's key leads to this arm, as long as the weights stay.
    Key(usize),
    /// There is no key: the arm is whichever has its turn.
    Turn,
}

impl Split {
    /// The choice for a route of this name, for so many workers.
    pub fn new(route: &str, config: config::Split, workers: usize) -> Self {
        let weights: Vec<_> = config.arms.iter().map(|arm| arm.weight).collect();
        let arms = config.arms.iter().map(|arm| (&*arm.name, arm.weight));
        Self {
            keyed: Keyed::new(route, arms),
            turns: Turns::new(&weights, workers),
            config,
        }
    }

    /// The arm of a request. Where it has no key, this is a turn.
    pub fn choose(&self, subject: Subject<'_>) -> usize {
        match self.decide(subject) {
            Decision::Override(arm) | Decision::Key(arm) => arm,
            Decision::Turn => self.turns.next(),
        }
    }

    /// Why a request goes where it goes. Nothing takes a turn.
    pub fn decide(&self, subject: Subject<'_>) -> Decision {
        let mut arms = self.config.arms.iter();
        let overriding = arms.position(|arm| {
            let matcher = arm.matcher.as_ref();
            matcher.is_some_and(|predicates| matcher::all_hold(predicates, subject))
        });
        if let Some(arm) = overriding {
            return Decision::Override(arm);
        }
        match self.key(subject) {
            Some(key) => Decision::Key(self.keyed.arm(&key)),
            None => Decision::Turn,
        }
    }

    /// What tells this client from others; an empty value does not.
    fn key<'a>(&self, subject: Subject<'a>) -> Option<Cow<'a, [u8]>> {
        let on = self.config.on.as_ref()?;
        on.find(subject.headers, subject.query, subject.client)
    }
}

#[cfg(test)]
mod tests;
