//! Reports files that have changed, once they are whole.
//!
//! Directories are watched, not files: an editor or a deployment puts another file in the place of the old one, and a
//! watch on the old one would miss it. A write counts when the writer closes the file, a rename when
//! the file is in place, and it counts that a file goes. Every link on the way to a file is watched, and what it leads
//! to: Kubernetes swaps a link to a directory, `..data`, and deployments do. Of a pattern it counts, too, that a file or
//! a directory comes.

mod target;
mod way;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use target::Target;

/// How long changes are gathered, from the first: a deployment that writes a configuration, a certificate and its key
/// is one change.
const GATHER: Duration = Duration::from_millis(100);

/// Watches a set of files until it is dropped.
///
/// A directory above that of a file that is replaced as a whole is not noticed, unless it is a link.
#[derive(Debug)]
pub struct Watcher {
    notify: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
    targets: Targets,
}

/// Shared with the thread that gathers; replaced as a whole and never locked while notify is called.
type Targets = Arc<Mutex<Arc<[Target]>>>;

impl Watcher {
    /// Watches nothing yet. Changed files are sent to `tx` by the paths they were given as; while the channel is full
    /// they are kept and sent later.
    ///
    /// # Errors
    /// If the system has no watch or no thread left.
    pub fn new(tx: mpsc::Sender<Vec<PathBuf>>) -> notify::Result<Self> {
        let targets = Targets::new(Mutex::new(Arc::from([])));
        let (events, received) = channel();
        let notify = notify::recommended_watcher(move |event| forward(event, &events))?;
        let gatherer = Gatherer {
            targets: targets.clone(),
            tx,
            changed: BTreeSet::new(),
            due: Instant::now(),
        };
        // Ends by itself when `notify` is dropped, and `events` with it.
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || gatherer.run(&received))
            .map_err(notify::Error::io)?;
        Ok(Self {
            notify,
            directories: BTreeSet::new(),
            targets,
        })
    }

    /// Watches these files, and these patterns with `*` and `?` in their segments, instead of those before. The
    /// paths need not exist: a directory that is missing is reported when it appears.
    ///
    /// # Errors
    /// If a path names no file or its directory cannot be watched; then those before are still watched.
    pub fn watch(&mut self, files: &[PathBuf], patterns: &[PathBuf]) -> notify::Result<()> {
        let files = files.iter().map(|file| target::file(file));
        let patterns = patterns.iter().map(|pattern| target::pattern(pattern));
        let targets = files.chain(patterns).collect::<notify::Result<Vec<_>>>()?;
        let targets: Arc<[Target]> = targets.into_iter().flatten().collect();
        let directories: BTreeSet<PathBuf> = targets
            .iter()
            .map(|target| target.directory.clone())
            .collect();
        // Before the watches, so that no event of a new one meets the old set.
        let before = std::mem::replace(&mut *self.targets.lock(), targets);
        for directory in &directories {
            // Those watched already, too: one that was removed and made again has lost its watch.
            if let Err(error) = self.notify.watch(directory, RecursiveMode::NonRecursive) {
                *self.targets.lock() = before;
                self.unwatch(directories.difference(&self.directories).cloned().collect());
                return Err(error);
            }
        }
        let old = std::mem::replace(&mut self.directories, directories);
        self.unwatch(old.difference(&self.directories).cloned().collect());
        Ok(())
    }

    /// The files, as they were given, that have changed since then and may not have been watched yet. Links that have
    /// changed count as well.
    pub fn changed_since(&self, since: SystemTime) -> Vec<PathBuf> {
        let targets = self.targets.lock().clone();
        let changed: BTreeSet<_> = targets
            .iter()
            .filter(|target| target.is_changed_since(since))
            .map(|target| target.given.clone())
            .collect();
        changed.into_iter().collect()
    }

    fn unwatch(&mut self, directories: Vec<PathBuf>) {
        for directory in directories {
            if let Err(error) = self.notify.unwatch(&directory) {
                // It is gone, or was never watched: either way what was wanted.
                tracing::debug!(%error, directory = %directory.display(), "nothing to unwatch");
            }
        }
    }
}

/// Runs on notify's thread: must not wait.
fn forward(event: notify::Result<Event>, events: &Sender<Event>) {
    match event {
        Ok(event) if target::may_count(&event) => {
            if events.send(event).is_err() {
                tracing::trace!("the changed files have no receiver any more");
            }
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "watching files failed"),
    }
}

/// Gathers changes on a thread of its own.
struct Gatherer {
    targets: Targets,
    tx: mpsc::Sender<Vec<PathBuf>>,
    changed: BTreeSet<PathBuf>,
    /// When `changed` is to be sent, unless it is empty.
    due: Instant,
}

