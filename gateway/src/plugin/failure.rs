//! Why a call of a plugin came to nothing, and how it reaches the log.

use std::fmt;
use std::time::{Duration, Instant};

use wasmtime::Trap;

use super::words::Words;
use crate::config::OnError;
use crate::message::phase::Direction;
use crate::message::text::line;

/// The longest text of a plugin in a failure, bytes.
const WORDS: usize = 1 << 10;
/// What is kept of such a text until it is shown: more, so that what must not be shown is there as a whole.
const KEPT: usize = 4 * WORDS;

/// A call that came to nothing. What the client gets is decided by the plugin's `on_error`.
#[derive(Clone)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// Apart: calls that end well hand no room for it around.
    text: Box<Text>,
}

#[derive(Clone)]
struct Text {
    /// What happened, in the gateway's words; empty where the plugin says it.
    message: String,
    /// What the plugin says: the error that it returned, or the last that it logged in the same call. Nobody has
    /// looked for secrets in it.
    said: Option<String>,
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
    /// The time of the exchange was over, by the route's `timeout`, before its own.
    Deadline,
    /// It trapped after it was refused memory.
    Memory,
    /// Its stack was used up.
    StackOverflow,
    /// It called the host more often than it may, or handed it more than it may.
    HostCalls,
    /// All instances together have as much memory as they may.
    NoRoom,
    /// As many instances as it may have are in use, or the process has no room for another.
    Instances,
    /// As many of its calls wait as may, for which no client waits.
    Crowded,
    /// An instance could not take the configuration.
    Configure,
    /// The plugin itself returned an error.
    Refused,
    /// A sub-request of the call went in a circle of gateways.
    Loop,
    /// The instance that held this exchange was lost in an earlier call.
    Lost,
    /// A body was larger than it may hold, and it was called without it.
    BodyOverflow,
    /// It made a body larger than it may.
    Grown(Direction),
    /// A body that it must read is of a type or coding that it cannot read.
    Unreadable,
}

impl FailureKind {
    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Cpu => "cpu",
            Self::Timeout => "timeout",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::StackOverflow => "stack_overflow",
            Self::HostCalls => "host_calls",
            Self::NoRoom => "no_room",
            Self::Instances => "instances",
            Self::Crowded => "crowded",
            Self::Configure => "configure",
            Self::Refused => "refused",
            Self::Loop => "loop",
            Self::Lost => "lost",
            Self::BodyOverflow => "body_overflow",
            Self::Grown(_) => "body_grown",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Without what the plugin says.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.message.as_str() {
            "" => f.write_str(self.kind.name()),
            message => write!(f, "{}: {message}", self.kind.name()),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    pub(super) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            text: Box::new(Text {
                message: line(&message.into(), WORDS),
                said: None,
            }),
        }
    }

    /// The error that a plugin returned.
    pub(super) fn returned(message: String) -> Self {
        Self::new(FailureKind::Refused, "").with_last_words(Some(message))
    }

    /// What happened, in one line: in the gateway's words, and in those of the plugin.
    pub(super) fn told(&self, words: &Words) -> String {
        let Text { message, said } = &*self.text;
        let said = said.as_deref().map(|said| words.line(said, WORDS));
        let parts = [message.as_str(), said.as_deref().unwrap_or("")];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(": ")
    }

    /// Whether a plugin that failed so is skipped: never where a circle of gateways kept it from its work, or a load
    /// that clients make.
    pub fn opens(&self, on_error: OnError) -> bool {
        let is_made_by_clients = matches!(self.kind, FailureKind::Loop | FailureKind::NoRoom);
        on_error == OnError::Open && !is_made_by_clients
    }

    /// The same, with what ended it: where the time of the exchange is over, that is why the plugin, or the upstream that
    /// it asked, did not come to an end.
    pub(super) fn by(mut self, deadline: Option<Instant>) -> Self {
        let has_waited = matches!(self.kind, FailureKind::Refused | FailureKind::Timeout);
        if has_waited && deadline.is_some_and(|end| end <= Instant::now()) {
            self.kind = FailureKind::Deadline;
        }
        self
    }

    /// Whether it is no fault of the plugin: clients bring it about, by how much they send or by how many they are, or the
    /// time of the exchange is over.
    pub(super) fn is_of_others(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::NoRoom | FailureKind::Deadline | FailureKind::Grown(Direction::Request)
        )
    }

    /// What a trap says. `refused` is why it was refused memory, if it was: then it trapped for that.
    pub(super) fn from_trap(error: &wasmtime::Error, refused: Option<Self>) -> Self {
        if let Some(stop) = error.downcast_ref::<Stop>() {
            return Self::new(stop.kind(), stop.to_string());
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => {
                Self::new(FailureKind::StackOverflow, "the stack was used up")
            }
            Some(trap) => refused.unwrap_or_else(|| Self::new(FailureKind::Trap, trap.to_string())),
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
        self.text.said = words.map(kept).or(self.text.said.take());
        self
    }
}

/// As much of a plugin's words as is kept until they are shown.
pub(super) fn kept(mut words: String) -> String {
    words.truncate(words.floor_char_boundary(KEPT));
    words
}

/// Why the host stops a guest that would go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("used {used:.1?} of CPU time where {allowed:?} are allowed; `cpu` sets that")]
    Cpu { used: Duration, allowed: Duration },
    #[error("more than {0} host calls in one call")]
    HostCalls(u32),
    #[error("a body of {1} bytes was set; `body_limit` allows {2}")]
    Body(Direction, usize, usize),
    #[error("more than {0} edits, or {1} bytes of them, in one call of the host")]
    Edits(usize, usize),
}

impl Stop {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Cpu { .. } => FailureKind::Cpu,
            Self::HostCalls(_) | Self::Edits(..) => FailureKind::HostCalls,
            Self::Body(direction, ..) => FailureKind::Grown(*direction),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_says_is_one_line_of_bounded_length() {
        let failure = Failure::new(FailureKind::Trap, "a\nERROR forged\u{1b}[0m")
            .with_last_words(Some("\u{e9}\u{202e}".repeat(1 << 20)));
        let told = failure.told(&Words::default());
        assert!(told.starts_with("a\\nERROR forged\\u{1b}[0m: \u{e9}\\u{202e}"));
        assert!(told.len() < 4 * WORDS);
    }

    #[test]
    fn what_a_plugin_says_shows_no_secret_and_the_gateways_own_words_stay() {
        let failure = Failure::new(FailureKind::Cpu, "used 100000 ns")
            .with_last_words(Some(format!("{}100000", " ".repeat(WORDS - 4))));
        let told = failure.told(&Words::hiding(["100000"]));
        assert!(
            told.starts_with("used 100000 ns: ") && told.ends_with("***"),
            "{told}"
        );
        assert!(!format!("{failure} {failure:?}").contains("  "));
        let returned = Failure::returned("no 100000".to_owned());
        assert_eq!(returned.told(&Words::hiding(["100000"])), "no ***");
        assert_eq!(returned.to_string(), "refused");
    }
}
