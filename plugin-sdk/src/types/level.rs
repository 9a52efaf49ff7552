//! How much a line of the log matters.

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step.
    Trace,
    /// For the search for a fault.
    Debug,
    /// Worth a line in normal operation.
    Info,
    /// Something is not as it should be, and the request went on.
    Warn,
    /// Something failed.
    Error,
}
