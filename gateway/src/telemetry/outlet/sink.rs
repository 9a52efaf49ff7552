//! What a writer writes to: descriptors of the process that all logs share, or a file of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::file::UNWAITED;

/// How often a writer that has to wait for a reader looks whether it still should.
const LOOK: Duration = Duration::from_millis(500);

/// Standard output and error: a writer has one while it writes, so that lines of two logs do not mix.
static STANDARD: [OnceLock<Mutex<File>>; 2] = [OnceLock::new(), OnceLock::new()];

/// What a log is written to.
#[derive(Debug, Clone)]
pub(in crate::telemetry) enum Destination {
    Stdout,
    Stderr,
    /// A file, which is made and appended to, or a FIFO.
    File(PathBuf),
}

/// An open destination.
pub(super) enum Sink {
    Standard(&'static Mutex<File>),
    Own(File),
}

impl Sink {
    pub(super) fn open(destination: &Destination) -> io::Result<Self> {
        match destination {
            Destination::Stdout => standard(&STANDARD[0], io::stdout().as_fd()),
            Destination::Stderr => standard(&STANDARD[1], io::stderr().as_fd()),
            Destination::File(path) => open(path).map(Self::Own),
        }
    }

    /// Writes everything. Where that would wait for a reader, `gives_up` is asked now and then.
    ///
    /// # Errors
    /// Why not everything was written, with how many bytes were.
    pub(super) fn write_all(
        &mut self,
        bytes: &[u8],
        gives_up: impl Fn() -> bool,
    ) -> Result<(), (usize, io::Error)> {
        match self {
            Self::Standard(shared) => write_all(&shared.lock(), bytes, gives_up),
            Self::Own(file) => write_all(file, bytes, gives_up),
        }
    }
}

/// A duplicate: the buffers and locks of the standard library belong to those who print.
fn standard(known: &'static OnceLock<Mutex<File>>, fd: BorrowedFd<'_>) -> io::Result<Sink> {
    if known.get().is_none() {
        let file = Mutex::new(File::from(fd.try_clone_to_owned()?));
        // Another log may have been faster.
        let _same = known.set(file);
    }
    let file = known.get().ok_or(io::ErrorKind::NotFound)?;
    Ok(Sink::Standard(file))
}

fn open(path: &Path) -> io::Result<File> {
    let is_fifo = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    // A FIFO that is open for reading too waits for no reader, and does not end with one.
    let file = OpenOptions::new()
        .read(is_fifo)
        .append(true)
        .create(!is_fifo)
        .custom_flags(UNWAITED)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_fifo() || kind.is_char_device() {
        return Ok(file);
    }
    Err(io::Error::other(
        "it is neither a file, nor a FIFO, nor a character device",
    ))
}

fn write_all(
    mut file: &File,
    bytes: &[u8],
    gives_up: impl Fn() -> bool,
) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let is_ready = wait(file).map_err(|error| (written, error))?;
                if !is_ready && gives_up() {
                    return Err((written, error));
                }
            }
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// Waits a while until the file can be written.
fn wait(file: &File) -> io::Result<bool> {
    let time = Timespec::try_from(LOOK).map_err(io::Error::other)?;
    let mut polled = [PollFd::new(file, PollFlags::OUT)];
    match poll(&mut polled, Some(&time)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
