//! The gateway's own log, on stderr.
//!
//! `GATEWAY_LOG` filters it (`info`, or `warn,gateway::upstream=debug`), `GATEWAY_LOG_FORMAT=json` makes it JSON.
//! Spans are a matter of the filter too: see [`super::span`]. No thread waits for the reader of stderr: lines that
//! there is no room for are lost and counted.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use super::outlet::{Destination, Outlet};
use super::panics;

const FILTER: &str = "GATEWAY_LOG";
const FORMAT: &str = "GATEWAY_LOG_FORMAT";
const DEFAULT: &str = "info";
/// The watch of files: at finer levels it logs what happens to them, which would feed on a log among them.
const WATCH: &str = "notify=info";
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
    let wanted = std::env::var_os(FILTER).unwrap_or_default();
    let (filter, fault) = filter(&wanted.to_string_lossy());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || Lines(outlet))
        .with_ansi(io::stderr().is_terminal());
    let format = std::env::var_os(FORMAT).unwrap_or_default();
    let started = if format == "json" {
        log.json().with_ansi(false).flatten_event(true).try_init()
    } else {
        log.try_init()
    };
    if let (Ok(()), Some(error)) = (started, fault) {
        tracing::warn!(%error, "{FILTER} is not a filter: expected such as \"info\"; logging at {DEFAULT}");
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

/// One event after the other, each of them in one piece.
struct Lines(&'static Outlet);

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.push(event);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The filter, and what is wrong with what was asked for.
fn filter(wanted: &str) -> (EnvFilter, Option<String>) {
    let (filter, fault) = match wanted.trim() {
        "" => (EnvFilter::new(DEFAULT), None),
        wanted => match parse(wanted) {
            Ok(filter) => (filter, None),
            Err(fault) => (EnvFilter::new(DEFAULT), Some(fault)),
        },
    };
    match WATCH.parse() {
        Ok(watch) => (filter.add_directive(watch), fault),
        Err(error) => (filter, Some(format!("{WATCH}: {error}"))),
    }
}

/// A word alone that is no level would be the name of a crate, and a misspelt level a filter that lets nothing pass.
fn parse(wanted: &str) -> Result<EnvFilter, String> {
    let is_word = |part: &&str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let mut words = wanted.split(',').map(str::trim).filter(is_word);
    let is_sound = |word: &str| word == "gateway" || word.parse::<LevelFilter>().is_ok();
    if let Some(word) = words.find(|word| !is_sound(word)) {
        return Err(format!("{word:?} is no level"));
    }
    EnvFilter::try_new(wanted).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_falls_back_to_info_and_says_so() {
        let (bad, fault) = filter("gateway=loud");
        assert_eq!(bad.to_string(), "notify=info,info");
        assert!(fault.is_some());
        for misspelt in ["warm", "info,inf0", "JSON"] {
            let (bad, fault) = filter(misspelt);
            assert_eq!(bad.to_string(), "notify=info,info");
            assert!(fault.unwrap().ends_with("is no level"));
        }
        assert!(filter("warn, gateway").1.is_none());
        let (good, fault) = filter("gateway=debug");
        assert_eq!(good.to_string(), "gateway=debug,notify=info");
        assert!(fault.is_none());
        assert_eq!(filter(" ").0.to_string(), "notify=info,info");
    }

    #[test]
    fn starting_twice_is_harmless() {
        init().unwrap();
        init().unwrap();
    }
}
