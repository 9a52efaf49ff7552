//! The HTTP/1 guard: however its bytes arrive, it comes to one verdict.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateway::server::guard::properties::h1(input));