impl Gatherer {
    fn run(mut self, events: &Receiver<Event>) {
        loop {
            let event = if self.changed.is_empty() {
                events.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                events.recv_timeout(self.due.saturating_duration_since(Instant::now()))
            };
            match event {
                Ok(event) => self.gather(&event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !self.changed.is_empty() && Instant::now() >= self.due && !self.send() {
                return;
            }
        }
    }

    fn gather(&mut self, event: &Event) {
        let targets = self.targets.lock().clone();
        let was_empty = self.changed.is_empty();
        let changed = targets
            .iter()
            .filter(|target| event.need_rescan() || target.is_changed_by(event));
        self.changed
            .extend(changed.map(|target| target.given.clone()));
        if was_empty {
            self.due = Instant::now() + GATHER;
        }
    }

    /// Whether the receiver is there still.
    fn send(&mut self) -> bool {
        match self.tx.try_reserve() {
            Ok(permit) => permit.send(std::mem::take(&mut self.changed).into_iter().collect()),
            Err(mpsc::error::TrySendError::Full(())) => self.due = Instant::now() + GATHER,
            Err(mpsc::error::TrySendError::Closed(())) => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::future::Future;
    use std::io::Write;
    use std::path::Path;

    use super::target::Name;
    use super::*;

    /// So long that only a change that never comes exceeds it.
    const LONG: Duration = Duration::from_secs(20);

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::time::timeout(LONG, future)
                .await
                .expect("no change reported")
        })
    }

    fn watching(files: &[PathBuf]) -> (Watcher, mpsc::Receiver<Vec<PathBuf>>) {
        watching_all(files, &[])
    }

    fn watching_all(
        files: &[PathBuf],
        patterns: &[PathBuf],
    ) -> (Watcher, mpsc::Receiver<Vec<PathBuf>>) {
        let (tx, rx) = mpsc::channel(1);
        let mut watcher = Watcher::new(tx).unwrap();
        watcher.watch(files, patterns).unwrap();
        (watcher, rx)
    }

    /// The reports until one with `last`, which is changed after all that must not be reported.
    fn until(rx: &mut mpsc::Receiver<Vec<PathBuf>>, last: &Path) -> BTreeSet<PathBuf> {
        let mut seen = BTreeSet::new();
        while !seen.contains(last) {
            seen.extend(block_on(rx.recv()).unwrap());
        }
        seen
    }

    #[test]
    fn a_half_written_file_is_not_reported_until_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let (file, other) = (directory.path().join("a"), directory.path().join("b"));
        let (_watcher, mut rx) = watching(&[file.clone(), other.clone()]);
        let mut half = fs::File::create(&file).unwrap();
        half.write_all(b"half").unwrap();
        fs::write(&other, b"whole").unwrap();
        assert_eq!(until(&mut rx, &other), [other].into());
        half.write_all(b"whole").unwrap();
        drop(half);
        assert_eq!(until(&mut rx, &file), [file].into());
    }

