//! Runs too long for every test run: `make soak`. Each fails at the first request that is not answered in time.

use std::time::Duration;

use super::kinds;
use super::rounds::{Refusals, Rounds, refusals, run};

#[test]
#[ignore = "soak: five minutes"]
fn a_thousand_rounds_of_every_way_to_misbehave() {
    for kind in kinds::all() {
        let rounds = Rounds {
            early: 100,
            all: 1_000,
            // One worker serves it and four of these at once, each of which may have a tick before it.
            neighbour: Duration::from_millis(30),
        };
        run(kind, rounds);
    }
}

/// What the compiling threads and the allocator keep comes in steps of megabytes, the last of them within two thousand
/// rounds; from there on, eight thousand rounds differed by 3 %.
#[test]
#[ignore = "soak: five minutes"]
fn components_that_are_not_loaded_thousands_of_times() {
    refusals(Refusals {
        before: 2_000,
        early: 1_000,
        late: 4_000,
        growth: 10,
    });
}
