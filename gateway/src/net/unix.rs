//! A unix socket to listen on: its file is made, found to be left behind, and removed.
//!
//! Nothing that others may need is removed: neither a socket that something listens on nor what is no socket.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use socket2::{Domain, SockAddr, Socket, Type};

use super::BACKLOG;
use super::listener::DetachedListener;
use crate::file;

/// How often, and how long apart, it is tried to be the only one that makes a socket in a directory.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(25);

/// Why a unix socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// Something listens there.
    #[error("a process listens there; end it, or choose another path")]
    InUse,
    /// What stands there is no socket.
    #[error("there is a {0}, which is left alone; remove it, or choose another path")]
    Occupied(&'static str),
    /// There is a socket that this process may not ask who listens, or not remove.
    #[error(
        "there is a socket that this user may not replace; remove it, or choose another path ({0})"
    )]
    Foreign(io::Error),
    /// The directory of its file is not there.
    #[error("there is no directory {}; make it, or choose another path", .0.display())]
    NoDirectory(PathBuf),
    /// Another error of the system.
    #[error("{0}; choose a path in a directory that this user may write to")]
    Other(#[from] io::Error),
}

/// Why the file of a socket that listens has not the permissions that it should have.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Something removed it.
    #[error("something removed {}, so that nobody can connect; restart the gateway, which makes it anew", .0.display())]
    Removed(PathBuf),
    /// Something else stands there.
    #[error(
        "something replaced {}, so that nobody can connect to this gateway there; remove what is there, and restart the \
         gateway, which makes its socket anew", .0.display()
    )]
    Replaced(PathBuf),
    /// It is there, and the system refuses.
    #[error("{} keeps its permissions, not those of `mode`: {}; give them to it", .0.display(), .1)]
    Kept(PathBuf, io::Error),
}

/// What does not stand in the way at a path.
#[derive(Debug, PartialEq, Eq)]
enum Free {
    Absent,
    /// A socket that nothing listens on any more.
    Stale,
}

/// A unix socket that listens, and its file, which is removed before the socket is closed: until then no other process
/// takes it for left behind.
#[derive(Debug)]
pub struct Bound {
    /// As it was asked for.
    path: PathBuf,
    file: SocketFile,
    socket: UnixListener,
}

impl Bound {
    /// The socket once more, with the queue that all of them share: each connection goes to the first that accepts it.
    ///
    /// # Errors
    /// If the process has no descriptor for it.
    pub fn listener(&self) -> io::Result<DetachedListener> {
        self.socket.try_clone().map(DetachedListener::Unix)
    }

    /// Gives the file other permissions, unless it is another one by now.
    ///
    /// # Errors
    /// If it is, or the system refuses.
    pub fn set_mode(&self, mode: u32) -> Result<(), Lost> {
        if !self.file.is_there() {
            let path = self.path.clone();
            return Err(match fs::symlink_metadata(&path) {
                Ok(_) => Lost::Replaced(path),
                Err(_) => Lost::Removed(path),
            });
        }
        let set = fs::set_permissions(&self.file.path, Permissions::from_mode(mode));
        set.map_err(|error| Lost::Kept(self.path.clone(), error))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", self.path.display())
    }
}

/// Listens at a path, whose file has these permissions; who connects waits until somebody accepts.
///
/// # Errors
/// What is in the way.
pub fn bind(path: &Path, mode: u32) -> Result<Bound, Unavailable> {
    // Until this returns, no other gateway takes what is bound and does not listen yet for left behind.
    let _only = lock(directory(path)?);
    if free(path)? == Free::Stale {
        fs::remove_file(path).map_err(Unavailable::Foreign)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // By which it is found again, wherever links on the way lead then.
    let file = SocketFile::at(&file::place(path))?;
    // Before it listens nothing can connect, whatever the mode is that it was made with.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    let (path, socket) = (path.to_owned(), socket.into());
    Ok(Bound { path, file, socket })
}

/// Whether a socket could be made there. Makes nothing and removes nothing.
///
/// # Errors
/// As [`bind`].
pub fn look(path: &Path) -> Result<(), Unavailable> {
    let directory = directory(path)?;
    free(path)?;
    file::writable(directory)?;
    Ok(())
}

fn directory(path: &Path) -> Result<&Path, Unavailable> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    match fs::metadata(directory) {
        Ok(found) if found.is_dir() => Ok(directory),
        Ok(_) => Err(io::Error::from(io::ErrorKind::NotADirectory).into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Unavailable::NoDirectory(directory.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Has a directory for itself until it is dropped, as far as other gateways go. A directory that cannot be had is used
/// nevertheless: the lock closes a gap of microseconds.
fn lock(directory: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty()).ok()?;
    for _ in 0..TRIES {
        if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() {
            break;
        }
        thread::sleep(PAUSE);
    }
    Some(directory)
}

/// Whether a path is free, or what stands there was left behind.
fn free(path: &Path) -> Result<Free, Unavailable> {
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Free::Absent),
        Err(error) => return Err(error.into()),
    };
    if !kind.is_socket() {
        return Err(Unavailable::Occupied(match () {
            () if kind.is_dir() => "directory",
            () if kind.is_symlink() => "symbolic link",
            () if kind.is_file() => "file",
            () => "file that is no socket",
        }));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A listener whose queue is full is not waited for.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Ok(Free::Stale),
            io::ErrorKind::NotFound => Ok(Free::Absent),
            io::ErrorKind::PermissionDenied => Err(Unavailable::Foreign(error)),
            // Its queue is full, or it is of another type.
            _ => Err(Unavailable::InUse),
        },
        Ok(()) => Err(Unavailable::InUse),
    }
}

