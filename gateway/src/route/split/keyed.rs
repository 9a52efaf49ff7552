//! From a client's key to an arm: weighted rendezvous hashing.
//!
//! Each arm draws a number for each key, exponentially distributed with the arm's weight as its rate; the lowest wins.
//! An arm wins as often as its part of all weights says, and a weight that changes moves the draws of its own arm alone.
//! So between two arms, and between one arm and all others together, exactly the clients move that must (the total
//! variation distance d of the shares). Where several of three or more arms change against each other, no choice
//! without a memory moves as few in every case; this one never moves more than 2d/(1+d), and none that is better for some
//! change is as good for all others (Moulton and Jiang, "Maximally consistent sampling and the Jaccard index of
//! probability distributions", 2018).

use siphasher::{sip, sip128};

/// The draws of all arms.
#[derive(Debug)]
pub(super) struct Keyed(Vec<Draw>);

/// What an arm with a weight draws with.
#[derive(Debug)]
struct Draw {
    arm: usize,
    weight: f64,
    hash: sip::SipHasher24,
}

impl Keyed {
    /// The names decide what an arm draws, so that neither its place nor other arms count, gateways of a fleet agree, and
    /// a restart changes nothing. That of the route is one of them: who is on one side here may be on the other there.
    pub(super) fn new<'a>(route: &str, arms: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let draws = arms.enumerate().filter(|(_, (_, weight))| *weight > 0);
        let draws = draws.map(|(arm, (name, weight))| {
            // Names have no line ends.
            let seed = sip128::SipHasher24::new().hash(format!("{route}\n{name}").as_bytes());
            Draw {
                arm,
                weight: f64::from(weight),
                hash: sip::SipHasher24::new_with_key(&seed.as_bytes()),
            }
        });
        Self(draws.collect())
    }

    /// The arm that a key leads to.
    pub(super) fn arm(&self, key: &[u8]) -> usize {
        let mut lowest = (f64::INFINITY, 0);
        for draw in &self.0 {
            let drawn = -uniform(draw.hash.hash(key)).ln() / draw.weight;
            if drawn < lowest.0 {
                lowest = (drawn, draw.arm);
            }
        }
        lowest.1
    }
}

/// A hash as a number between 0 and 1, neither of them included.
fn uniform(hash: u64) -> f64 {
    ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}