    #[test]
    fn a_file_moved_into_place_is_reported_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (_watcher, mut rx) = watching(&[at("a"), at("b")]);
        fs::write(at("unrelated"), b"x").unwrap();
        fs::write(at("b.new"), b"x").unwrap();
        fs::rename(at("b.new"), at("b")).unwrap();
        assert_eq!(until(&mut rx, &at("b")), [at("b")].into());
    }

    #[test]
    fn a_file_is_reported_by_the_path_it_was_given_as() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let (_watcher, mut rx) = watching(&[link.join("a")]);
        fs::write(real.join("a"), b"x").unwrap();
        assert_eq!(block_on(rx.recv()), Some(vec![link.join("a")]));
    }

    #[test]
    fn a_link_that_is_made_again_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("a");
        let (_watcher, mut rx) = watching(std::slice::from_ref(&link));
        std::os::unix::fs::symlink("elsewhere", &link).unwrap();
        assert_eq!(block_on(rx.recv()), Some(vec![link]));
    }

    #[test]
    fn a_kubernetes_volume_that_is_swapped_reports_every_file_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["..1", "..2"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("a"), name).unwrap();
        }
        std::os::unix::fs::symlink("..1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a", at("a")).unwrap();
        std::os::unix::fs::symlink("..data/b", at("b")).unwrap();
        let (_watcher, mut rx) = watching(&[at("a"), at("b")]);
        std::os::unix::fs::symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(block_on(rx.recv()), Some(vec![at("a"), at("b")]));
        assert_eq!(fs::read(at("a")).unwrap(), b"..2");
    }

    #[test]
    fn another_set_replaces_the_first_and_one_that_fails_does_not() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, second) = (old.path().join("a"), new.path().join("a"));
        let (mut watcher, mut rx) = watching(std::slice::from_ref(&first));
        assert!(
            watcher
                .watch(&[second.clone(), PathBuf::from("/")], &[])
                .is_err()
        );
        fs::write(&second, b"x").unwrap();
        fs::write(&first, b"x").unwrap();
        assert_eq!(until(&mut rx, &first), [first.clone()].into());
        watcher.watch(std::slice::from_ref(&second), &[]).unwrap();
        fs::write(&first, b"y").unwrap();
        fs::write(&second, b"y").unwrap();
        assert_eq!(until(&mut rx, &second), [second].into());
    }

    #[test]
    fn a_file_that_comes_or_goes_is_reported_by_the_pattern_it_matches() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (_watcher, mut rx) = watching_all(&[at("last")], &[at("*.toml")]);
        let reported = |rx: &mut _| {
            fs::write(at("last"), b"x").unwrap();
            until(rx, &at("last")).contains(&at("*.toml"))
        };
        fs::write(at("a.toml.swp"), b"x").unwrap();
        fs::write(at(".a.toml"), b"x").unwrap();
        assert!(!reported(&mut rx), "nothing that matches has changed");
        fs::write(at("a.toml"), b"x").unwrap();
        assert!(reported(&mut rx), "a file was made");
        fs::rename(at("a.toml"), at("a.off")).unwrap();
        assert!(reported(&mut rx), "a file was moved away");
        fs::rename(at("a.off"), at("b.toml")).unwrap();
        assert!(reported(&mut rx), "a file was moved in");
        fs::remove_file(at("b.toml")).unwrap();
        assert!(reported(&mut rx), "a file was removed");
    }

    #[test]
    fn a_directory_that_a_pattern_or_a_file_waits_for_is_reported_when_it_comes() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("one")).unwrap();
        let patterns = [at("*/routes/*.toml"), at("new/deep/*.toml")];
        let (mut watcher, mut rx) = watching_all(&[at("other/deep/file")], &patterns);
        fs::create_dir_all(at("one/routes")).unwrap();
        assert_eq!(block_on(rx.recv()), Some(vec![patterns[0].clone()]));
        fs::create_dir(at("new")).unwrap();
        until(&mut rx, &patterns[1]);
        fs::create_dir(at("other")).unwrap();
        until(&mut rx, &at("other/deep/file"));
        // What is there now is watched with the next set.
        watcher.watch(&[], &patterns).unwrap();
        fs::write(at("one/routes/a.toml"), b"x").unwrap();
        assert_eq!(block_on(rx.recv()), Some(vec![patterns[0].clone()]));
    }

    #[test]
    fn nothing_is_lost_while_the_channel_is_full() {
        let directory = tempfile::tempdir().unwrap();
        let (tx, mut rx) = mpsc::channel(1);
        tx.try_send(Vec::new()).unwrap();
        let mut watcher = Watcher::new(tx).unwrap();
        let files: Vec<_> = ["a", "b"].map(|name| directory.path().join(name)).into();
        watcher.watch(&files, &[]).unwrap();
        fs::write(&files[0], b"x").unwrap();
        // Past the time at which the change was first due, without a receiver to take it.
        std::thread::sleep(GATHER * 2);
        fs::write(&files[1], b"x").unwrap();
        assert_eq!(block_on(rx.recv()), Some(Vec::new()));
        let mut seen = BTreeSet::new();
        while seen.len() < files.len() {
            seen.extend(block_on(rx.recv()).unwrap());
        }
    }

    #[test]
    fn events_that_were_dropped_by_the_system_count_for_every_file() {
        let (tx, mut rx) = mpsc::channel(1);
        let (events, received) = channel();
        let target = Target {
            directory: "/d".into(),
            name: Name::File("a".into()),
            given: "a".into(),
        };
        let targets = Targets::new(Mutex::new(Arc::from([target])));
        let gatherer = Gatherer {
            targets,
            tx,
            changed: BTreeSet::new(),
            due: Instant::now(),
        };
        let thread = std::thread::spawn(move || gatherer.run(&received));
        forward(
            Ok(Event::new(notify::EventKind::Other).set_flag(notify::event::Flag::Rescan)),
            &events,
        );
        assert_eq!(block_on(rx.recv()), Some(vec![PathBuf::from("a")]));
        drop(events);
        thread.join().unwrap();
    }
}
