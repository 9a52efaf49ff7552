//! What is watched: names in directories, exact or with wildcards.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use notify::event::{
    AccessKind, AccessMode, CreateKind, Event, EventKind, ModifyKind, RemoveKind, RenameMode,
};

use crate::config;

/// The link whose replacement replaces all files of a Kubernetes volume.
const KUBERNETES_LINK: &str = "..data";

/// One name in one directory.
#[derive(Debug)]
pub(super) struct Target {
    /// Without links, as events name it.
    pub(super) directory: PathBuf,
    pub(super) name: Name,
    /// The path as it was given, as it is reported.
    pub(super) given: PathBuf,
}

#[derive(Debug)]
pub(super) enum Name {
    /// This file, whose content counts.
    File(OsString),
    /// A directory on the way to what was given, which is not there yet.
    Missing(OsString),
    /// Whatever matches, and whether there is such a thing.
    Like(String),
}

/// The target of a file, which need not be there.
pub(super) fn file(file: &Path) -> notify::Result<Target> {
    let name = file
        .file_name()
        .ok_or_else(|| named(file, notify::Error::generic("expected the path of a file")))?;
    match parent(file).canonicalize() {
        Ok(directory) => Ok(Target {
            directory,
            name: Name::File(name.to_owned()),
            given: file.to_owned(),
        }),
        Err(error) if is_missing(&error) => missing(parent(file), file),
        Err(error) => Err(named(file, notify::Error::io(error))),
    }
}

/// The targets of a pattern such as `/etc/gateway/*/routes-*.toml`: one for each directory that there is on its way.
pub(super) fn pattern(pattern: &Path) -> notify::Result<Vec<Target>> {
    let mut bases = vec![PathBuf::new()];
    let mut targets = Vec::new();
    let mut components = pattern.components().peekable();
    while let Some(component) = components.next() {
        let last = components.peek().is_none();
        let segment = component.as_os_str();
        let fixed = !matches!(component, Component::Normal(_)) || !has_wildcards(segment);
        if fixed && targets.is_empty() && !last {
            bases[0].push(segment);
            continue;
        }
        let mut below = Vec::new();
        for base in &bases {
            let base = if base.as_os_str().is_empty() {
                Path::new(".")
            } else {
                base
            };
            let directory = match base.canonicalize() {
                Ok(directory) if directory.is_dir() => directory,
                Err(error) if is_missing(&error) && targets.is_empty() => {
                    return Ok(vec![missing(base, pattern)?]);
                }
                _ => continue,
            };
            let segment = segment.to_string_lossy().into_owned();
            if !last {
                below.extend(directories_like(&directory, &segment));
            }
            targets.push(Target {
                directory,
                name: Name::Like(segment),
                given: pattern.to_owned(),
            });
        }
        bases = below;
    }
    Ok(targets)
}

/// The nearest directory that there is above one that is missing, waiting for the next one down.
fn missing(wanted: &Path, given: &Path) -> notify::Result<Target> {
    let mut below = wanted;
    loop {
        let (Some(name), above) = (below.file_name(), parent(below)) else {
            return Err(named(given, notify::Error::path_not_found()));
        };
        match above.canonicalize() {
            Ok(directory) => {
                return Ok(Target {
                    directory,
                    name: Name::Missing(name.to_owned()),
                    given: given.to_owned(),
                });
            }
            Err(error) if is_missing(&error) && above != below => below = above,
            Err(error) => return Err(named(given, notify::Error::io(error))),
        }
    }
}

fn directories_like(directory: &Path, segment: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| config::file_name_matches(segment, name))
        .map(|name| directory.join(name))
        .filter(|path| path.is_dir())
        .collect()
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn has_wildcards(segment: &OsStr) -> bool {
    segment
        .as_encoded_bytes()
        .iter()
        .any(|byte| matches!(byte, b'*' | b'?'))
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn named(path: &Path, error: notify::Error) -> notify::Error {
    error.add_path(path.to_owned())
}

impl Target {
    pub(super) fn is_changed_by(&self, event: &Event) -> bool {
        // A rename has two paths: from and to.
        match &self.name {
            Name::File(name) => {
                leaves_it_whole(event) && self.is_at(event.paths.last(), |found| found == name)
            }
            Name::Missing(name) => {
                let is_there = leaves_it_whole(event) || changes_the_set(event);
                is_there && self.is_at(event.paths.last(), |found| found == name)
            }
            Name::Like(pattern) => {
                let counts = leaves_it_whole(event) || changes_the_set(event);
                let like = |found: &OsStr| {
                    found
                        .to_str()
                        .is_some_and(|found| config::file_name_matches(pattern, found))
                };
                counts && event.paths.iter().any(|path| self.is_at(Some(path), like))
            }
        }
    }

    fn is_at(&self, path: Option<&PathBuf>, is_it: impl Fn(&OsStr) -> bool) -> bool {
        path.is_some_and(|path| {
            path.parent() == Some(&*self.directory)
                && path
                    .file_name()
                    .is_some_and(|name| name == KUBERNETES_LINK || is_it(name))
        })
    }
}

/// Whether an event may count for anything.
pub(super) fn may_count(event: &Event) -> bool {
    event.need_rescan() || leaves_it_whole(event) || changes_the_set(event)
}

/// Whether the last path of the event is a whole file now. A plain change is not: the next write may be on its way.
fn leaves_it_whole(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => true,
        // A link is whole from the start; no writer closes it.
        EventKind::Create(CreateKind::File | CreateKind::Any | CreateKind::Other) => {
            event.paths.last().is_some_and(|path| path.is_symlink())
        }
        _ => false,
    }
}

/// Whether there is a directory more or a file less. A new file counts when it is whole.
fn changes_the_set(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::Create(CreateKind::Folder)
            | EventKind::Remove(RemoveKind::Any | RemoveKind::File | RemoveKind::Folder)
            | EventKind::Modify(ModifyKind::Name(RenameMode::From))
    )
}
