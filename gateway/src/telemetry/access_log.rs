//! The access log: one line per exchange, written when it is over.
//!
//! A worker formats lines into a [`Buffer`] of its own and hands it to the log's writer: at 32 KiB, or when the
//! worker's timer calls [`Buffer::flush`]. No file is written on a data thread. When the writer cannot keep
//! up, lines are lost and counted rather than requests delayed. Fields of requests stand in the log as
//! they came, the query included; credentials in header fields do not. A line goes where the configuration of its
//! exchange says, also after a reload.

mod format;
mod line;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::metrics::Metrics;
use super::outlet::{Destination, Outlet};
use crate::config::{self, AccessLogFormat, AccessLogPath};

pub use line::Line;

/// A worker's buffer is handed over at this size.
const FULL: usize = 32 << 10;
/// Bytes that may wait for the writer, over all workers.
const ROOM: usize = 8 << 20;

/// How lines look, which of them are written, and where they go.
#[derive(Debug)]
pub struct AccessLog {
    format: AccessLogFormat,
    sample: f64,
    /// Nothing where nothing is written.
    outlet: Option<Outlet>,
}

/// Lines of one worker that it has not handed over yet: one buffer for each snapshot, since an exchange is logged where
/// the configuration it began under says. What is left in it is handed over when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    log: Arc<AccessLog>,
    /// The worker's alone: no other thread waits for it.
    lines: Mutex<Vec<u8>>,
}

impl Buffer {
    /// An empty one.
    pub fn new(log: Arc<AccessLog>) -> Self {
        Self {
            log,
            lines: Mutex::default(),
        }
    }

    /// Whether nothing is written.
    pub fn is_off(&self) -> bool {
        self.log.is_off()
    }

    /// Adds a line. What failed is always logged, the rest as often as `sample` says: see
    /// [`config::AccessLog::sample`].
    pub fn add(&self, line: &Line<'_>) {
        let sample = match line.failures_only {
            true => 0.0,
            false => self.log.sample,
        };
        if !line.is_failure() && sample < 1.0 && fastrand::f64() >= sample {
            return;
        }
        let mut lines = self.lines.lock();
        match &self.log.format {
            AccessLogFormat::Off => {}
            AccessLogFormat::Json => format::json(&mut lines, line),
            AccessLogFormat::Combined => format::combined(&mut lines, line),
            AccessLogFormat::Template(template) => format::template(&mut lines, template, line),
        }
        if lines.len() >= FULL {
            self.log.hand_over(&mut lines);
        }
    }

    /// Hands over what is there; each worker calls it ten times a second.
    pub fn flush(&self) {
        let mut lines = self.lines.lock();
        if !lines.is_empty() {
            self.log.hand_over(&mut lines);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.flush();
    }
}

impl AccessLog {
    /// Opens the file and starts the writer, which ends with the last reference to the log.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn start(config: &config::AccessLog, metrics: &Metrics) -> io::Result<Arc<Self>> {
        let outlet = match config.format {
            AccessLogFormat::Off => None,
            _ => {
                let destination = match &config.path {
                    AccessLogPath::Stdout => Destination::Stdout,
                    AccessLogPath::Stderr => Destination::Stderr,
                    AccessLogPath::File(path) => Destination::File(path.clone()),
                };
                let lost = metrics.lost_access_log_lines();
                Some(Outlet::start("access log", destination, ROOM, lost)?)
            }
        };
        Ok(Arc::new(Self {
            format: config.format.clone(),
            sample: config.sample,
            outlet,
        }))
    }

    /// Whether nothing is written.
    pub fn is_off(&self) -> bool {
        self.format == AccessLogFormat::Off
    }

    /// Opens the file again by its name: the one before may have been moved away by a rotation.
    pub fn reopen(&self) {
        if let Some(outlet) = &self.outlet {
            outlet.reopen();
        }
    }

    /// Waits until everything that was handed over is written, for two seconds at most.
    pub fn close(&self) {
        if let Some(outlet) = &self.outlet {
            let lost = outlet.flush();
            if lost > 0 {
                tracing::warn!(
                    "up to {lost} lines of the access log were lost at the end: they were not taken in time"
                );
            }
        }
    }

    /// Leaves no line behind.
    fn hand_over(&self, lines: &mut Vec<u8>) {
        if let Some(outlet) = &self.outlet
            && outlet.push(lines)
        {
            tracing::warn!("the access log is not read as fast as it grows; lines are lost");
        }
        lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::config::LogTemplate;
    use crate::message::error::ErrorKind;

    fn log(path: &Path, template: &str, sample: f64) -> Arc<AccessLog> {
        let config = config::AccessLog {
            format: AccessLogFormat::Template(LogTemplate::parse(template).unwrap()),
            path: AccessLogPath::File(path.to_owned()),
            sample,
        };
        AccessLog::start(&config, &Metrics::new(1)).unwrap()
    }

    fn line<'a>(path: &'a str, status: Option<u16>, error: Option<ErrorKind>) -> Line<'a> {
        Line {
            time: SystemTime::UNIX_EPOCH,
            id: "",
            client: IpAddr::from([127, 0, 0, 1]).into(),
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
            arm: None,
            error,
            fallback: None,
            grpc_status: None,
            attempts: 0,
            finished: true,
            user_agent: None,
            referer: None,
            attributes: &[],
            tags: &[],
            failures_only: false,
        }
    }

    fn read(log: &AccessLog, path: &Path) -> String {
        log.close();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_go_to_the_log_of_their_buffer_and_none_stays_in_one_that_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (old, new) = (
            log(&at("old"), "old {path}", 1.0),
            log(&at("new"), "new {path}", 1.0),
        );
        let buffers = [&old, &new].map(|log| Buffer::new(log.clone()));
        buffers[0].add(&line("/1", Some(200), None));
        buffers[1].add(&line("/2", Some(200), None));
        buffers[0].add(&line("/3", Some(200), None));
        drop(buffers);
        assert_eq!(read(&old, &at("old")), "old /1\nold /3\n");
        assert_eq!(read(&new, &at("new")), "new /2\n");
    }

    #[test]
    fn failures_are_logged_whatever_the_sample_and_clients_mistakes_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = log(&path, "{path}", 0.0);
        let buffer = Buffer::new(log.clone());
        buffer.add(&line("/ok", Some(200), None));
        buffer.add(&line("/no-route", Some(404), Some(ErrorKind::NoRoute)));
        buffer.add(&line("/refused", Some(400), Some(ErrorKind::Refused)));
        buffer.add(&line("/upstream-says-500", Some(500), None));
        buffer.add(&line(
            "/bad-gateway",
            Some(502),
            Some(ErrorKind::BadGateway),
        ));
        buffer.add(&line("/broke-off", Some(200), Some(ErrorKind::BadGateway)));
        buffer.add(&line("/left", Some(200), Some(ErrorKind::ClientClosed)));
        buffer.add(&line("/no-head", None, None));
        buffer.flush();
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
        let buffer = Buffer::new(log.clone());
        buffer.add(&line("/1", Some(200), None));
        buffer.flush();
        log.close();
        std::fs::rename(at("log"), at("log.1")).unwrap();
        log.reopen();
        buffer.add(&line("/2", Some(200), None));
        buffer.flush();
        assert_eq!(read(&log, &at("log")), "/2\n");
        assert_eq!(read(&log, &at("log.1")), "/1\n");
    }
}
