//! Panics as lines of the log: the standard library's own report would wait for the reader of stderr.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::thread;

use super::outlet::Outlet;
use crate::message::text::Line;

/// Logs every panic from now on. `RUST_BACKTRACE` adds where it came from.
pub(super) fn log(outlet: &'static Outlet) {
    std::panic::set_hook(Box::new(move |panic| {
        let backtrace = Backtrace::capture();
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        let message = Line(message(panic)).to_string();
        let place = panic.location().map(ToString::to_string);
        tracing::error!(
            thread = name,
            place = place.unwrap_or_default(),
            "panicked: {message}"
        );
        if backtrace.status() == BacktraceStatus::Captured {
            outlet.push(backtrace.to_string().as_bytes());
        }
        // The end of the main thread is that of the process.
        if name == "main" {
            outlet.flush();
        }
    }));
}

fn message<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    panic.payload_as_str().unwrap_or("without a message")
}
