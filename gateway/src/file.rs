//! Reading the files that a configuration names. What stands at a path is chosen by others, and may be a pipe that
//! nobody writes or a device that never ends: nothing here waits, and every read has a bound.

use std::fmt;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat};

/// How a file is opened that may be none: a FIFO is not waited for, a terminal does not become the process's own.
pub const UNWAITED: i32 = OFlags::NONBLOCK.union(OFlags::NOCTTY).bits().cast_signed();

/// Symbolic links on the way to one file (path_resolution(7)).
const LINKS: usize = 40;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// There is none.
    #[error("no such file")]
    Missing,
    /// There is a link, which leads nowhere.
    #[error("{}", .0)]
    Dangling(Dangling),
    /// The user of this process may not.
    #[error("permission denied; let user {0} read it, and enter the folders on the way to it")]
    Denied(u32),
    /// It is something else: a directory, a FIFO.
    #[error("it is a {0}; expected a regular file")]
    Irregular(&'static str),
    /// It has more bytes than its kind of file may have.
    #[error("it is larger than {} MiB", .0 >> 20)]
    TooLarge(u64),
    /// It is to be a text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// Another error of the system.
    #[error("{0}")]
    Other(io::Error),
}

impl Unreadable {
    /// Of the file at a path.
    fn at(path: &Path, error: io::Error) -> Self {
        let link = is_absence(&error).then(|| Dangling::on_the_way_to(path));
        match link.flatten() {
            Some(link) => Self::Dangling(link),
            None => error.into(),
        }
    }

    /// Whether there is no file.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Missing | Self::Dangling(_))
    }
}

/// Whether there is nothing at a path.
pub fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// A symbolic link to what is not there.
#[derive(Debug, PartialEq, Eq)]
pub struct Dangling {
    /// Where it is, unless it is the file itself.
    link: Option<PathBuf>,
    /// What is not there.
    target: PathBuf,
}

impl Dangling {
    /// The link, if one is why there is no file at a path: the file itself, or a directory on the way to it.
    pub fn on_the_way_to(path: &Path) -> Option<Self> {
        let is_absent = |path: &Path| std::fs::metadata(path).is_err_and(|it| is_absence(&it));
        let mut around: Vec<_> = path.ancestors().collect();
        around.reverse();
        let link = around.into_iter().find(|it| {
            std::fs::symlink_metadata(it).is_ok_and(|it| it.is_symlink()) && is_absent(it)
        })?;
        let mut target = link.to_owned();
        // A link may lead to another one, as often as the kernel follows them.
        for _ in 0..LINKS {
            let Ok(next) = std::fs::read_link(&target) else {
                break;
            };
            target = target.parent().unwrap_or(Path::new("")).join(next);
        }
        Some(Self {
            link: (link != path).then(|| link.to_owned()),
            target,
        })
    }
}

impl fmt::Display for Dangling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.link {
            Some(link) => write!(f, "{} is", link.display()),
            None => write!(f, "it is"),
        }?;
        let target = self.target.display();
        write!(f, " a symbolic link to {target}, which is not there")
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Denied(user()),
            _ => Self::Other(error),
        }
    }
}

/// The content of a regular file of at most `most` bytes.
///
/// # Errors
/// If it cannot be read, is no regular file or is larger.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unreadable> {
    // Before it is opened, since opening alone may do something: to a tape, a watchdog.
    look(path, most)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(UNWAITED)
        .open(path)
        .map_err(|error| Unreadable::at(path, error))?;
    let size = judge(&file.metadata()?, most)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    // Those of /proc say that they are empty.
    File::take(file, most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Unreadable::TooLarge(most));
    }
    Ok(bytes)
}

/// Whether there is a regular file of at most `most` bytes that may be read, without opening it.
///
/// # Errors
/// As [`read`].
pub fn look(path: &Path, most: u64) -> Result<(), Unreadable> {
    let found = std::fs::metadata(path).map_err(|error| Unreadable::at(path, error))?;
    judge(&found, most)?;
    accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).map_err(io::Error::from)?;
    Ok(())
}

