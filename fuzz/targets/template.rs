//! Templates of plugins: what fills a hole stays inside it.

#![no_main]

#[path = "../properties/template.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::template(input));
