//! What is watched: names in directories, exact or with wildcards.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use notify::event::{
    AccessKind, AccessMode, CreateKind, Event, EventKind, ModifyKind, RemoveKind, RenameMode,
};

use super::way::{self, End, Way};
use crate::config;

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
    /// This file, whose content counts, or this link, and whether there is such a thing.
    File(OsString),
    /// A directory on the way to what was given, which is not there yet.
    Missing(OsString),
    /// Whatever matches, and whether there is such a thing.
    Like(String),
}

/// The targets of a file, which need not be there: its name, and every link on the way to it.
pub(super) fn file(file: &Path) -> notify::Result<Vec<Target>> {
    if file.file_name().is_none() {
        return Err(named(
            file,
            notify::Error::generic("expected the path of a file"),
        ));
    }
    let way = way::to(file).map_err(|error| named(file, notify::Error::io(error)))?;
    let mut targets = links(&way, file);
    let (directory, name) = match (way.end, way.beyond) {
        (End::There(path), _) => match (path.parent(), path.file_name()) {
            (Some(directory), Some(name)) => (directory.to_owned(), Name::File(name.to_owned())),
            _ => return Ok(targets),
        },
        (End::Missing(directory, name), true) => (directory, Name::Missing(name)),
        (End::Missing(directory, name), false) => (directory, Name::File(name)),
    };
    targets.push(Target {
        directory,
        name,
        given: file.to_owned(),
    });
    Ok(targets)
}

/// The links that were followed: another one in the place of each leads elsewhere.
fn links(way: &Way, given: &Path) -> Vec<Target> {
    let links = way.links.iter().map(|(directory, name)| Target {
        directory: directory.clone(),
        name: Name::File(name.clone()),
        given: given.to_owned(),
    });
    links.collect()
}

/// The targets of a pattern such as `/etc/gateway/*/routes-*.toml`: one for each directory that there is on its way.
pub(super) fn pattern(pattern: &Path) -> notify::Result<Vec<Target>> {
    let mut fixed = PathBuf::new();
    let mut components = pattern.components().peekable();
    while let Some(component) = components
        .next_if(|component| !matches!(component, Component::Normal(name) if has_wildcards(name)))
    {
        fixed.push(component);
    }
    let mut names: Vec<_> = components
        .map(|component| component.as_os_str().to_string_lossy().into_owned())
        .collect();
    // A pattern without wildcards is the name of a file.
    if names.is_empty()
        && let Some(name) = fixed.file_name()
    {
        names.push(name.to_string_lossy().into_owned());
        fixed.pop();
    }
    let way = way::to(&fixed).map_err(|error| named(pattern, notify::Error::io(error)))?;
    let mut targets = links(&way, pattern);
    let mut bases = match way.end {
        End::There(directory) => vec![directory],
        End::Missing(directory, name) => {
            targets.push(Target {
                directory,
                name: Name::Missing(name),
                given: pattern.to_owned(),
            });
            return Ok(targets);
        }
    };
    for (index, name) in names.iter().enumerate() {
        let mut below = Vec::new();
        for base in bases {
            let Some(directory) = base.canonicalize().ok().filter(|base| base.is_dir()) else {
                continue;
            };
            if index + 1 < names.len() {
                below.extend(directories_like(&directory, name));
            }
            targets.push(Target {
                directory,
                name: Name::Like(name.clone()),
                given: pattern.to_owned(),
            });
        }
        bases = below;
    }
    Ok(targets)
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

fn has_wildcards(segment: &OsStr) -> bool {
    segment
        .as_encoded_bytes()
        .iter()
        .any(|byte| matches!(byte, b'*' | b'?'))
}

fn named(path: &Path, error: notify::Error) -> notify::Error {
    error.add_path(path.to_owned())
}

impl Target {
    pub(super) fn is_changed_by(&self, event: &Event) -> bool {
        let counts = leaves_it_whole(event) || changes_the_set(event);
        let is_it = |path: &PathBuf| {
            let name = path
                .file_name()
                .filter(|_| path.parent() == Some(&*self.directory));
            name.is_some_and(|name| self.name.is(name))
        };
        // A directory that goes takes its files along.
        let is_its_directory = |path: &PathBuf| *path == self.directory && changes_the_set(event);
        // A rename has two paths: from and to.
        counts
            && event
                .paths
                .iter()
                .any(|path| is_it(path) || is_its_directory(path))
    }

    /// Whether it was changed or moved into place at that time or later.
    pub(super) fn is_changed_since(&self, since: SystemTime) -> bool {
        let Name::File(name) = &self.name else {
            return false;
        };
        std::fs::symlink_metadata(self.directory.join(name)).is_ok_and(|found| {
            let seconds = u64::try_from(found.ctime()).unwrap_or_default();
            let beyond = u64::try_from(found.ctime_nsec()).unwrap_or_default();
            UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(beyond) >= since
        })
    }
}

impl Name {
    fn is(&self, found: &OsStr) -> bool {
        match self {
            Self::File(name) | Self::Missing(name) => found == name,
            Self::Like(pattern) => found
                .to_str()
                .is_some_and(|found| config::file_name_matches(pattern, found)),
        }
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
        // A link, symbolic or hard, and a FIFO are whole from the start; no writer closes them.
        EventKind::Create(CreateKind::File | CreateKind::Any | CreateKind::Other) => {
            let found = event.paths.last().map(std::fs::symlink_metadata);
            found.is_some_and(|found| found.is_ok_and(|it| !it.is_file() || it.nlink() > 1))
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
