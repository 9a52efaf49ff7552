//! What leaves is read in one way, whatever a rule makes of a path.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateway::route::rewrite::properties::left(input));
