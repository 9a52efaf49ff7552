//! Files: reading, parsing, `include`, and the faults found in them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::fault::{Errors, Fault};
use super::model::Watched;
use super::suggest;
use super::tree::{self, Entry, Node, Place, Value};

/// One load: the files it read, and what it found wrong. Shared by every reader, hence the cells.
#[derive(Debug, Default)]
pub(super) struct Scope {
    files: RefCell<Vec<SourceFile>>,
    faults: RefCell<Vec<(Place, Fault)>>,
    warnings: RefCell<Vec<Fault>>,
    watched: RefCell<Watched>,
    incomplete: Cell<bool>,
}

#[derive(Debug)]
struct SourceFile {
    /// As the user named it.
    shown: PathBuf,
    /// Where each line starts.
    lines: Vec<usize>,
}

/// The parsed content of one file.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) start: Place,
    pub(super) entries: Vec<Entry>,
}

impl Scope {
    /// Reports a fault.
    pub(super) fn fault(&self, at: Place, key: &str, message: impl Into<String>) {
        let fault = self.at(at, key, message.into());
        self.faults.borrow_mut().push((at, fault));
    }

    /// Reports what somebody should look at, though it can be served.
    pub(super) fn warn(&self, at: Place, key: &str, message: impl Into<String>) {
        let warning = self.at(at, key, message.into());
        self.warnings.borrow_mut().push(warning);
    }

    fn at(&self, at: Place, key: &str, message: String) -> Fault {
        Fault {
            file: self.files.borrow()[at.file].shown.clone(),
            line: at.line,
            key: key.to_owned(),
            message,
        }
    }

    /// Does something whose faults would only repeat one that is reported already.
    pub(super) fn quietly<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = self.faults.borrow().len();
        let value = work();
        self.faults.borrow_mut().truncate(before);
        value
    }

    /// `file:line`
    pub(super) fn show(&self, at: Place) -> String {
        let files = self.files.borrow();
        format!("{}:{}", files[at.file].shown.display(), at.line)
    }

    /// The file, as the user named it.
    pub(super) fn file(&self, at: Place) -> String {
        self.files.borrow()[at.file].shown.display().to_string()
    }

    /// The line that a byte of a file is in.
    pub(super) fn place_of(&self, file: usize, offset: usize) -> Place {
        let line = self.files.borrow()[file]
            .lines
            .partition_point(|&start| start <= offset);
        Place { file, line }
    }

    /// A path that stands in a file, relative to that file.
    pub(super) fn resolve(&self, at: Place, path: &str) -> PathBuf {
        let joined = self.directory(at.file).join(path);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    /// Reads a file and remembers it for the watcher.
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        add_once(&mut self.watched.borrow_mut().files, path);
        fs::read(path)
    }

    fn watch_include(&self, pattern: &Path) {
        add_once(&mut self.watched.borrow_mut().includes, pattern);
    }

    /// Remembers a plugin for the watcher.
    pub(super) fn watch_plugin(&self, path: &Path) {
        add_once(&mut self.watched.borrow_mut().plugins, path);
    }

    /// Whether every file could be parsed; if not, a name that seems unknown may be in one that was not.
    pub(super) fn is_complete(&self) -> bool {
        !self.incomplete.get()
    }

    /// Everything that was read or looked for.
    pub(super) fn watched(&self) -> Watched {
        self.watched.borrow().clone()
    }

    /// Every warning.
    pub(super) fn warnings(&self) -> Vec<Fault> {
        self.warnings.borrow().clone()
    }

    /// # Errors
    /// The faults that were reported, if any.
    pub(super) fn finish(&self) -> Result<(), Errors> {
        let mut faults = self.faults.take();
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort_by_key(|(at, _)| *at);
        faults.dedup();
        Err(Errors(faults.into_iter().map(|(_, fault)| fault).collect()))
    }

    fn directory(&self, file: usize) -> PathBuf {
        let files = self.files.borrow();
        let parent = files[file].shown.parent();
        parent.unwrap_or(Path::new("")).to_owned()
    }

    fn add(&self, shown: &Path) -> usize {
        let mut files = self.files.borrow_mut();
        files.push(SourceFile {
            shown: shown.to_owned(),
            lines: vec![0],
        });
        files.len() - 1
    }
}

