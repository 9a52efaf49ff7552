//! Circles of files that import each other, and those that `ARCHITECTURE.md` gives a reason for.
//!
//! An import leads to the file that defines what it names, through all re-exports between; the re-exports and `mod`
//! lines themselves lead nowhere. How a path is spelled makes no difference: `use child::f` and a call of
//! `child::f()` are the same import.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::imports::{self, Kind};
use super::names::Names;
use super::source::{self, File};
use super::tables;

/// The circles without a reason, and the reasons without a circle.
pub(super) fn check(root: &Path) -> Vec<String> {
    let rows = match tables::rows(root, ["files", "reason"]) {
        Ok(rows) => rows,
        Err(error) => return vec![error],
    };
    let mut findings = Vec::new();
    let mut with_reason = BTreeSet::new();
    for [files, reason] in rows {
        if reason.is_empty() {
            findings.push(format!(
                "ARCHITECTURE.md gives no reason for the circle {files}"
            ));
        }
        with_reason.insert(tables::names(&files).into_iter().collect());
    }
    let mut found = BTreeSet::new();
    for folder in crates(root) {
        let graph = Graph::of(root, &folder);
        for circle in graph.circles() {
            if !with_reason.contains(&circle) {
                findings.push(graph.describe(&circle));
            }
            found.insert(circle);
        }
    }
    for circle in with_reason.difference(&found) {
        let files: Vec<&str> = circle.iter().map(String::as_str).collect();
        findings.push(format!(
            "ARCHITECTURE.md lists a circle that no longer exists: {}",
            files.join(", ")
        ));
    }
    findings
}

/// The folders of the crates whose files are looked at.
fn crates(root: &Path) -> Vec<String> {
    let plugins = source::entries(&root.join("plugins"));
    let plugins = plugins.iter().map(|name| format!("plugins/{name}"));
    let mut folders = vec!["gateway".to_owned(), "plugin-sdk".to_owned()];
    folders.extend(plugins);
    folders.retain(|folder| root.join(folder).join("src").is_dir());
    folders
}

/// Files by their paths.
type Circle = BTreeSet<String>;

/// Which file of a crate imports what another defines.
struct Graph {
    files: Vec<File>,
    /// For each file the files it imports from, with the line of the first such import.
    edges: Vec<BTreeMap<usize, usize>>,
}

impl Graph {
    fn of(root: &Path, folder: &str) -> Self {
        let files = source::crate_files(root, folder);
        let names = Names::of(&files, folder);
        let edges = files.iter().enumerate().map(|(index, file)| {
            let mut edges = BTreeMap::new();
            for import in imports::of(file) {
                if import.kind == Kind::ReExport {
                    continue;
                }
                match names.file_of(&import) {
                    Some(target) if target != index => {
                        edges.entry(target).or_insert(import.line);
                    }
                    _ => {}
                }
            }
            edges
        });
        let edges = edges.collect();
        Self { files, edges }
    }

    /// The strongly connected components of more than one file.
    fn circles(&self) -> Vec<Circle> {
        let mut search = Search {
            edges: &self.edges,
            visited: vec![None; self.files.len()],
            stack: Vec::new(),
            components: Vec::new(),
        };
        for file in 0..self.files.len() {
            search.visit(file);
        }
        let components = search.components.into_iter();
        components
            .filter(|component| component.len() > 1)
            .map(|component| {
                let paths = component.iter().map(|file| self.files[*file].path.clone());
                paths.collect()
            })
            .collect()
    }

    fn describe(&self, circle: &Circle) -> String {
        let mut text = format!("a circle of {} files without a reason:", circle.len());
        for (file, edges) in self.files.iter().zip(&self.edges) {
            if !circle.contains(&file.path) {
                continue;
            }
            for (target, line) in edges {
                let target = &self.files[*target].path;
                if circle.contains(target) {
                    text += &format!("\n  {}:{line} imports from {target}", file.path);
                }
            }
        }
        text
    }
}

/// Tarjan's search for strongly connected components.
struct Search<'a> {
    edges: &'a [BTreeMap<usize, usize>],
    /// When a file was first met; `usize::MAX` once its component is complete.
    visited: Vec<Option<usize>>,
    stack: Vec<usize>,
    components: Vec<Vec<usize>>,
}

impl Search<'_> {
    /// Visits a file and what it leads to; returns the earliest visit that leads back to it.
    fn visit(&mut self, file: usize) -> usize {
        if let Some(when) = self.visited[file] {
            return when;
        }
        let when = self.visited.iter().flatten().count();
        self.visited[file] = Some(when);
        let depth = self.stack.len();
        self.stack.push(file);
        let mut earliest = when;
        for target in self.edges[file].keys() {
            earliest = earliest.min(self.visit(*target));
        }
        if earliest == when {
            let component = self.stack.split_off(depth);
            for member in &component {
                self.visited[*member] = Some(usize::MAX);
            }
            self.components.push(component);
        }
        earliest
    }
}