/// The file of a socket; removed when this is dropped, if it is still that one.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Its device and its number there.
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }

    fn is_there(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_there()
            && let Err(error) = fs::remove_file(&self.path)
        {
            let path = self.path.display();
            tracing::warn!("{path}, the file of a socket, is left behind: {error}; remove it");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(directory: &tempfile::TempDir) -> PathBuf {
        directory.path().join("socket")
    }

    #[test]
    fn a_socket_has_its_mode_and_goes_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o660, 0o666] {
            let at = at(&directory);
            let bound = bind(&at, mode).unwrap();
            let found = fs::symlink_metadata(&at).unwrap().mode() & 0o7777;
            assert_eq!(found, mode);
            drop(bound);
            assert!(fs::symlink_metadata(&at).is_err());
        }
    }

    #[test]
    fn what_is_left_behind_is_replaced_and_what_is_in_use_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let at = at(&directory);
        drop(UnixListener::bind(&at).unwrap());
        assert!(fs::symlink_metadata(&at).is_ok(), "left behind");
        look(&at).unwrap();
        let _first = bind(&at, 0o600).unwrap();
        assert!(matches!(look(&at), Err(Unavailable::InUse)));
        assert!(matches!(bind(&at, 0o600), Err(Unavailable::InUse)));
        let datagrams = directory.path().join("datagrams");
        let _live = std::os::unix::net::UnixDatagram::bind(&datagrams).unwrap();
        assert!(matches!(bind(&datagrams, 0o600), Err(Unavailable::InUse)));
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let at = at(&directory);
        let target = directory.path().join("target");
        let stale = || drop(UnixListener::bind(&target).unwrap());
        let makes: [(&str, &dyn Fn()); 4] = [
            ("file", &|| fs::write(&at, "kept").unwrap()),
            ("directory", &|| fs::create_dir(&at).unwrap()),
            ("symbolic link", &|| {
                std::os::unix::fs::symlink("nowhere", &at).unwrap();
            }),
            ("symbolic link", &|| {
                // To a socket that nothing listens on.
                stale();
                std::os::unix::fs::symlink(&target, &at).unwrap();
            }),
        ];
        for (kind, make) in makes {
            make();
            let refused = bind(&at, 0o600).unwrap_err();
            assert!(matches!(refused, Unavailable::Occupied(found) if found == kind));
            assert!(fs::symlink_metadata(&at).is_ok(), "{kind} is gone");
            match kind {
                "directory" => fs::remove_dir(&at).unwrap(),
                _ => fs::remove_file(&at).unwrap(),
            }
        }
        assert!(fs::symlink_metadata(&target).is_ok());
    }

    #[test]
    fn a_file_that_took_the_place_of_the_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let at = at(&directory);
        let bound = bind(&at, 0o600).unwrap();
        fs::remove_file(&at).unwrap();
        fs::write(&at, "of another").unwrap();
        drop(bound);
        assert_eq!(fs::read_to_string(&at).unwrap(), "of another");
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let at = missing.join("socket");
        for refused in [look(&at).unwrap_err(), bind(&at, 0o600).unwrap_err()] {
            assert!(matches!(refused, Unavailable::NoDirectory(path) if path == missing));
        }
    }
}
