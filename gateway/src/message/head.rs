//! The head of a response, and edits of it.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// Status and header fields of a response.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
}

/// Whether this is a status of HTTP (RFC 9110, section 15): 100 to 599.
pub fn is_sound(status: StatusCode) -> bool {
    status.as_u16() < 600
}

/// An edit that waits for the response.
#[derive(Debug, Clone)]
pub enum ResponseEdit {
    /// Replaces the status.
    Status(StatusCode),
    /// Replaces every field of the name.
    Set(HeaderName, HeaderValue),
    /// Adds a field.
    Append(HeaderName, HeaderValue),
    /// Removes every field of the name.
    Remove(HeaderName),
}

impl ResponseHead {
    /// Applies one edit.
    pub fn apply(&mut self, edit: ResponseEdit) {
        match edit {
            ResponseEdit::Status(status) => self.status = status,
            ResponseEdit::Set(name, value) => {
                self.headers.insert(name, value);
            }
            ResponseEdit::Append(name, value) => {
                self.headers.append(name, value);
            }
            ResponseEdit::Remove(name) => {
                self.headers.remove(name);
            }
        }
    }
}
