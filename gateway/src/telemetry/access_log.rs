//! The access log: one line per exchange, written when it is over.
//!
//! A worker formats lines into a buffer of its own and hands it to one writer thread: at 32 KiB, or when the
//! worker's timer calls [`AccessLog::flush`]. No file is written on a data thread. When the writer cannot keep
//! up, buffers are dropped and counted rather than requests delayed. Fields of requests stand in the log as
//! they came, the query included; credentials in header fields do not. A line goes where the configuration of its
//! exchange says, also after a reload.

mod format;

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use super::metrics::Metrics;
use crate::config::{self, AccessLogFormat, AccessLogPath};

/// A worker's buffer is handed over at this size.
const BUFFER: usize = 32 << 10;
/// Buffers that wait for the writer, over all workers.
const WAITING: usize = 256;

/// One exchange.
#[derive(Debug)]
pub struct Line<'a> {
    /// When it ended.
    pub time: SystemTime,
    /// The request id.
    pub id: &'a str,
    /// The client.
    pub client: IpAddr,
    /// The client's method.
    pub method: &'a str,
    /// The client's path and query, normalised.
    pub path: &'a str,
    /// The host asked for.
    pub host: &'a str,
    /// The client's protocol.
    pub protocol: http::Version,
    /// Whether the client sees `https`.
    pub secure: bool,
    /// The status; none where no head was sent.
    pub status: Option<u16>,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// From the head to the last byte.
    pub duration: Duration,
    /// Until the head of the upstream's response.
    pub upstream_time: Option<Duration>,
    /// Who answered.
    pub endpoint: Option<SocketAddr>,
    /// The route.
    pub route: &'a str,
    /// The kind of failure.
    pub error: Option<&'static str>,
    /// Whether the last byte was handed over.
    pub finished: bool,
    /// User-Agent.
    pub user_agent: Option<&'a [u8]>,
    /// Referer.
    pub referer: Option<&'a [u8]>,
    /// What plugins left.
    pub attributes: &'a [(Box<str>, Box<str>)],
}

/// How lines look, which of them are written, and where they go.
#[derive(Debug)]
pub struct AccessLog {
    format: AccessLogFormat,
    sample: f64,
    target: Arc<Target>,
}

/// A writer thread, which ends with the last reference to it.
#[derive(Debug)]
struct Target {
    sender: SyncSender<Message>,
    metrics: Arc<Metrics>,
}

enum Message {
    Lines(Vec<u8>),
    Reopen,
    Close(SyncSender<()>),
}

/// Lines of one log that this thread has not handed over yet.
struct Buffer {
    target: Arc<Target>,
    lines: Vec<u8>,
}

