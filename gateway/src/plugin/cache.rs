//! The compile cache: machine code in files, one for each component and kind of engine.
//!
//! What is in there runs in this process. So the directory is this user's alone, only what an own compiler made is put
//! there, and a file that is not as it was written is not used.

use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::file::{self, Writable};
use crate::message::text::hex;

/// The most bytes of all files; beyond it those go that were used last the longest ago.
const MOST: u64 = 512 << 20;
/// The largest machine code.
pub(super) const CODE: u64 = 256 << 20;
/// What a file begins with: the SHA-256 of the machine code behind it.
const DIGEST: usize = 32;
/// How the name of a file ends.
const ENDING: &str = "code";

/// A directory of compiled components.
#[derive(Debug)]
pub(super) struct CompileCache {
    directory: PathBuf,
    /// What machine code is made for, as the engine tells it.
    kind: u64,
    /// Whether it is only looked at.
    read_only: bool,
}

impl CompileCache {
    /// In this directory, which is made, private to the user, if it is not there; for an engine of this kind.
    pub(super) fn open(directory: &Path, kind: impl Hash) -> io::Result<Self> {
        private_directory(directory)?;
        Ok(Self::at(directory, kind, false))
    }

    /// As [`Self::open`], and changes nothing: the directory need not be there, if it could be made.
    pub(super) fn look(directory: &Path, kind: impl Hash) -> io::Result<Self> {
        match file::writable_directory(directory)? {
            Writable::There => is_private(directory, rustix::process::geteuid().as_raw())?,
            Writable::Absent => {}
        }
        Ok(Self::at(directory, kind, true))
    }

    fn at(directory: &Path, kind: impl Hash, read_only: bool) -> Self {
        let mut hasher = DefaultHasher::new();
        kind.hash(&mut hasher);
        Self {
            directory: directory.to_owned(),
            kind: hasher.finish(),
            read_only,
        }
    }

    /// The machine code of a component, if it is there and whole. What else stands in its place goes.
    pub(super) fn get(&self, component: &[u8; 32]) -> Option<Vec<u8>> {
        let path = self.path(component);
        let mut code = match file::read(&path, CODE + DIGEST as u64) {
            Ok(bytes) => bytes,
            Err(why) if why.is_absence() => return None,
            Err(why) => {
                self.remove(&path, &why.to_string());
                return None;
            }
        };
        let digest: Vec<u8> = code.drain(..code.len().min(DIGEST)).collect();
        if Sha256::digest(&code)[..] != digest {
            self.remove(&path, "it is not as it was written");
            return None;
        }
        if self.read_only {
            return Some(code);
        }
        // Where the file system keeps no times, what goes first is left to chance.
        let used = OpenOptions::new().append(true).open(&path);
        let _used = used.and_then(|file| file.set_modified(SystemTime::now()));
        Some(code)
    }

    /// Keeps the machine code of a component. Where that fails, it is compiled again another time.
    pub(super) fn put(&self, component: &[u8; 32], code: &[u8]) {
        if self.read_only {
            return;
        }
        let path = self.path(component);
        if let Err(error) = write(&path, code).and_then(|()| self.trim()) {
            tracing::warn!(path = %path.display(), %error, "the compile cache cannot be written");
        }
    }

    /// Removes what is no entry; its plugin is compiled again.
    fn remove(&self, path: &Path, why: &str) {
        if self.read_only {
            return;
        }
        let removed = match fs::remove_file(path) {
            Ok(()) => "removed".to_owned(),
            Err(error) => format!("not removed ({error})"),
        };
        let path = path.display();
        tracing::warn!("compile cache: {path} is {removed}: {why}");
    }

    fn path(&self, component: &[u8; 32]) -> PathBuf {
        let name = format!("{}-{:016x}.{ENDING}", hex(component), self.kind);
        self.directory.join(name)
    }

