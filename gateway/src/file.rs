//! Reading the files that a configuration names. What stands at a path is chosen by others, and may be a pipe that
//! nobody writes or a device that never ends: nothing here waits, and every read has a bound.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat};

/// How a file is opened that may be none: a FIFO is not waited for, a terminal does not become the process's own.
pub const UNWAITED: i32 = OFlags::NONBLOCK.union(OFlags::NOCTTY).bits().cast_signed();

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// There is none, or a link leads nowhere.
    #[error("no such file")]
    Missing,
    /// This process may not.
    #[error("permission denied")]
    Denied,
    /// It is something else: a directory, a FIFO.
    #[error("it is a {0}; expected a regular file")]
    Irregular(&'static str),
    /// It has more bytes than its kind of file may have.
    #[error("it is larger than {} MiB", .0 >> 20)]
    TooLarge(u64),
    /// Another error of the system.
    #[error("{0}")]
    Other(io::Error),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Denied,
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
        .open(path)?;
    let size = judge(&file.metadata()?, most)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    // Those of /proc say that they are empty.
    File::take(file, most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Unreadable::TooLarge(most));
    }
    Ok(bytes)
}

/// Whether there is a regular file of at most `most` bytes, without opening it.
///
/// # Errors
/// As [`read`].
pub fn look(path: &Path, most: u64) -> Result<(), Unreadable> {
    judge(&std::fs::metadata(path)?, most).map(drop)
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
    let kind = found.file_type();
    let other = if kind.is_file() {
        return match found.len() {
            size if size > most => Err(Unreadable::TooLarge(most)),
            size => Ok(size),
        };
    } else if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    };
    Err(Unreadable::Irregular(other))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

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
        assert_eq!(why("dangling"), "no such file");
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
