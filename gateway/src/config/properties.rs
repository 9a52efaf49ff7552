//! What holds for the loader whatever a file has in it; fuzz/ and the test below look for what breaks it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Errors, examine, load};

/// The files of an input, in its order; a zero byte ends each.
const FILES: [&str; 3] = ["gateway.toml", "other.toml", "file.txt"];

/// The most regular expressions: each may grow to 10 MiB, which takes its time.
const MOST_EXPRESSIONS: usize = 8;

/// Up to three files, loaded from `folder`, which nothing else uses. What would read outside of it is left out.
///
/// # Panics
/// When a fault names no line that is there or is no line of text itself, or two loads differ.
pub fn loaded(folder: &Path, input: &[u8]) {
    let texts: Vec<_> = input.splitn(FILES.len(), |byte| *byte == 0).collect();
    let leaves = texts.iter().any(|text| reads_outside(text));
    let slow = memchr::memmem::find_iter(input, "regex").count() > MOST_EXPRESSIONS;
    if leaves || slow || write(folder, &texts).is_err() {
        return;
    }
    let path = folder.join(FILES[0]);
    let (first, second) = (load(&path), examine(&path, false));
    match &first {
        Ok(config) => {
            assert!(second.errors.is_empty(), "two loads differ");
            assert_eq!(config.masked, second.config.masked);
        }
        Err(errors) => {
            assert_eq!(errors.0, second.errors);
            check(folder, &texts, errors);
        }
    }
}

fn check(folder: &Path, texts: &[&[u8]], errors: &Errors) {
    assert!(!errors.0.is_empty());
    for fault in &errors.0 {
        let files = FILES.iter().zip(texts);
        let mut named = files.filter(|(name, _)| folder.join(name) == fault.file);
        let text = named.next().map(|(_, text)| *text);
        assert!(text.is_some(), "{fault} is in no file");
        let text = text.unwrap_or_default();
        let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
        assert!((1..=lines).contains(&fault.line), "{fault} is in no line");
        assert!(!fault.message.is_empty());
        let shown = fault.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?} is no line");
    }
}

fn write(folder: &Path, texts: &[&[u8]]) -> io::Result<()> {
    for (index, name) in FILES.iter().enumerate() {
        let path: PathBuf = folder.join(name);
        match texts.get(index) {
            Some(text) => fs::write(path, text)?,
            None if path.exists() => fs::remove_file(path)?,
            None => {}
        }
    }
    Ok(())
}

/// Whether a path in a file leads out of its folder, or may by the environment.
fn reads_outside(text: &[u8]) -> bool {
    let table = str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<Table>().ok());
    // A file that is no TOML names no other.
    table.is_some_and(|table| table.iter().any(|(key, value)| leads_out(key, value)))
}

fn leads_out(key: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => {
            // Of these the loader reads a file, wherever they stand. Of an absolute `path`, which routes have too, it only
            // asks what it is.
            let is_path =
                ["include", "file", "cert", "key", "path", "compile_cache"].contains(&key);
            let is_asked = key == "path" && !text.contains("..");
            let leaves = text.starts_with('/') || text.contains("..") || text.contains("${");
            is_path && leaves && !is_asked
        }
        Value::Array(items) => items.iter().any(|item| leads_out(key, item)),
        Value::Table(table) => table.iter().any(|(key, value)| leads_out(key, value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::corpora;

    #[test]
    fn every_fault_is_a_line_of_text_about_a_line_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        corpora::replay("config", |input| super::loaded(folder.path(), input));
    }
}
