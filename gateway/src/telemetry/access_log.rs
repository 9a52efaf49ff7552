//! The access log: one line per exchange, written when it is over.
//!
//! A worker formats lines into a buffer of its own and hands it to one writer thread: at 32 KiB, or when the
//! worker's timer calls [`AccessLog::flush`]. No file is written on a data thread. When the writer cannot keep
//! up, buffers are dropped and counted rather than requests delayed. Fields of requests stand in the log as
//! they came, the query included; credentials in header fields do not.

mod format;

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use crate::config::{self, AccessLogFormat, AccessLogPath};

use format::Template;

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

/// Where lines go.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    sample: f64,
    sender: SyncSender<Message>,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Format {
    Off,
    Json,
    Combined,
    Template(Template),
}

enum Message {
    Lines(Vec<u8>),
    Close(SyncSender<()>),
}

thread_local!(static BUFFERED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });

impl AccessLog {
    /// Opens the file and starts the writer, which ends with the last reference to the log.
    ///
    /// # Errors
    /// If the file cannot be opened, or a template names a field that there is not.
    pub fn start(config: &config::AccessLog) -> io::Result<Arc<Self>> {
        let format = match &config.format {
            AccessLogFormat::Off => Format::Off,
            AccessLogFormat::Json => Format::Json,
            AccessLogFormat::Combined => Format::Combined,
            AccessLogFormat::Template(text) => {
                Format::Template(Template::parse(text).map_err(io::Error::other)?)
            }
        };
        let (sender, receiver) = sync_channel(WAITING);
        if !matches!(format, Format::Off) {
            let to: Box<dyn Write + Send> = match &config.path {
                AccessLogPath::Stdout => Box::new(io::stdout()),
                AccessLogPath::Stderr => Box::new(io::stderr()),
                AccessLogPath::File(path) => {
                    Box::new(OpenOptions::new().create(true).append(true).open(path)?)
                }
            };
            std::thread::Builder::new()
                .name("access-log".into())
                .spawn(move || write(&receiver, to))?;
        }
        Ok(Arc::new(Self {
            format,
            sample: config.sample,
            sender,
            dropped: AtomicU64::new(0),
        }))
    }

    /// Whether nothing is written.
    pub fn is_off(&self) -> bool {
        matches!(self.format, Format::Off)
    }

    /// Adds a line to this thread's buffer. Failures are always logged, the rest as often as `sample` says.
    pub fn log(&self, line: &Line<'_>) {
        let failed = line.status.is_none_or(|status| status >= 500) || line.error.is_some();
        if !failed && self.sample < 1.0 && fastrand::f64() >= self.sample {
            return;
        }
        BUFFERED.with_borrow_mut(|buffer| {
            match &self.format {
                Format::Off => {}
                Format::Json => format::json(buffer, line),
                Format::Combined => format::combined(buffer, line),
                Format::Template(template) => template.write(buffer, line),
            }
            if buffer.len() >= BUFFER {
                self.hand_over(buffer);
            }
        });
    }

    /// Hands over what this thread has buffered; each worker calls it ten times a second.
    pub fn flush(&self) {
        BUFFERED.with_borrow_mut(|buffer| {
            if !buffer.is_empty() {
                self.hand_over(buffer);
            }
        });
    }

    fn hand_over(&self, buffer: &mut Vec<u8>) {
        if self
            .sender
            .try_send(Message::Lines(std::mem::take(buffer)))
            .is_err()
        {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed);
            if dropped.is_power_of_two() {
                tracing::warn!(
                    buffers = dropped + 1,
                    "the access log cannot be written as fast as it grows; lines are lost"
                );
            }
        }
    }

    /// Waits until everything that was handed over is written.
    pub fn close(&self) {
        if self.is_off() {
            return;
        }
        let (done, written) = sync_channel(1);
        if self.sender.send(Message::Close(done)).is_ok() {
            // An error means that the writer has ended.
            let _ended = written.recv_timeout(Duration::from_secs(2));
        }
    }
}

/// The writer thread.
fn write(receiver: &Receiver<Message>, mut to: Box<dyn Write + Send>) {
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Lines(lines) => {
                if let Err(error) = to.write_all(&lines).and_then(|()| to.flush()) {
                    tracing::error!(%error, "the access log cannot be written");
                }
            }
            Message::Close(done) => {
                let _nobody_waits = done.send(());
            }
        }
    }
}
