//! One load as its readers share it: which files there are, where a line is, what was found wrong.
//!
//! The lowest floor of the loader, under the tree and the readers of files.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use serde_json::Value as Json;

use super::description::Description;
use super::expressions::{Expressions, Regexes};
use super::fault::{Errors, Fault, Spot};
use super::unset::{StandIn, StandIns};
use crate::file::{self, Unreadable};
use crate::message::text::Line;

/// The most that is read of a file of the configuration, in bytes: 16 MiB, far more than certificates and schemas have.
const LARGEST: u64 = 16 << 20;

/// One load: the files it read, and what it found wrong. Shared by every reader, hence the cells.
#[derive(Debug, Default)]
pub(super) struct Scope {
    files: RefCell<Vec<SourceFile>>,
    faults: RefCell<Vec<(Location, Fault)>>,
    warnings: RefCell<Vec<Fault>>,
    watched: RefCell<Watched>,
    incomplete: Cell<bool>,
    /// The names that something refers to, by what they are names of.
    used: RefCell<HashMap<String, HashSet<String>>>,
    /// What values are shown as that were read as something which is no secret, by their keys.
    read_as: RefCell<HashMap<Location, Vec<(String, Json)>>>,
    pub(super) expressions: Expressions,
    /// What stands for values that are not set, if they need not be.
    stand_ins: Option<RefCell<StandIns>>,
    /// Where the readers describe themselves instead of reading.
    description: Option<Description>,
    /// The authorities that the system trusts, or why there are none, once an upstream asked for them.
    authorities: OnceCell<Result<Arc<RootCertStore>, String>>,
}

#[derive(Debug)]
struct SourceFile {
    /// As the user named it.
    shown: PathBuf,
    /// Where each line starts.
    lines: Vec<usize>,
}

/// A line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Location {
    /// The file, by index into the scope.
    pub(super) file: usize,
    /// The line, from 1.
    pub(super) line: usize,
}

/// What a configuration depends on, found or not, for the watcher. All paths are absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Every file that was read: configuration, includes, `{ file = .. }`, certificates.
    pub files: Vec<PathBuf>,
    /// The patterns of `include`: a file more or less is another configuration.
    pub includes: Vec<PathBuf>,
    /// The artifacts of plugins.
    pub plugins: Vec<PathBuf>,
}

impl Scope {
    /// A scope for the configuration that follows one with these regular expressions.
    pub(super) fn following(before: Arc<Regexes>) -> Self {
        Self {
            expressions: Expressions::after(before),
            ..Self::default()
        }
    }

    /// A scope whose readers describe what they would read.
    #[cfg(test)]
    pub(super) fn describing() -> Self {
        Self {
            description: Some(Description::default()),
            ..Self::default()
        }
    }

    /// A scope in which these stand for values that are not set.
    pub(super) fn standing_in(stand_ins: StandIns) -> Self {
        Self {
            stand_ins: Some(RefCell::new(stand_ins)),
            ..Self::default()
        }
    }

    /// What stands for a value for want of these names, if they need not be set.
    pub(super) fn stand_in(&self, at: Location, key: &str, names: &[String]) -> Option<StandIn> {
        let place = (at.file, at.line, key.to_owned());
        let stand_ins = self.stand_ins.as_ref()?;
        Some(stand_ins.borrow_mut().of(place, names))
    }

    /// Whether something stands for values that are not set.
    pub(super) fn has_stand_ins(&self) -> bool {
        self.stand_ins.is_some()
    }

    /// Whether a text stands for a variable that is not set.
    pub(super) fn is_stand_in(&self, text: &str) -> bool {
        let stand_ins = self.stand_ins.as_ref();
        stand_ins.is_some_and(|stand_ins| stand_ins.borrow().is_stand_in(text))
    }

    /// What stood in, after what is said of it: whether there is something else to try. If not, that is forgotten.
    pub(super) fn other_stand_ins(&mut self) -> (StandIns, bool) {
        let mut stand_ins = self.stand_ins.take().unwrap_or_default().into_inner();
        let has_others = stand_ins.next();
        (stand_ins, has_others)
    }

    /// What the readers say of themselves, if they are to.
    pub(super) fn description(&self) -> Option<&Description> {
        self.description.as_ref()
    }

    /// Reports a fault.
    pub(super) fn fault(&self, at: Location, key: &str, message: impl Into<String>) {
        let fault = self.at(at, key, message.into());
        self.faults.borrow_mut().push((at, fault));
    }

    /// Reports a fault of a value: of one that is not set, it is none.
    pub(super) fn fault_of_value(&self, at: Location, key: &str, message: impl Into<String>) {
        let message = message.into();
        let place = (at.file, at.line, key.to_owned());
        let stand_ins = self.stand_ins.as_ref();
        if stand_ins.is_some_and(|stand_ins| stand_ins.borrow_mut().refused(&place, &message)) {
            return;
        }
        self.fault(at, key, message);
    }

    /// Reports what somebody should look at, though it can be served.
    pub(super) fn warn(&self, at: Location, key: &str, message: impl Into<String>) {
        let warning = self.at(at, key, message.into());
        self.warnings.borrow_mut().push(warning);
    }

    fn at(&self, at: Location, key: &str, message: String) -> Fault {
        self.spot(at, key).fault(Line(&message).to_string())
    }

    /// The place of a key. A fault is one line, and does nothing to the terminal.
    pub(super) fn spot(&self, at: Location, key: &str) -> Spot {
        Spot {
            file: self.files.borrow()[at.file].shown.clone(),
            line: at.line,
            key: Line(key).to_string(),
        }
    }

    /// Remembers that something refers to a name.
    pub(super) fn uses(&self, kind: &str, name: &str) {
        if !self.is_used(kind, name) {
            let mut used = self.used.borrow_mut();
            let names = used.entry(kind.to_owned()).or_default();
            names.insert(name.to_owned());
        }
    }

