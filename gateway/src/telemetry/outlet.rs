//! Where the lines of a log go: into a bounded buffer, which a thread of its own writes. A thread that logs never waits,
//! for no pipe that nobody reads and for no disk; what there is no room for is lost, counted, and said when the log can
//! be written again.

mod sink;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use sink::Sink;

pub(super) use sink::Destination;

/// How long the end of a process waits for what is not written yet.
const END: Duration = Duration::from_secs(2);
/// Losses are said at most this often.
const SAID: Duration = Duration::from_secs(1);

/// One log. Its writer ends when it is dropped, after what was taken until then.
#[derive(Debug)]
pub(super) struct Outlet {
    shared: Arc<Shared>,
    /// What may wait for the writer, bytes.
    room: usize,
    /// Lines that were lost, of this log and of those that share the number.
    lost: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to do.
    wake: Condvar,
    /// Nothing is left to write.
    done: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<u8>,
    /// The file is to be opened again, after so many of the bytes that wait.
    reopen: Option<usize>,
    /// The writer has something in hand.
    writing: bool,
    /// So many lines.
    in_hand: u64,
    /// Lines lost that nothing was said of yet.
    unsaid: u64,
    closed: bool,
}

impl Outlet {
    /// Opens the destination and starts the writer. `name` stands in what is said of the log.
    ///
    /// # Errors
    /// If it cannot be opened, or there is no thread left.
    pub(super) fn start(
        name: &'static str,
        destination: Destination,
        room: usize,
        lost: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let writer = Writer {
            name,
            sink: Sink::open(&destination)?,
            destination,
            shared: Arc::default(),
            lost: lost.clone(),
            is_torn: false,
            is_failing: false,
            said: None,
        };
        let shared = writer.shared.clone();
        std::thread::Builder::new()
            .name(name.replace(' ', "-"))
            .spawn(move || writer.run())?;
        Ok(Self { shared, room, lost })
    }

    /// Takes whole lines, or loses them. Whether they are the first that are lost for a while.
    pub(super) fn push(&self, lines: &[u8]) -> bool {
        let mut queue = self.shared.queue.lock();
        if queue.waiting.len() + lines.len() > self.room {
            let count = count(lines);
            let is_first = queue.unsaid == 0;
            queue.unsaid += count;
            self.lost.fetch_add(count, Ordering::Relaxed);
            return is_first;
        }
        queue.waiting.extend_from_slice(lines);
        drop(queue);
        self.shared.wake.notify_one();
        false
    }

    /// Has a file opened again by its name, once what was taken so far is written.
    pub(super) fn reopen(&self) {
        let mut queue = self.shared.queue.lock();
        queue.reopen = Some(queue.waiting.len());
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Waits until everything that was taken is written, but not for ever. How many lines are not, or not known to be.
    pub(super) fn flush(&self) -> u64 {
        let end = Instant::now() + END;
        let mut queue = self.shared.queue.lock();
        while queue.has_work() || queue.writing {
            if self.shared.done.wait_until(&mut queue, end).timed_out() {
                return queue.in_hand + count(&queue.waiting) + std::mem::take(&mut queue.unsaid);
            }
        }
        std::mem::take(&mut queue.unsaid)
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.wake.notify_one();
    }
}

impl Queue {
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.reopen.is_some()
    }
}

/// How many lines end here.
fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// What runs on the thread.
struct Writer {
    name: &'static str,
    destination: Destination,
    sink: Sink,
    shared: Arc<Shared>,
    lost: Arc<AtomicU64>,
    /// The last line was not written to its end.
    is_torn: bool,
    /// The last write failed, which was said.
    is_failing: bool,
    /// When losses were said.
    said: Option<Instant>,
}

/// What a turn of the writer does.
struct Turn {
    lines: Vec<u8>,
    reopen: Option<usize>,
}

impl Writer {
    fn run(mut self) {
        while let Some(Turn { lines, reopen }) = self.next() {
            // Now there is room for it, whatever this is the writer of.
            self.say();
            let (before, after) = lines.split_at(reopen.unwrap_or(lines.len()));
            self.write(before);
            if reopen.is_some() {
                self.reopen();
            }
            self.write(after);
        }
    }

    /// Waits for something to do, or for the time to say what was lost; `None` is the end.
    fn next(&self) -> Option<Turn> {
        let mut queue = self.shared.queue.lock();
        (queue.writing, queue.in_hand) = (false, 0);
        self.shared.done.notify_all();
        loop {
            if queue.has_work() {
                queue.writing = true;
                let lines = std::mem::take(&mut queue.waiting);
                queue.in_hand = count(&lines);
                let reopen = queue.reopen.take();
                return Some(Turn { lines, reopen });
            }
            if queue.closed {
                return None;
            }
            if queue.unsaid == 0 || self.is_failing {
                self.shared.wake.wait(&mut queue);
                continue;
            }
            let now = Instant::now();
            let due = self.said.map_or(now, |said| said + SAID);
            if due <= now {
                let (lines, reopen) = (Vec::new(), None);
                return Some(Turn { lines, reopen });
            }
            self.shared.wake.wait_until(&mut queue, due);
        }
    }

    fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let shared = self.shared.clone();
        // A FIFO that nobody reads is given up when another is to be opened, or none any more.
        let gives_up = || {
            let queue = shared.queue.lock();
            queue.closed || queue.reopen.is_some()
        };
        if self.is_torn && self.sink.write_all(b"\n", gives_up).is_ok() {
            self.is_torn = false;
        }
        match self.sink.write_all(lines, gives_up) {
            Ok(()) => self.is_failing = false,
            Err((written, error)) => {
                self.is_torn |= written > 0 && lines[written - 1] != b'\n';
                let lost = count(&lines[written..]);
                self.lost.fetch_add(lost, Ordering::Relaxed);
                self.shared.queue.lock().unsaid += lost;
                if !self.is_failing {
                    let name = self.name;
                    tracing::error!(%error, "the {name} cannot be written; lines are lost");
                }
                self.is_failing = true;
            }
        }
    }

    fn reopen(&mut self) {
        match Sink::open(&self.destination) {
            Ok(sink) => {
                self.sink = sink;
                self.is_torn = false;
            }
            Err(error) => {
                let name = self.name;
                tracing::error!(%error, "the {name} cannot be opened again; the open file stays");
            }
        }
    }

    /// Says what was lost, now that there is room again.
    fn say(&mut self) {
        if self.is_failing || self.said.is_some_and(|said| said.elapsed() < SAID) {
            return;
        }
        let lines = std::mem::take(&mut self.shared.queue.lock().unsaid);
        if lines > 0 {
            self.said = Some(Instant::now());
            let name = self.name;
            tracing::warn!(
                "{lines} lines of the {name} were lost: they could not be written, or not as fast as they came"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;
    use crate::file::UNWAITED;

    /// Longer than a loaded machine stands still.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn outlet(destination: Destination, room: usize) -> (Outlet, Arc<AtomicU64>) {
        let lost = Arc::new(AtomicU64::new(0));
        let outlet = Outlet::start("test log", destination, room, lost.clone());
        (outlet.unwrap(), lost)
    }

    fn fifo(directory: &tempfile::TempDir) -> PathBuf {
        let path = directory.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        path
    }

    /// Fills a FIFO to the last byte; it stays full as long as what is returned is open.
    fn fill(path: &Path) -> std::fs::File {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true);
        options.custom_flags(UNWAITED);
        let mut file = options.open(path).unwrap();
        while file.write(b"x").is_ok() {}
        file
    }

    #[test]
    fn what_there_is_no_room_for_is_lost_in_whole_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let path = fifo(&directory);
        let _full = fill(&path);
        let (outlet, lost) = outlet(Destination::File(path), 16);
        let began = Instant::now();
        while lost.load(Ordering::Relaxed) == 0 {
            assert!(began.elapsed() < PATIENCE);
            outlet.push(b"1\n2\n");
        }
        let before = lost.load(Ordering::Relaxed);
        assert!(!outlet.push(b"123456789\n12345\n"), "it was lost before");
        assert_eq!(lost.load(Ordering::Relaxed), before + 2);
        let began = Instant::now();
        outlet.flush();
        assert!(began.elapsed() >= END, "it waits, and it came back");
    }

    #[test]
    fn a_writer_that_waits_for_a_reader_ends_with_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let (outlet, lost) = outlet(Destination::File(fifo(&directory)), 1 << 20);
        outlet.push(&b"0123456789abcde\n".repeat(1 << 13));
        let shared = Arc::downgrade(&outlet.shared);
        drop(outlet);
        let began = Instant::now();
        while shared.strong_count() > 0 {
            assert!(began.elapsed() < PATIENCE, "the thread is there still");
            std::thread::yield_now();
        }
        // What fitted into the FIFO was written.
        let lost = lost.load(Ordering::Relaxed);
        assert!(lost > 0 && lost < 1 << 13, "{lost}");
    }

    #[test]
    fn a_line_that_was_cut_is_ended_before_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = Writer {
            name: "test log",
            sink: Sink::open(&Destination::File("/dev/full".into())).unwrap(),
            destination: Destination::File(path.clone()),
            shared: Arc::default(),
            lost: Arc::default(),
            is_torn: false,
            is_failing: false,
            said: None,
        };
        writer.write(b"1\n2\n");
        assert_eq!(writer.lost.load(Ordering::Relaxed), 2);
        writer.sink = Sink::open(&writer.destination).unwrap();
        std::fs::write(&path, "the beginning of a li").unwrap();
        writer.is_torn = true;
        writer.write(b"3\n");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "the beginning of a li\n3\n");
    }
}
