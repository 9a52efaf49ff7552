//! Who asks: nothing that a stranger says about itself goes on.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateway::message::headers::properties::forwarded(input));