fn add_once(all: &mut Vec<PathBuf>, path: &Path) {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if !all.contains(&absolute) {
        all.push(absolute);
    }
}

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
    seen: HashMap<PathBuf, Option<Place>>,
    /// The files that are being included, outermost first.
    open: Vec<PathBuf>,
    documents: Vec<Document>,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, from: Option<Place>) {
        let identity = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let file = self.scope.add(path);
        self.seen.insert(identity.clone(), from);
        let Some(source) = self.source(file, path) else {
            self.scope.incomplete.set(true);
            return;
        };
        let Some(document) = self.parse(file, &source) else {
            self.scope.incomplete.set(true);
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
        let whole = Place { file, line: 0 };
        let bytes = match self.scope.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.scope
                    .fault(whole, "", format!("cannot be read: {}", reason(&error)));
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
                self.scope.fault(Place { file, line }, "", message);
                return None;
            }
        };
        let starts = source.match_indices('\n').map(|(offset, _)| offset + 1);
        self.scope.files.borrow_mut()[file].lines.extend(starts);
        Some(source)
    }

    fn parse(&self, file: usize, source: &str) -> Option<Document> {
        let (root, errors) = toml::de::DeTable::parse_recoverable(source);
        let mut last = 0;
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let at = self.scope.place_of(file, span.start);
            // What follows on the same line is mostly an echo of the first.
            if at.line == last {
                continue;
            }
            last = at.line;
            let found = source.get(span).unwrap_or_default().trim();
            self.scope.fault(at, "", syntax(error.message(), found));
        }
        errors.is_empty().then(|| Document {
            start: Place { file, line: 1 },
            entries: tree::entries(self.scope, file, "", root.get_ref()),
        })
    }

    fn includes(&mut self, node: &Node) {
        let patterns = match &node.value {
            Value::List(patterns) => patterns.as_slice(),
            Value::Broken => return,
            _ => {
                let message = format!(
                    "expected a list of files such as [\"routes/*.toml\"], found {}",
                    node.describe()
                );
                self.scope.fault(node.at, "include", message);
                return;
            }
        };
        for (index, pattern) in patterns.iter().enumerate() {
            let key = format!("include[{index}]");
            match &pattern.value {
                Value::Text(text) => self.include(pattern.at, &key, text),
                Value::Broken => {}
                _ => {
                    let message = format!("expected a file, found {}", pattern.describe());
                    self.scope.fault(pattern.at, &key, message);
                }
            }
        }
    }

    fn include(&mut self, at: Place, key: &str, pattern: &str) {
        let directory = self.scope.directory(at.file);
        self.scope.watch_include(&directory.join(pattern));
        let found = glob(&directory, pattern);
        if found.is_empty() {
            self.scope.incomplete.set(true);
            let message = format!("no file matches {pattern:?}; it is relative to this file");
            self.scope.fault(at, key, message);
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

/// Why a file cannot be read, without the number of the error.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

fn syntax(message: &str, found: &str) -> String {
    let clash = message == "duplicate key" || message.starts_with("cannot extend value");
    if clash && found == "plugins" {
        return "`plugins` is both a list and the tables [plugins.NAME] here, which TOML forbids; \
                the chain that every route starts with is `chain = [..]`, above the first [table]"
            .to_owned();
    }
    if message == "duplicate key" {
        return format!("`{found}` is here a second time");
    }
    let message = message.trim_end_matches(", expected nothing");
    if found.is_empty() || found.len() > 40 || found.contains('\n') || message.contains(found) {
        return format!("not TOML: {message}");
    }
    format!("not TOML: {message}, found `{found}`")
}

/// Files that match a pattern with `*` and `?` in its segments, sorted. A pattern without them is itself.
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
    found.retain(|path| path.is_file());
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