/// Where a file is, whatever links and `..` are on the way to its directory; a directory that cannot be had is as it is
/// written. What stands there is not followed.
pub fn place(path: &Path) -> PathBuf {
    let directory = path.parent().and_then(|it| it.canonicalize().ok());
    match (directory, path.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        _ => path.to_owned(),
    }
}

/// What this process may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writable {
    /// It is there.
    There,
    /// It is not there, and can be made.
    Absent,
}

/// Whether this process could write to a path, or make what is not there. Opens nothing and makes nothing.
///
/// # Errors
/// Why it could not.
pub fn writable(path: &Path) -> io::Result<Writable> {
    let may = |path: &Path, what| Ok(accessat(CWD, path, what, AtFlags::EACCESS)?);
    match std::fs::metadata(path) {
        Ok(_) => may(path, Access::WRITE_OK).map(|()| Writable::There),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let here = Path::new(".");
            let parent = match path.parent() {
                Some(parent) if parent.as_os_str().is_empty() => here,
                Some(parent) => parent,
                None => return Err(error),
            };
            match std::fs::metadata(parent) {
                Ok(found) if !found.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
                Ok(_) => may(parent, Access::WRITE_OK | Access::EXEC_OK).map(|()| Writable::Absent),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Why nothing can be appended to a file, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Unappendable {
    /// The directory of the file is not there.
    #[error("there is no directory {}; make it, or name another file", .0.display())]
    NoDirectory(PathBuf),
    /// Something on the way to the file is none.
    #[error("{} is no directory; make one there, or name another file", .0.display())]
    NotADirectory(PathBuf),
    /// The user of this process may not make the file.
    #[error("user {user} may not make a file in the directory {}; let it, or name another file", .directory.display())]
    Closed {
        /// The directory.
        directory: PathBuf,
        /// The user's number.
        user: u32,
    },
    /// The user of this process may not write to the file.
    #[error("user {0} may not write to it; let it, or name another file")]
    Denied(u32),
    /// It is something that nothing can be appended to.
    #[error("it is a {0}; name a file, a FIFO or a terminal")]
    Irregular(&'static str),
    /// Another error of the system.
    #[error("{0}; name another file")]
    Other(io::Error),
}

/// Whether this process could append to a file, a FIFO or a character device, or make the file. Opens nothing and makes
/// nothing.
///
/// # Errors
/// Why it could not.
pub fn appendable(path: &Path) -> Result<(), Unappendable> {
    match std::fs::metadata(path) {
        Ok(found) => {
            let kind = found.file_type();
            if kind.is_dir() || kind.is_socket() || kind.is_block_device() {
                return Err(Unappendable::Irregular(kind_of(kind)));
            }
            tried(path, Unappendable::Denied)
        }
        // A link that leads to what is not there has it made there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => match std::fs::read_link(path) {
            Ok(target) => appendable(&path.parent().unwrap_or(Path::new("")).join(target)),
            Err(_) => makeable(path),
        },
        Err(_) => makeable(path),
    }
}

/// Whether a file that is not there could be made.
fn makeable(path: &Path) -> Result<(), Unappendable> {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new(".")).to_owned();
    match std::fs::metadata(&directory) {
        Ok(found) if !found.is_dir() => return Err(Unappendable::NotADirectory(directory)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Unappendable::NoDirectory(directory));
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let mut around = directory.ancestors();
            let file = around.find(|it| std::fs::metadata(it).is_ok());
            return Err(Unappendable::NotADirectory(
                file.unwrap_or(&directory).to_owned(),
            ));
        }
        _ => {}
    }
    tried(path, |user| Unappendable::Closed { directory, user })
}

/// Whether a file is [`writable`]; `denied` is what keeps a user from it who may not.
fn tried(path: &Path, denied: impl FnOnce(u32) -> Unappendable) -> Result<(), Unappendable> {
    match writable(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(denied(user())),
        Err(error) => Err(Unappendable::Other(error)),
    }
}

/// Whether this process could make a directory, with all that are around it, or write to it.
///
/// # Errors
/// Why it could not.
pub fn writable_directory(path: &Path) -> io::Result<Writable> {
    let mut around = path.ancestors();
    let there =
        around.find(|path| !path.as_os_str().is_empty() && std::fs::symlink_metadata(path).is_ok());
    match there {
        Some(there) if there == path => writable(path),
        Some(there) if !std::fs::metadata(there)?.is_dir() => {
            Err(io::ErrorKind::NotADirectory.into())
        }
        there => writable(there.unwrap_or(Path::new("."))).map(|_| Writable::Absent),
    }
}

/// Its size.
fn judge(found: &Metadata, most: u64) -> Result<u64, Unreadable> {
    match found.file_type() {
        kind if !kind.is_file() => Err(Unreadable::Irregular(kind_of(kind))),
        _ if found.len() > most => Err(Unreadable::TooLarge(most)),
        _ => Ok(found.len()),
    }
}

/// The user whose rights this process has.
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn kind_of(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_file() {
        "file"
    } else {
        "device"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_keeps_a_file_from_being_made_or_appended_to_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink("new", at("link")).unwrap();
        std::os::unix::fs::symlink("gone/new", at("dangling")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let made = Command::new("mkfifo").arg(at("fifo")).status();
        assert!(made.unwrap().success());
        for name in ["file", "new", "link", "fifo", "/dev/null"] {
            appendable(&at(name)).unwrap();
        }
        appendable(Path::new("new")).unwrap();
        let here = format!("{}/", directory.path().display());
        let why = |name: &str| {
            let why = appendable(&at(name)).unwrap_err();
            why.to_string().replace(&here, "")
        };
        assert_eq!(
            why("gone/new"),
            "there is no directory gone; make it, or name another file"
        );
        assert_eq!(
            why("a/b/new"),
            "there is no directory a/b; make it, or name another file"
        );
        assert_eq!(
            why("dangling"),
            "there is no directory gone; make it, or name another file"
        );
        assert_eq!(
            why("file/new"),
            "file is no directory; make one there, or name another file"
        );
        assert_eq!(
            why("file/a/new"),
            "file is no directory; make one there, or name another file"
        );
        for (name, kind) in [(".", "directory"), ("socket", "socket")] {
            let said = format!("it is a {kind}; name a file, a FIFO or a terminal");
            assert_eq!(why(name), said);
        }
        assert!(matches!(
            appendable(&at("loop")),
            Err(Unappendable::Other(_))
        ));
    }

    #[test]
    fn only_a_regular_file_within_its_bound_is_read_and_nothing_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "1234").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let made = Command::new("mkfifo").arg(at("fifo")).status();
        assert!(made.unwrap().success());
        assert_eq!(read(&at("link"), 4).unwrap(), b"1234");
        let why = |name: &str| read(&at(name), 3).unwrap_err().to_string();
        let here = directory.path().display();
        let nowhere = format!("a symbolic link to {here}/nowhere, which is not there");
        assert_eq!(why("none"), "no such file");
        assert_eq!(why("dangling"), format!("it is {nowhere}"));
        assert_eq!(
            why("dangling/file"),
            format!("{here}/dangling is {nowhere}")
        );
        std::os::unix::fs::symlink("dangling", at("second")).unwrap();
        assert_eq!(why("second"), format!("it is {nowhere}"));
        std::os::unix::fs::symlink("circle", at("circle")).unwrap();
        assert!(matches!(read(&at("circle"), 3), Err(Unreadable::Other(_))));
        assert_eq!(why("fifo"), "it is a FIFO; expected a regular file");
        assert_eq!(why("socket"), "it is a socket; expected a regular file");
        assert_eq!(why("."), "it is a directory; expected a regular file");
        assert_eq!(why("/dev/zero"), "it is a device; expected a regular file");
        assert!(matches!(read(&at("file"), 3), Err(Unreadable::TooLarge(3))));
        assert!(
            !read(Path::new("/proc/self/status"), 1 << 20)
                .unwrap()
                .is_empty()
        );
        let endless = Path::new("/proc/self/status");
        assert!(matches!(read(endless, 3), Err(Unreadable::TooLarge(3))));
    }
}