thread_local! {
    /// One, but for a while after a reload: an exchange is logged where the configuration it began under says.
    static BUFFERS: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

impl AccessLog {
    /// Opens the file and starts the writer, which ends with the last reference to the log.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn start(config: &config::AccessLog, metrics: Arc<Metrics>) -> io::Result<Arc<Self>> {
        let (sender, receiver) = sync_channel(WAITING);
        if config.format != AccessLogFormat::Off {
            let writer = Writer {
                to: open(&config.path)?,
                path: config.path.clone(),
                metrics: metrics.clone(),
                failing: false,
            };
            std::thread::Builder::new()
                .name("access-log".into())
                .spawn(move || writer.run(&receiver))?;
        }
        Ok(Arc::new(Self {
            format: config.format.clone(),
            sample: config.sample,
            target: Arc::new(Target { sender, metrics }),
        }))
    }

    /// Whether nothing is written.
    pub fn is_off(&self) -> bool {
        self.format == AccessLogFormat::Off
    }

    /// Adds a line to this thread's buffer. What failed is always logged, the rest as often as `sample` says: see
    /// [`config::AccessLog::sample`].
    pub fn log(&self, line: &Line<'_>) {
        if !line.is_failure() && self.sample < 1.0 && fastrand::f64() >= self.sample {
            return;
        }
        BUFFERS.with_borrow_mut(|buffers| {
            let buffer = self.buffer(buffers);
            match &self.format {
                AccessLogFormat::Off => {}
                AccessLogFormat::Json => format::json(buffer, line),
                AccessLogFormat::Combined => format::combined(buffer, line),
                AccessLogFormat::Template(template) => format::template(buffer, template, line),
            }
            if buffer.len() >= BUFFER {
                self.target.hand_over(std::mem::take(buffer));
            }
        });
    }

    /// Hands over what this thread has buffered, for this log and for those before it; each worker calls it ten
    /// times a second.
    pub fn flush(&self) {
        BUFFERS.with_borrow_mut(|buffers| {
            for buffer in &mut *buffers {
                if !buffer.lines.is_empty() {
                    buffer.target.hand_over(std::mem::take(&mut buffer.lines));
                }
            }
            buffers.retain(|buffer| Arc::ptr_eq(&buffer.target, &self.target));
        });
    }

    /// Opens the file again by its name: the one before may have been moved away by a rotation.
    pub fn reopen(&self) {
        if !self.is_off() && self.target.sender.try_send(Message::Reopen).is_err() {
            tracing::warn!("the access log is too busy to be opened again; reload once more");
        }
    }

    /// Waits until everything that was handed over is written.
    pub fn close(&self) {
        if self.is_off() {
            return;
        }
        let (done, written) = sync_channel(1);
        if self.target.sender.send(Message::Close(done)).is_ok() {
            // An error means that the writer has ended.
            let _ended = written.recv_timeout(Duration::from_secs(2));
        }
    }

    fn buffer<'a>(&self, buffers: &'a mut Vec<Buffer>) -> &'a mut Vec<u8> {
        let found = buffers
            .iter()
            .position(|buffer| Arc::ptr_eq(&buffer.target, &self.target));
        let index = found.unwrap_or_else(|| {
            buffers.push(Buffer {
                target: self.target.clone(),
                lines: Vec::new(),
            });
            buffers.len() - 1
        });
        &mut buffers[index].lines
    }
}

impl Line<'_> {
    /// Whether the gateway or the upstream failed at it. What a client did wrong (4xx) is no failure.
    fn is_failure(&self) -> bool {
        match self.status {
            None => true,
            Some(status) => status >= 500 || (status < 400 && self.error.is_some()),
        }
    }
}

impl Target {
    fn hand_over(&self, lines: Vec<u8>) {
        let lost = match self.sender.try_send(Message::Lines(lines)) {
            Ok(()) => return,
            Err(TrySendError::Full(Message::Lines(lines))) => lines,
            Err(_) => return,
        };
        if lose(&self.metrics, &lost) {
            tracing::warn!("the access log cannot be written as fast as it grows; lines are lost");
        }
    }
}

/// Counts lines that are lost. Whether that should be said: not every time.
fn lose(metrics: &Metrics, lines: &[u8]) -> bool {
    static LOST: AtomicU64 = AtomicU64::new(0);
    let count = memchr::memchr_iter(b'\n', lines).count();
    metrics.log_lines_lost(count as u64);
    (LOST.fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two()
}

/// What runs on the writer thread.
struct Writer {
    to: Box<dyn Write + Send>,
    path: AccessLogPath,
    metrics: Arc<Metrics>,
    /// The last write failed, which was said.
    failing: bool,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        while let Ok(message) = receiver.recv() {
            match message {
                Message::Lines(lines) => self.write(&lines),
                Message::Reopen => match open(&self.path) {
                    Ok(to) => self.to = to,
                    Err(error) => {
                        tracing::error!(%error, "the access log cannot be opened again; the open file stays");
                    }
                },
                Message::Close(done) => {
                    let _nobody_waits = done.send(());
                }
            }
        }
    }

    fn write(&mut self, lines: &[u8]) {
        match self.to.write_all(lines).and_then(|()| self.to.flush()) {
            Ok(()) => self.failing = false,
            Err(error) => {
                lose(&self.metrics, lines);
                if !self.failing {
                    tracing::error!(%error, "the access log cannot be written; lines are lost");
                }
                self.failing = true;
            }
        }
    }
}

