//! Why a call of a plugin came to nothing, and how it reaches the log.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wasmtime::Trap;

use crate::config::OnError;

/// The longest text of a plugin in a failure, bytes.
const WORDS: usize = 1 << 10;

/// A call that came to nothing. What the client gets is decided by the plugin's `on_error`.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// For people: what happened, and the last error the plugin logged in the same call.
    pub message: String,
}

/// What kind of failure a call met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The guest trapped: a panic, an out-of-bounds access, an `unreachable`.
    Trap,
    /// Its processor time was used up.
    Cpu,
    /// Its wall time was used up.
    Timeout,
    /// It trapped after it was refused memory.
    Memory,
    /// Its stack was used up.
    StackOverflow,
    /// It called the host more often than it may, or handed it more than it may.
    HostCalls,
    /// As many instances as it may have are in use, or the process has no room for another.
    Instances,
    /// An instance could not take the configuration.
    Configure,
    /// The plugin itself returned an error.
    Refused,
    /// A sub-request of the call went in a circle of gateways.
    Loop,
    /// The instance that held this exchange was lost in an earlier call.
    Lost,
}

impl FailureKind {
    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Cpu => "cpu",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::StackOverflow => "stack_overflow",
            Self::HostCalls => "host_calls",
            Self::Instances => "instances",
            Self::Configure => "configure",
            Self::Refused => "refused",
            Self::Loop => "loop",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    pub(super) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: one_line(&message.into()),
        }
    }

    /// Whether a plugin that failed so is skipped: never where a circle of gateways kept it from its work.
    pub fn opens(&self, on_error: OnError) -> bool {
        on_error == OnError::Open && self.kind != FailureKind::Loop
    }

    /// What a trap says. `memory_refused` tells a trap for lack of memory from any other.
    pub(super) fn from_trap(error: &wasmtime::Error, memory_refused: bool) -> Self {
        if let Some(stop) = error.downcast_ref::<Stop>() {
            return Self::new(stop.kind(), stop.to_string());
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => {
                Self::new(FailureKind::StackOverflow, "the stack was used up")
            }
            Some(_) if memory_refused => Self::new(
                FailureKind::Memory,
                "more memory was asked for than `memory` allows",
            ),
            Some(trap) => Self::new(FailureKind::Trap, trap.to_string()),
            None => {
                let cause = error.root_cause().to_string();
                // wasmtime has no public type for it.
                let kind = match cause.contains("fuel allocated for hostcalls") {
                    true => FailureKind::HostCalls,
                    false => FailureKind::Trap,
                };
                Self::new(kind, cause)
            }
        }
    }

    /// Adds what the plugin logged last at level error: a panic's message, most of the time.
    pub(super) fn with_last_words(mut self, words: Option<String>) -> Self {
        if let Some(words) = words {
            self.message.push_str(": ");
            self.message.push_str(&one_line(&words));
        }
        self
    }
}

/// A text as it may stand in a line of the log: what a plugin says can neither end the line nor fill the log.
fn one_line(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(WORDS)];
    let mut line = String::with_capacity(kept.len());
    for character in kept.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Why the host stops a guest that would go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("used {used:.1?} of CPU time where {allowed:?} are allowed; `cpu` sets that")]
    Cpu { used: Duration, allowed: Duration },
    #[error("more than {0} host calls in one call")]
    HostCalls(u32),
    #[error("a body of {0} bytes was set; `body_limit` allows {1}")]
    Body(usize, usize),
}

impl Stop {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Cpu { .. } => FailureKind::Cpu,
            Self::HostCalls(_) | Self::Body(..) => FailureKind::HostCalls,
        }
    }
}

/// Lets so many log lines through in a second and counts the rest.
#[derive(Debug)]
pub(super) struct LogGate {
    began: Instant,
    /// The second in the upper half, the lines of that second in the lower.
    window: AtomicU64,
    suppressed: AtomicU64,
}

impl LogGate {
    const PER_SECOND: u64 = 10;

    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            window: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// `Some` if a line may be written now, with how many were not since the last one.
    pub(super) fn pass(&self) -> Option<u64> {
        let second = self.began.elapsed().as_secs() & 0xffff_ffff;
        let update = self
            .window
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |window| {
                let lines = if window >> 32 == second {
                    window & 0xffff_ffff
                } else {
                    0
                };
                (lines < Self::PER_SECOND).then_some(second << 32 | (lines + 1))
            });
        if update.is_ok() {
            Some(self.suppressed.swap(0, Ordering::Relaxed))
        } else {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_says_is_one_line_of_bounded_length() {
        let failure = Failure::new(FailureKind::Refused, "a\nERROR forged\u{1b}[0m")
            .with_last_words(Some("\u{e9}".repeat(1 << 20)));
        assert!(
            failure
                .message
                .starts_with("a\\nERROR forged\\u{1b}[0m: \u{e9}")
        );
        assert!(failure.message.len() < 2 * WORDS);
    }

    #[test]
    fn a_flood_of_lines_is_cut_and_counted() {
        let gate = LogGate::new();
        let passed = (0..100).filter(|_| gate.pass().is_some()).count();
        assert!(
            passed <= 2 * LogGate::PER_SECOND as usize,
            "{passed} lines passed"
        );
        assert!(gate.suppressed.load(Ordering::Relaxed) > 0);
    }
}
