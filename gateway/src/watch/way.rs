//! The way to a file, one name after the other: every link on it may come to lead elsewhere.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows (path_resolution(7)).
const LINKS: usize = 40;

/// A way that was gone.
#[derive(Debug)]
pub(super) struct Way {
    /// The links on it: their directories, without links, and their names.
    pub(super) links: Vec<(PathBuf, OsString)>,
    pub(super) end: End,
    /// Whether the way would have gone on where it ended.
    pub(super) beyond: bool,
}

/// Where a way ends.
#[derive(Debug)]
pub(super) enum End {
    /// At what there is, without links.
    There(PathBuf),
    /// At a name that a directory does not have, or that cannot be passed.
    Missing(PathBuf, OsString),
}

/// Follows a path as far as it leads.
///
/// # Errors
/// If the current directory is not known.
pub(super) fn to(path: &Path) -> io::Result<Way> {
    let mut at = match path.is_absolute() {
        true => PathBuf::from("/"),
        false => Path::new(".").canonicalize()?,
    };
    let mut rest: VecDeque<OsString> = names(path).collect();
    let mut links = Vec::new();
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        if name == "/" {
            at = PathBuf::from("/");
            continue;
        }
        let here = at.join(&name);
        let beyond = !rest.is_empty();
        let found = std::fs::symlink_metadata(&here);
        let target = std::fs::read_link(&here);
        match (found, target) {
            (Ok(_), Ok(target)) if links.len() < LINKS => {
                links.push((at.clone(), name));
                let names: Vec<_> = names(&target).collect();
                names
                    .into_iter()
                    .rev()
                    .for_each(|name| rest.push_front(name));
            }
            (Ok(found), Err(_)) if found.is_dir() || !beyond => at = here,
            _ => {
                let end = End::Missing(at, name);
                return Ok(Way { links, end, beyond });
            }
        }
    }
    Ok(Way {
        links,
        end: End::There(at),
        beyond: false,
    })
}

/// The names of a path, `/` for the root.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    let components = path.components();
    let components = components.filter(|component| !matches!(component, Component::CurDir));
    components.map(|component| component.as_os_str().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_is_on_the_way_and_a_circle_has_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("releases/1")).unwrap();
        fs::write(root.join("releases/1/file"), "").unwrap();
        symlink("releases/1", root.join("current")).unwrap();
        symlink(root.join("current/../1/file"), root.join("file")).unwrap();
        symlink("circle", root.join("circle")).unwrap();
        let way = to(&root.join("file")).unwrap();
        let links = ["file", "current"].map(|name| (root.clone(), name.into()));
        assert_eq!(way.links, links);
        assert!(matches!(way.end, End::There(end) if end == root.join("releases/1/file")));
        let way = to(&root.join("circle")).unwrap();
        assert!(matches!(way.end, End::Missing(end, _) if end == root));
        for (path, name, beyond) in [("none", "none", false), ("file/x", "file", true)] {
            let way = to(&root.join(path)).unwrap();
            assert!(
                matches!(way.end, End::Missing(_, end) if end == name),
                "{path}"
            );
            assert_eq!(way.beyond, beyond, "{path}");
        }
    }
}
