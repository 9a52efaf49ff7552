//! Coded bodies: decoded within their limits, wherever they are cut.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateway::message::coding::properties::coding(input));
