//! Files: reading them, and what they `include`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::item::Item;
use super::parse::{self, Document};
use super::scope::{Location, Scope};
use super::suggest;
use super::tree::Node;
use crate::file::{Dangling, Unreadable, is_absence};

/// Reads a file and what it includes.
pub(super) fn read(scope: &Scope, path: &Path) -> Vec<Document> {
    let mut reading = Reading {
        scope,
        seen: HashMap::new(),
        open: Vec::new(),
        documents: Vec::new(),
    };
    reading.file(path, None, &|error| {
        let whole = Location { file: 0, line: 0 };
        scope.fault(whole, "", format!("cannot be read: {error}"));
    });
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
    /// Reads a file; `unreadable` says why it cannot be, where it is named.
    fn file(&mut self, path: &Path, from: Option<Location>, unreadable: &dyn Fn(&Unreadable)) {
        let identity = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let file = self.scope.add(path);
        self.seen.insert(identity.clone(), from);
        let read = self.scope.read(path).inspect_err(unreadable).ok();
        let Some(source) = read.and_then(|bytes| self.source(file, bytes)) else {
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

    fn source(&self, file: usize, bytes: Vec<u8>) -> Option<String> {
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
        let Found { files, unlisted } = glob(&directory, pattern);
        if files.is_empty() && unlisted.is_empty() {
            self.scope.mark_incomplete();
            let shown = match item.is_outside() {
                true => item.quoted(),
                false => format!("{pattern:?}"),
            };
            let looked_for = item.looked_for(&Unreadable::Missing);
            item.fault(format!("no file matches {shown}{looked_for}"));
        }
        for (directory, error) in unlisted {
            self.scope.mark_incomplete();
            let (directory, error) = (directory.display(), Unreadable::from(error));
            item.fault(format!("cannot list the files of {directory}: {error}"));
        }
        for path in files {
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
                self.file(&path, Some(at), &|error| {
                    item.fault(unreadable(item, pattern, &path, error));
                });
            }
        }
    }
}

/// What `include` says, each read in its turn.
pub(super) fn patterns<'a>(item: &Item<'a>) -> impl Iterator<Item = (Item<'a>, &'a str)> {
    let items = item.items("a list of files such as [\"routes/*.toml\"]");
    let items = items.unwrap_or_default().into_iter();
    items.filter_map(|item| {
        item.path_as("a file")?;
        item.text().map(|text| (item, text))
    })
}

/// What is said of a file that `include` means and that cannot be read.
fn unreadable(item: &Item<'_>, pattern: &str, path: &Path, error: &Unreadable) -> String {
    if has_wildcards(pattern) {
        let (path, quoted) = (path.display(), item.quoted());
        return format!("cannot read {path}, which {quoted} matches: {error}");
    }
    let told = item.unreadable(error);
    if !path.is_dir() {
        return told;
    }
    let files = match item.is_outside() {
        true => "\"DIRECTORY/*.toml\"".to_owned(),
        false => format!("\"{}/*.toml\"", pattern.trim_end_matches('/')),
    };
    format!("{told}; write {files} for the files in it")
}

fn has_wildcards(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// What a pattern means.
#[derive(Debug, Default)]
struct Found {
    /// Sorted. What is no file is told when it is read.
    files: Vec<PathBuf>,
    /// Directories in which there may be more.
    unlisted: Vec<(PathBuf, io::Error)>,
}

/// Files that match a pattern with `*` and `?` in its segments. A pattern without them is itself.
fn glob(directory: &Path, pattern: &str) -> Found {
    let mut unlisted = Vec::new();
    let mut files = vec![if pattern.starts_with('/') {
        PathBuf::from("/")
    } else {
        directory.to_owned()
    }];
    for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
        let mut within = Vec::new();
        for base in &files {
            match matches_in(base, segment) {
                Ok(found) => within.extend(found),
                Err(error) if is_absence(&error) => {}
                Err(error) => unlisted.push((base.clone(), error)),
            }
        }
        files = within;
    }
    files.retain(|path| is_meant(path, has_wildcards(pattern)));
    Found { files, unlisted }
}

/// Whether there is what had better be a file. Of what wildcards find, a directory is none; a link that leads nowhere was
/// one.
fn is_meant(path: &Path, by_wildcards: bool) -> bool {
    match fs::metadata(path) {
        Ok(found) => !(by_wildcards && found.is_dir()),
        Err(error) if is_absence(&error) => Dangling::on_the_way_to(path).is_some(),
        Err(_) => true,
    }
}

fn matches_in(base: &Path, segment: &str) -> io::Result<Vec<PathBuf>> {
    if !has_wildcards(segment) {
        return Ok(vec![base.join(segment)]);
    }
    let listed = if base.as_os_str().is_empty() {
        Path::new(".")
    } else {
        base
    };
    let mut names: Vec<_> = fs::read_dir(listed)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| suggest::file_name_matches(segment, name))
        .collect();
    names.sort();
    Ok(names.iter().map(|name| base.join(name)).collect())
}
