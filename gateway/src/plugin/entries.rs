//! The entries of the compile cache, which wasmtime opens by their names: what is no regular file, or too large, goes
//! before it can be waited for or read without end.

use std::fs;
use std::path::Path;

use crate::file::{self, Unreadable};

/// The largest entry, bytes: machine code of a component, compressed.
const ENTRY: u64 = 256 << 20;
/// Where wasmtime keeps entries, in a directory for each version of the compiler.
const ENTRIES: &str = "modules";

/// Removes what stands in the place of entries and is none.
pub(super) fn sweep(cache: &Path) {
    for version in paths(&cache.join(ENTRIES)) {
        for entry in paths(&version) {
            match file::look(&entry, ENTRY) {
                Ok(()) | Err(Unreadable::Missing) => {}
                Err(why) => {
                    let removed = match fs::remove_file(&entry) {
                        Ok(()) => "removed".to_owned(),
                        Err(error) => format!("not removed ({error})"),
                    };
                    let entry = entry.display();
                    tracing::warn!("compile cache: {entry} is {removed}: {why}");
                }
            }
        }
    }
}

/// What is in a directory; nothing where it cannot be read, since wasmtime finds no entry there either.
fn paths(directory: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_no_entry_goes_and_every_entry_stays() {
        let cache = tempfile::tempdir().unwrap();
        let version = cache.path().join("modules/compiler-1");
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("entry"), "code").unwrap();
        for fifo in [version.join("fifo"), cache.path().join("not-ours")] {
            assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
        }
        sweep(cache.path());
        let left: Vec<_> = paths(&version).collect();
        assert_eq!(left, [version.join("entry")]);
        assert!(cache.path().join("not-ours").exists());
        sweep(&cache.path().join("nowhere"));
    }
}
