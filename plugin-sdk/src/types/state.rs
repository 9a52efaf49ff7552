//! Why the state store did not do what it was asked for.

use std::fmt;

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The store cannot be reached; the text says why.
    Unavailable(String),
    /// A key over 1 KiB, a value over 1 MiB or over the plugin's share, or a number to increment that is none.
    TooLarge,
    /// The value was not the expected one.
    Conflict,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the state store is unavailable: {why}"),
            Self::TooLarge => {
                f.write_str("a key over 1 KiB, a value over 1 MiB, or not a number to increment")
            }
            Self::Conflict => f.write_str("the value was not the expected one"),
        }
    }
}

impl std::error::Error for Error {}
