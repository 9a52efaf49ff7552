//! What a request asks for has one form, and that form is itself one.

#![no_main]

libfuzzer_sys::fuzz_target!(
    |input: &[u8]| gateway::proxy::normalise::properties::normalised(input)
);
