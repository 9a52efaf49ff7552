//! The loader of configurations: every fault has a line, and none is a panic.

#![no_main]

use std::sync::LazyLock;

use tempfile::TempDir;

/// The only folder that the loader sees.
static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| TempDir::new().expect("a temporary folder can be made"));

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateway::config::properties::loaded(
    FOLDER.path(),
    input
));
