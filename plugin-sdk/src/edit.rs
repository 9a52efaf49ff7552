//! Several edits of header fields in one call of the gateway: a call costs more than an edit does.

use std::fmt;

use crate::HeaderError;

/// One edit of a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderEdit<'a> {
    /// Replaces every field of the name by one.
    Set(&'a str, &'a [u8]),
    /// Adds a field and keeps those of the same name.
    Append(&'a str, &'a [u8]),
    /// Removes every field of the name.
    Remove(&'a str),
}

/// The first of several edits that was not made. Those before it were, those after it were not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditError {
    /// Its place among the edits, from 0.
    pub at: usize,
    /// Why it was not made.
    pub why: HeaderError,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header edit {}: {}", self.at, self.why)
    }
}

impl std::error::Error for EditError {}
