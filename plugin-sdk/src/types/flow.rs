//! How a phase ends: go on, answer, or fail.

use super::answer::Answer;

/// A plugin's own failure. Text and every [`std::error::Error`] turn into it by `?` or `.into()`.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a phase returns; by itself, `Result` is a phase's end.
pub type Result<T = Flow, E = Error> = std::result::Result<T, E>;

/// How a request or response phase ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on: to the next plugin, and after the last one to the upstream (or to the client).
    Next,
    /// Answer the client with this. In `on_request`, later plugins do not see the request; in `on_response`, it
    /// replaces the response whole.
    Respond(Answer),
}

impl From<Answer> for Flow {
    fn from(answer: Answer) -> Self {
        Self::Respond(answer)
    }
}