    /// Whether anything refers to a name.
    pub(super) fn is_used(&self, kind: &str, name: &str) -> bool {
        let used = self.used.borrow();
        used.get(kind).is_some_and(|names| names.contains(name))
    }

    /// Remembers that a value was read as something which may be shown.
    pub(super) fn may_show(&self, at: Location, key: &str, as_what: Json) {
        let mut read_as = self.read_as.borrow_mut();
        let of_line = read_as.entry(at).or_default();
        of_line.retain(|(known, _)| known != key);
        of_line.push((key.to_owned(), as_what));
    }

    /// What a value was read as, if that may be shown and is not what stands there. Its key is made where it is needed.
    pub(super) fn read_as(&self, at: Location, key: impl FnOnce() -> String) -> Option<Json> {
        let read_as = self.read_as.borrow();
        if read_as.is_empty() {
            return None;
        }
        let (of_line, key) = (read_as.get(&at)?, key());
        let (_, read) = of_line.iter().find(|(known, _)| *known == key)?;
        Some(read.clone())
    }

    /// Every file of the configuration, by its index.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let files = self.files.borrow();
        files.iter().map(|file| file.shown.clone()).collect()
    }

    /// Does something whose faults would only repeat one that is reported already.
    pub(super) fn quietly<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = self.faults.borrow().len();
        let value = work();
        self.faults.borrow_mut().truncate(before);
        value
    }

    /// `file:line`
    pub(super) fn show(&self, at: Location) -> String {
        let files = self.files.borrow();
        // Called for each route: no formatting.
        let file = files[at.file].shown.to_string_lossy();
        [&*file, ":", &at.line.to_string()].concat()
    }

    /// The line that a byte of a file is in.
    pub(super) fn place_of(&self, file: usize, offset: usize) -> Location {
        let line = self.files.borrow()[file]
            .lines
            .partition_point(|&start| start <= offset);
        Location { file, line }
    }

    /// A path that stands in a file, relative to that file.
    pub(super) fn resolve(&self, at: Location, path: &str) -> PathBuf {
        let joined = self.directory(at.file).join(path);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    /// Reads a file of at most [`LARGEST`] bytes and remembers it for the watcher.
    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>, Unreadable> {
        add_once(&mut self.watched.borrow_mut().files, path);
        file::read(path, LARGEST)
    }

    /// As [`Self::read`], a text, without the line end at its end.
    pub(super) fn read_text(&self, path: &Path) -> Result<String, Unreadable> {
        let mut text = String::from_utf8(self.read(path)?).map_err(|_| Unreadable::NotText)?;
        let without = text.strip_suffix('\n').unwrap_or(&text);
        let without = without.strip_suffix('\r').unwrap_or(without).len();
        text.truncate(without);
        Ok(text)
    }

    /// The authorities that the system trusts, loaded once for all who ask.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) fn authorities(
        &self,
        load: impl FnOnce() -> Result<Arc<RootCertStore>, String>,
    ) -> Result<Arc<RootCertStore>, String> {
        self.authorities.get_or_init(load).clone()
    }

    /// Remembers a pattern of `include` for the watcher.
    pub(super) fn watch_include(&self, pattern: &Path) {
        add_once(&mut self.watched.borrow_mut().includes, pattern);
    }

    /// Remembers a plugin for the watcher.
    pub(super) fn watch_plugin(&self, path: &Path) {
        add_once(&mut self.watched.borrow_mut().plugins, path);
    }

    /// Where the lines behind the first of a file start.
    pub(super) fn add_lines(&self, file: usize, starts: impl Iterator<Item = usize>) {
        self.files.borrow_mut()[file].lines.extend(starts);
    }

    /// Remembers that a file could not be had.
    pub(super) fn mark_incomplete(&self) {
        self.incomplete.set(true);
    }

    /// Whether every file could be parsed; if not, a name that seems unknown may be in one that was not.
    pub(super) fn is_complete(&self) -> bool {
        !self.incomplete.get()
    }

    /// Everything that was read or looked for.
    pub(super) fn watched(&self) -> Watched {
        self.watched.borrow().clone()
    }

    /// Every warning, once.
    pub(super) fn warnings(&self) -> Vec<Fault> {
        let mut told = HashSet::new();
        let mut warnings = self.warnings.borrow().clone();
        warnings.retain(|warning| told.insert(warning.clone()));
        warnings
    }

    /// # Errors
    /// The faults that were reported, if any, each once: what stands for several is read as often.
    pub(super) fn finish(&self) -> Result<(), Errors> {
        let mut faults = self.faults.take();
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort_by_key(|(at, _)| *at);
        let mut told = HashSet::new();
        faults.retain(|(_, fault)| told.insert(fault.clone()));
        Err(Errors(faults.into_iter().map(|(_, fault)| fault).collect()))
    }

    /// The directory of a file.
    pub(super) fn directory(&self, file: usize) -> PathBuf {
        let files = self.files.borrow();
        let parent = files[file].shown.parent();
        parent.unwrap_or(Path::new("")).to_owned()
    }

    /// Adds a file of one line, as long as no more is known of it; its index.
    pub(super) fn add(&self, shown: &Path) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_whatever_it_quotes() {
        let scope = Scope::default();
        let file = scope.add(Path::new("a.toml"));
        let at = Location { file, line: 1 };
        scope.fault(at, "a.\"\n\"", "found `\x1b[2J\u{202e}`, é");
        let shown = scope.finish().unwrap_err().to_string();
        assert_eq!(shown, "a.toml:1: a.\"\\n\": found `\\u{1b}[2J\\u{202e}`, é");
    }
}
