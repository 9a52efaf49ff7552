//! What a plugin tells its operators: log lines and metrics.

/// Lines of the gateway's log: `log::info!("text {x}")`, or with fields before a semicolon,
/// `log::info!(user = name, tries = n; "text")`. Plugin, route and request are added by the gateway.
pub mod log {
    use crate::{Level, host};

    #[doc(inline)]
    pub use crate::{
        __log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace,
        __log_warn as warn,
    };

    /// Writes one line; the macros of this module end here. A phase has 32 lines of 16 KiB together.
    pub fn line(level: Level, message: &str, fields: &[(&str, &str)]) {
        host::log(level, message, fields);
    }
}

/// Numbers that the gateway publishes, with the plugin's name as the label `plugin`.
///
/// A name, of a metric or a label, is ASCII letters, digits and `_`, does not begin with a digit, and has at most 128
/// bytes. That of a metric does not end with `_total`, `_bucket`, `_sum`, `_count` or `_created`, which are the ends of
/// published lines, and is a counter or a histogram, not both, whichever plugins use it. There are at most 8 labels, and a value of one has at most 128 bytes. The gateway drops what is not so; in a
/// test a name that is not so is a panic. Each combination of values is a series that is kept for ever: what a client
/// can choose freely does not belong into a label.
pub mod metrics {
    use crate::host;

    /// Adds to the counter `gateway_custom_<name>_total`.
    pub fn count(name: &str, labels: &[(&str, &str)], by: u64) {
        host::count(name, labels, by);
    }

    /// Adds an observation to the histogram `gateway_custom_<name>`; by convention a time is in seconds and the name
    /// says so (`quote_seconds`). What is not finite is dropped, and a sum stays finite.
    pub fn observe(name: &str, labels: &[(&str, &str)], value: f64) {
        host::observe(name, labels, value);
    }
}

/// One line at a level: text, or fields and text.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_line {
    ($level:ident, $($field:ident = $value:expr),+ $(,)? ; $($text:tt)+) => {
        $crate::log::line(
            $crate::Level::$level,
            &::std::format!($($text)+),
            &[$((::std::stringify!($field), ::std::string::ToString::to_string(&$value).as_str())),+],
        )
    };
    ($level:ident, $($text:tt)+) => {
        $crate::log::line($crate::Level::$level, &::std::format!($($text)+), &[])
    };
}

/// Logs a line that is there for every step.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_trace {
    ($($line:tt)+) => { $crate::__log_line!(Trace, $($line)+) };
}

/// Logs a line for the search for a fault.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_debug {
    ($($line:tt)+) => { $crate::__log_line!(Debug, $($line)+) };
}

/// Logs a line that is worth it in normal operation.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_info {
    ($($line:tt)+) => { $crate::__log_line!(Info, $($line)+) };
}

/// Logs that something is not as it should be, and the request went on.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_warn {
    ($($line:tt)+) => { $crate::__log_line!(Warn, $($line)+) };
}

/// Logs that something failed.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_error {
    ($($line:tt)+) => { $crate::__log_line!(Error, $($line)+) };
}
