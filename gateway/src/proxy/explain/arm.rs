//! Which arm of a split a request goes to.

use serde::Serialize;

use crate::config::{self, Target};
use crate::route::{Decision, Split, Subject};

/// The arm that a request goes to.
#[derive(Debug, Serialize)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// Why this one.
    pub because: &'static str,
}

/// An arm that has its turns.
#[derive(Debug, Serialize)]
pub struct Turn {
    /// Its name.
    pub arm: String,
    /// Its weight.
    pub weight: u32,
    /// The weights of all arms.
    pub of: u64,
}

/// The arm of a request, and the route as it is for those of this arm. None where the route is not split, or where turns
/// decide when the request comes.
pub(super) fn of_request(
    route: &config::Route,
    subject: Subject<'_>,
) -> Option<(Arm, config::Route)> {
    let Target::Split(split) = &route.target else {
        return None;
    };
    let (index, because) = match Split::new(&route.name, split.clone(), 1).decide(subject) {
        Decision::Override(arm) => (arm, "its `match` holds"),
        Decision::Key(arm) => (arm, "the key of `split_on` leads to it"),
        Decision::Turn => return None,
    };
    let arm = &split.arms[index];
    let name = arm.name.to_string();
    Some((Arm { name, because }, route.for_arm(arm)))
}

/// The turns of all arms.
pub(super) fn turns(split: &config::Split) -> Vec<Turn> {
    let of = split.arms.iter().map(|arm| u64::from(arm.weight)).sum();
    let turn = |arm: &config::Arm| Turn {
        arm: arm.name.to_string(),
        weight: arm.weight,
        of,
    };
    split.arms.iter().map(turn).collect()
}
