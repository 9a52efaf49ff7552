//! The arm of a request without a key: turns of each worker.
//!
//! A worker walks around a circle on which each arm has an arc as long as its share, by steps of the golden section. Its
//! places spread evenly however many they are (a sequence of low discrepancy), so the shares are right after dozens of
//! requests, where a die needs thousands; and no client that asks in a rhythm, such as a page with its nineteen
//! pictures, falls into step with it, as it does with a round of twenty turns.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::thread::own;

/// 2^64 by the golden ratio, to an odd number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The circle, and where each worker stands on it.
#[derive(Debug)]
pub(super) struct Turns {
    /// The last place of each arc, and its arm.
    arcs: Vec<(u64, usize)>,
    places: Box<[Place]>,
}

/// A worker's alone, on a cache line of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Place(AtomicU64);

impl Turns {
    /// Each worker begins somewhere: many short lives of a configuration make no arm's share larger.
    pub(super) fn new(weights: &[u32], workers: usize) -> Self {
        let places = (0..=workers).map(|_| Place(AtomicU64::new(fastrand::u64(..))));
        Self {
            arcs: arcs(weights),
            places: places.collect(),
        }
    }

    /// The arm whose turn it is on this worker.
    pub(super) fn next(&self) -> usize {
        let worker = own(|own| own.shard.get()) % self.places.len();
        let Place(place) = &self.places[worker];
        // No other thread writes here.
        let at = place.load(Ordering::Relaxed).wrapping_add(STEP);
        place.store(at, Ordering::Relaxed);
        let arc = self.arcs.iter().find(|(last, _)| at <= *last);
        arc.map_or(0, |(_, arm)| *arm)
    }
}

/// The circle in arcs, the last of which ends where it does.
fn arcs(weights: &[u32]) -> Vec<(u64, usize)> {
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let mut sum = 0;
    let arms = weights
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0);
    let ends = arms.map(|(arm, weight)| {
        sum += u128::from(*weight);
        let end = (sum << 64) / total - 1;
        (u64::try_from(end).unwrap_or(u64::MAX), arm)
    });
    ends.collect()
}
