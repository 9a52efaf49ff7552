//! What fuzzing found in the SDK, replayed.

#[path = "../../fuzz/properties/template.rs"]
mod properties;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[test]
fn what_fills_a_hole_stays_inside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpora/template");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        let held = catch_unwind(|| properties::template(&input));
        assert!(held.is_ok(), "it does not hold for {}", path.display());
        count += 1;
    }
    assert!(count > 0, "{} has no inputs", folder.display());
}
