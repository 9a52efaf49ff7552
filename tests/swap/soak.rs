//! Runs too long for every test run: `make soak`.

use super::assert_swaps_lose_nothing_and_keep_no_memory;

/// A quarter of an hour is the most that they take: they are one a second at least.
#[test]
#[ignore = "soak: five minutes"]
fn a_thousand_swaps_under_load_lose_nothing_and_keep_no_memory() {
    assert_swaps_lose_nothing_and_keep_no_memory(1_000);
}
