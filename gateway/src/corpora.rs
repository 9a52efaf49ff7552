//! What fuzzing found, replayed by the tests beside the properties.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Gives every file of `fuzz/corpora/{target}` to `property`, which panics where it does not hold.
pub(crate) fn replay(target: &str, property: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpora")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        let held = catch_unwind(AssertUnwindSafe(|| property(&input)));
        assert!(held.is_ok(), "it does not hold for {}", path.display());
        count += 1;
    }
    assert!(count > 0, "{} has no inputs", folder.display());
}
