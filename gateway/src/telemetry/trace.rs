//! The gateway's own log, on stderr.
//!
//! `GATEWAY_LOG` filters it (`info`, or `warn,gateway::upstream=debug`) and an operator while it runs ([`ask`]);
//! `GATEWAY_LOG_FORMAT=json` makes it JSON.
//! Spans are a matter of the filter too: see [`super::span`]. No thread waits for the reader of stderr: lines that
//! there is no room for are lost and counted.

mod filter;
mod targets;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use tracing_subscriber::fmt::format::FmtSpan;

use super::outlet::{Destination, Outlet};
use super::panics;
use crate::message::text::{Line, json};
use filter::{DEFAULT, Filter, VARIABLE};

pub use filter::{ask, in_force, restore};

const FORMAT: &str = "GATEWAY_LOG_FORMAT";
/// Bytes that may wait for the reader.
const ROOM: usize = 1 << 20;

static LOG: OnceLock<Outlet> = OnceLock::new();
static LOST: LazyLock<Arc<AtomicU64>> = LazyLock::new(Arc::default);

/// Starts logging. Once it is started, another call changes nothing.
///
/// # Errors
/// If there is no thread left for it.
pub fn init() -> io::Result<()> {
    if LOG.get().is_some() {
        return Ok(());
    }
    let started = Outlet::start("log", Destination::Stderr, ROOM, LOST.clone())?;
    let outlet = LOG.get_or_init(|| started);
    let wanted = std::env::var_os(VARIABLE).unwrap_or_default();
    let (filter, fault) = Filter::configured(&wanted.to_string_lossy());
    let format = std::env::var_os(FORMAT).unwrap_or_default();
    let is_json = format == "json";
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter.compiled())
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || Lines { outlet, is_json })
        .with_ansi(io::stderr().is_terminal());
    let warnings = filter.warnings();
    let started = if is_json {
        let log = log.json().with_ansi(false).flatten_event(true);
        let log = log.with_filter_reloading();
        filter::begin(filter, log.reload_handle());
        log.try_init()
    } else {
        let log = log.with_filter_reloading();
        filter::begin(filter, log.reload_handle());
        log.try_init()
    };
    if let (Ok(()), Some(error)) = (started, fault) {
        tracing::warn!(%error, "{VARIABLE} is not a filter: expected such as \"info\"; logging at {DEFAULT}");
    }
    for warning in warnings {
        tracing::warn!("{VARIABLE}: {warning}");
    }
    if !["", "json", "text"].iter().any(|known| format == *known) {
        tracing::warn!("{FORMAT} is {format:?}: expected \"json\" or \"text\"; logging as text");
    }
    Ok(())
}

/// Has panics stand in the log, once it is started.
pub fn log_panics() {
    if let Some(log) = LOG.get() {
        panics::log(log);
    }
}

/// Prints a text on stderr, behind what is logged.
///
/// # Errors
/// If nothing was logged before, and it cannot be written.
pub fn print(text: &str) -> io::Result<()> {
    let Some(log) = LOG.get() else {
        return writeln!(io::stderr(), "{text}");
    };
    log.push(format!("{text}\n").as_bytes());
    Ok(())
}

/// Waits until what was logged is written, for two seconds at most.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.flush();
    }
}

/// Lines that could not be written.
pub fn lost_lines() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Line ends, tabs and the colours of a terminal: what makes text what it is.
const KEPT: [char; 3] = ['\n', '\t', '\u{1b}'];

fn safe(piece: &str) -> String {
    match piece.strip_suffix(KEPT) {
        Some(text) => format!("{}{}", Line(text), &piece[text.len()..]),
        None => Line(piece).to_string(),
    }
}

/// One event after the other, each of them in one piece.
struct Lines {
    outlet: &'static Outlet,
    is_json: bool,
}

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        // What writes JSON escapes the control characters of ASCII alone, what writes text those of a terminal.
        let safe = match self.is_json {
            true => json(text.into_owned()),
            false => text.split_inclusive(KEPT).map(safe).collect(),
        };
        self.outlet.push(safe.as_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_twice_is_harmless() {
        init().unwrap();
        init().unwrap();
    }
}
