//! The corpora of fuzz/: small, and each of one target. The unit tests beside the properties replay them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The most inputs of one target: what takes longer to replay belongs to `make fuzz`.
const MOST_FILES: usize = 80;
/// The largest input, in bytes.
const MOST_BYTES: u64 = 4 << 10;

#[test]
fn every_fuzz_target_has_a_corpus_and_every_corpus_a_target() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let targets: BTreeSet<String> = manifest["bin"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bin| bin["name"].as_str().unwrap().to_owned())
        .collect();
    let corpora = entries(&folder().join("corpora"));
    let corpora: BTreeSet<String> = corpora.iter().map(|path| name(path)).collect();
    assert_eq!(targets, corpora);
}

#[test]
fn the_corpora_are_small() {
    for corpus in entries(&folder().join("corpora")) {
        let inputs = entries(&corpus);
        let count = inputs.len();
        assert!((1..=MOST_FILES).contains(&count), "{corpus:?}: {count}");
        for input in inputs {
            assert!(input.metadata().unwrap().len() < MOST_BYTES, "{input:?}");
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