fn open(path: &AccessLogPath) -> io::Result<Box<dyn Write + Send>> {
    Ok(match path {
        AccessLogPath::Stdout => Box::new(io::stdout()),
        AccessLogPath::Stderr => Box::new(io::stderr()),
        AccessLogPath::File(path) => {
            Box::new(OpenOptions::new().create(true).append(true).open(path)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::LogTemplate;

    fn log(path: &Path, template: &str, sample: f64) -> Arc<AccessLog> {
        let config = config::AccessLog {
            format: AccessLogFormat::Template(LogTemplate::parse(template).unwrap()),
            path: AccessLogPath::File(path.to_owned()),
            sample,
        };
        AccessLog::start(&config, Metrics::new(1)).unwrap()
    }

    fn line<'a>(path: &'a str, status: Option<u16>, error: Option<&'static str>) -> Line<'a> {
        Line {
            time: SystemTime::UNIX_EPOCH,
            id: "",
            client: IpAddr::from([127, 0, 0, 1]),
            method: "GET",
            path,
            host: "",
            protocol: http::Version::HTTP_11,
            secure: false,
            status,
            bytes_in: 0,
            bytes_out: 0,
            duration: Duration::ZERO,
            upstream_time: None,
            endpoint: None,
            route: "",
            error,
            finished: true,
            user_agent: None,
            referer: None,
            attributes: &[],
        }
    }

    fn read(log: &AccessLog, path: &Path) -> String {
        log.close();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_go_to_the_log_they_were_written_to_though_another_is_in_force_when_they_are_flushed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (old, new) = (
            log(&at("old"), "old {path}", 1.0),
            log(&at("new"), "new {path}", 1.0),
        );
        old.log(&line("/1", Some(200), None));
        new.log(&line("/2", Some(200), None));
        old.log(&line("/3", Some(200), None));
        new.flush();
        assert_eq!(read(&old, &at("old")), "old /1\nold /3\n");
        assert_eq!(read(&new, &at("new")), "new /2\n");
    }

    #[test]
    fn failures_are_logged_whatever_the_sample_and_clients_mistakes_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = log(&path, "{path}", 0.0);
        log.log(&line("/ok", Some(200), None));
        log.log(&line("/no-route", Some(404), Some("no_route")));
        log.log(&line("/refused", Some(400), Some("refused")));
        log.log(&line("/upstream-says-500", Some(500), None));
        log.log(&line("/bad-gateway", Some(502), Some("bad_gateway")));
        log.log(&line("/broke-off", Some(200), Some("bad_gateway")));
        log.log(&line("/no-head", None, None));
        log.flush();
        assert_eq!(
            read(&log, &path),
            "/upstream-says-500\n/bad-gateway\n/broke-off\n/no-head\n"
        );
    }

    #[test]
    fn a_log_that_was_moved_away_is_made_again_when_it_is_reopened() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let log = log(&at("log"), "{path}", 1.0);
        log.log(&line("/1", Some(200), None));
        log.flush();
        log.close();
        std::fs::rename(at("log"), at("log.1")).unwrap();
        log.reopen();
        log.log(&line("/2", Some(200), None));
        log.flush();
        assert_eq!(read(&log, &at("log")), "/2\n");
        assert_eq!(read(&log, &at("log.1")), "/1\n");
    }

    #[test]
    fn lines_that_the_writer_cannot_take_are_counted() {
        let metrics = Metrics::new(1);
        let (sender, _receiver) = sync_channel(1);
        let target = Target {
            sender,
            metrics: metrics.clone(),
        };
        target.hand_over(b"1\n".to_vec());
        target.hand_over(b"2\n3\n".to_vec());
        assert!(
            metrics
                .text()
                .contains("gateway_access_log_lost_lines_total{} 2\n")
        );
    }
}
