//! Files: reading them, and what they `include`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::item::Item;
use super::parse::{self, Document};
use super::scope::{Location, Scope};
use super::suggest;
use super::tree::Node;
use crate::file::Unreadable;

/// Reads a file and what it includes.
pub(super) fn read(scope: &Scope, path: &Path) -> Vec<Document> {
    let mut reading = Reading {
        scope,
        seen: HashMap::new(),
        open: Vec::new(),
        documents: Vec::new(),
    };
    reading.file(path, None);
    reading.documents
}

struct Reading<'a> {
    scope: &'a Scope,
    /// Where each file was first included from; `None` for the first.
    seen: HashMap<PathBuf, Option<Location>>,
    /// The files that are being included, outermost first.
    open: Vec<PathBuf>,
    documents: Vec<Document>,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, from: Option<Location>) {
        let identity = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let file = self.scope.add(path);
        self.seen.insert(identity.clone(), from);
        let Some(source) = self.source(file, path) else {
            self.scope.mark_incomplete();
            return;
        };
        let Some(document) = parse::document(self.scope, file, &source) else {
            self.scope.mark_incomplete();
            return;
        };
        let includes = document
            .entries
            .iter()
            .find(|entry| entry.key == "include")
            .map(|entry| entry.node.clone());
        self.documents.push(document);
        self.open.push(identity);
        if let Some(includes) = includes {
            self.includes(&includes);
        }
        self.open.pop();
    }

    fn source(&self, file: usize, path: &Path) -> Option<String> {
        let whole = Location { file, line: 0 };
        let bytes = match self.scope.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.scope
                    .fault(whole, "", format!("cannot be read: {error}"));
                return None;
            }
        };
        let source = match String::from_utf8(bytes) {
            Ok(source) => source,
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes()[..valid]
                    .iter()
                    .filter(|&&byte| byte == b'\n')
                    .count();
                let message = "not UTF-8, which TOML files have to be";
                self.scope.fault(Location { file, line }, "", message);
                return None;
            }
        };
        let starts = source.match_indices('\n').map(|(offset, _)| offset + 1);
        self.scope.add_lines(file, starts);
        Some(source)
    }

    fn includes(&mut self, node: &Node) {
        let item = Item {
            scope: self.scope,
            node,
            key: "include".to_owned(),
        };
        for (item, pattern) in patterns(&item) {
            self.include(&item, pattern);
        }
    }

    fn include(&mut self, item: &Item<'_>, pattern: &str) {
        let (at, key) = (item.node.at, item.key.as_str());
        let directory = self.scope.directory(at.file);
        self.scope.watch_include(&directory.join(pattern));
        let found = glob(&directory, pattern);
        if found.is_empty() {
            self.scope.mark_incomplete();
            let shown = match item.is_outside() {
                true => item.quoted(),
                false => format!("{pattern:?}"),
            };
            let looked_for = item.looked_for(&Unreadable::Missing);
            item.fault(format!("no file matches {shown}{looked_for}"));
        }
        for path in found {
            let identity = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            let shown = path.display();
            if let Some(position) = self.open.iter().position(|open| *open == identity) {
                let message = match self.open.len() - position {
                    1 => format!("{shown} includes itself"),
                    _ => format!("{shown} is what includes this file: a cycle"),
                };
                self.scope.fault(at, key, message);
            } else if let Some(Some(first)) = self.seen.get(&identity) {
                let first = self.scope.show(*first);
                self.scope
                    .fault(at, key, format!("{shown} is included already, in {first}"));
            } else {
                self.file(&path, Some(at));
            }
        }
    }
}

/// What `include` says, each read in its turn.
pub(super) fn patterns<'a>(item: &Item<'a>) -> impl Iterator<Item = (Item<'a>, &'a str)> {
    let items = item.items("a list of files such as [\"routes/*.toml\"]");
    let items = items.unwrap_or_default().into_iter();
    items.filter_map(|item| item.text_as("a file").map(|text| (item, text)))
}

/// Files that match a pattern with `*` and `?` in its segments, sorted. A pattern without them is itself. What is
/// neither a file nor a directory is told when it is read.
fn glob(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![if pattern.starts_with('/') {
        PathBuf::from("/")
    } else {
        directory.to_owned()
    }];
    for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
        found = found
            .iter()
            .flat_map(|base| matches_in(base, segment))
            .collect();
    }
    found.retain(|path| fs::metadata(path).is_ok_and(|found| !found.is_dir()));
    found
}

fn matches_in(base: &Path, segment: &str) -> Vec<PathBuf> {
    if !segment.contains(['*', '?']) {
        return vec![base.join(segment)];
    }
    let listed = if base.as_os_str().is_empty() {
        Path::new(".")
    } else {
        base
    };
    let Ok(entries) = fs::read_dir(listed) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| suggest::file_name_matches(segment, name))
        .collect();
    names.sort();
    names.iter().map(|name| base.join(name)).collect()
}
