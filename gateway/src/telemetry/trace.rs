//! The gateway's own log, on stderr.
//!
//! `GATEWAY_LOG` filters it (`info`, or `warn,gateway::upstream=debug`), `GATEWAY_LOG_FORMAT=json` makes it JSON.
//! Spans are a matter of the filter too: see [`super::span`].

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::FmtSpan;

const FILTER: &str = "GATEWAY_LOG";
const FORMAT: &str = "GATEWAY_LOG_FORMAT";
const DEFAULT: &str = "info";

/// Starts logging. Once it is started, another call changes nothing.
pub fn init() {
    let wanted = std::env::var_os(FILTER).unwrap_or_default();
    let (filter, fault) = filter(&wanted.to_string_lossy());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let started = if std::env::var_os(FORMAT).is_some_and(|format| format == "json") {
        log.json().with_ansi(false).flatten_event(true).try_init()
    } else {
        log.try_init()
    };
    if let (Ok(()), Some(error)) = (started, fault) {
        tracing::warn!(%error, "{FILTER} is not a filter: expected such as \"info\"; logging at {DEFAULT}");
    }
}

/// The filter, and what is wrong with what was asked for.
fn filter(wanted: &str) -> (EnvFilter, Option<ParseError>) {
    match wanted.trim() {
        "" => (EnvFilter::new(DEFAULT), None),
        wanted => match EnvFilter::try_new(wanted) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(DEFAULT), Some(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_falls_back_to_info_and_says_so() {
        let (bad, fault) = filter("gateway=loud");
        assert_eq!(bad.to_string(), "info");
        assert!(fault.is_some());
        let (good, fault) = filter("gateway=debug");
        assert_eq!(good.to_string(), "gateway=debug");
        assert!(fault.is_none());
        assert_eq!(filter(" ").0.to_string(), "info");
    }

    #[test]
    fn starting_twice_is_harmless() {
        init();
        init();
    }
}
