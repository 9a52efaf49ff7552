//! Chunked bodies of upstreams: what is accepted, hyper reads in the same way.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateway::upstream::properties::chunked(input));
