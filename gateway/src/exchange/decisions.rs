//! Which links of a chain have their turn in an exchange.

use super::link::{Link, Place};
use crate::config::LONGEST_CHAIN;

/// What was decided for an exchange so far: once for each link with a `when`, and for all phases of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Decisions {
    /// How many of the route's conditions are decided, in the order of the chain.
    made: usize,
    /// The places whose condition did not hold.
    left_out: u64,
}

const _: () = assert!(LONGEST_CHAIN <= u64::BITS as usize);

impl Decisions {
    /// How many there are.
    pub fn made(self) -> usize {
        self.made
    }

    /// The next is made, for the link at this place.
    pub fn make(&mut self, place: Place, holds: bool) {
        self.made += 1;
        if !holds {
            self.left_out |= 1 << place.0;
        }
    }

    /// Whether the link at this place takes no part.
    pub fn leaves_out(self, place: Place) -> bool {
        self.left_out & (1 << place.0) != 0
    }

    /// Whether one of these links takes part.
    pub fn keeps_any(self, links: &[Link]) -> bool {
        links.iter().any(|link| !self.leaves_out(link.place))
    }

    /// Whether every link takes part.
    pub fn keeps_all(self) -> bool {
        self.left_out == 0
    }
}