    fn trim(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            // Another process may have removed it.
            if path.extension().is_some_and(|it| it == ENDING)
                && let Ok(found) = path.metadata()
            {
                let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push((used, found.len(), path));
            }
        }
        files.sort_unstable_by(|one, other| other.cmp(one));
        let mut kept = 0;
        for (_, bytes, path) in files {
            kept += bytes;
            if kept > MOST
                && let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Puts a file in its place whole: its digest, then the machine code.
fn write(path: &Path, code: &[u8]) -> io::Result<()> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(&Sha256::digest(code))?;
        file.write_all(code)?;
        fs::rename(&new, path)
    };
    write().inspect_err(|_| {
        // What is left of it is in nobody's way.
        let _removed = fs::remove_file(&new);
    })
}

/// Makes the directory, or sees to it that it belongs to the user of this process and that no other user can
/// write there.
#[cfg(unix)]
fn private_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    let mut builder = std::fs::DirBuilder::new();
    if let Err(error) = builder.recursive(true).mode(0o700).create(path)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    is_private(path, None)
}

/// Whether a directory belongs to the `own` user, or else the one that files of this process belong to, and no other user
/// can write there.
fn is_private(path: &Path, own: impl Into<Option<u32>>) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let refuse = |why: String| Err(io::Error::other(why));
    // Of the link itself, if it is one.
    let found = std::fs::symlink_metadata(path)?;
    if found.file_type().is_symlink() {
        return refuse(
            "is a link; machine code is run from here, so name the directory itself".to_owned(),
        );
    }
    if !found.is_dir() {
        return refuse("is not a directory".to_owned());
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return refuse(format!(
            "others may write there (mode {mode:o}), and machine code is run from here; chmod go-w it, or name another directory"
        ));
    }
    let own = match own.into() {
        Some(own) => own,
        None => own_user(path)?,
    };
    if found.uid() != own {
        return refuse(format!(
            "belongs to the user {}, not to this process's user {own}, and machine code is run from here; name another directory",
            found.uid()
        ));
    }
    Ok(())
}

/// The user that files of this process belong to.
#[cfg(unix)]
fn own_user(directory: &Path) -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt;

    let probe = directory.join(format!(".owner-{}", std::process::id()));
    // Of an earlier process with this number, or whatever else stands there.
    if let Err(error) = fs::remove_file(&probe)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)?;
    let user = file.metadata()?.uid();
    std::fs::remove_file(&probe)?;
    Ok(user)
}

#[cfg(not(unix))]
fn private_directory(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_cache_directory_is_made_for_its_user_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        private_directory(&path).unwrap();
        private_directory(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn a_cache_directory_that_others_may_write_to_is_refused() {
        for mode in [0o770, 0o707, 0o777, 0o1777] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("cache");
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = private_directory(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("mode {mode:o}")), "{error}");
        }
    }

    #[test]
    fn a_cache_directory_that_is_a_link_or_a_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("real")).unwrap();
        std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
        fs::write(at("file"), "").unwrap();
        let error = |name| private_directory(&at(name)).unwrap_err().to_string();
        assert!(error("link").contains("is a link"), "{}", error("link"));
        assert!(
            error("file").contains("not a directory"),
            "{}",
            error("file")
        );
    }

    #[test]
    fn machine_code_comes_back_as_it_was_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let cache = CompileCache::open(directory.path(), "kind").unwrap();
        let component = [7; 32];
        assert_eq!(cache.get(&component), None);
        cache.put(&component, b"code");
        assert_eq!(cache.get(&component).as_deref(), Some(&b"code"[..]));
        let other = CompileCache::open(directory.path(), "other").unwrap();
        assert_eq!(other.get(&component), None);
        let path = cache.path(&component);
        let whole = fs::read(&path).unwrap();
        for broken in [&whole[..35], &whole[..10], &[0; 36], &[]] {
            fs::write(&path, broken).unwrap();
            assert_eq!(cache.get(&component), None);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn the_user_of_this_process_owns_what_it_makes() {
        use std::os::unix::fs::MetadataExt;

        let directory = tempfile::tempdir().unwrap();
        let owner = fs::metadata(directory.path()).unwrap().uid();
        assert_eq!(own_user(directory.path()).unwrap(), owner);
    }
}
