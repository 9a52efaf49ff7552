//! The HTTP/2 guard: however its bytes arrive, it comes to one verdict.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateway::server::guard::properties::h2(input));
