//! Several edits of the exchange in one call of the gateway: a call costs more than an edit does.

use std::fmt;

/// One edit of the exchange: what the method of that name of [`Request`](crate::Request),
/// [`ResponseEdits`](crate::ResponseEdits) or [`Response`](crate::Response) does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Edit<'a> {
    pub(crate) kind: EditKind,
    pub(crate) name: &'a str,
    pub(crate) value: &'a [u8],
}

/// What an edit does; in the order of `edits` in `wit/plugin.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditKind {
    /// Replaces every request field of the name by one.
    SetRequestHeader,
    /// Adds a request field and keeps those of the same name.
    AppendRequestHeader,
    /// Removes every request field of the name.
    RemoveRequestHeader,
    /// Replaces every response field of the name by one.
    SetResponseHeader,
    /// Adds a response field and keeps those of the same name.
    AppendResponseHeader,
    /// Removes every response field of the name.
    RemoveResponseHeader,
    /// Leaves a fact.
    SetAttribute,
}

impl<'a> Edit<'a> {
    /// Replaces every request field of that name by one.
    #[must_use]
    pub const fn set_header(name: &'a str, value: &'a [u8]) -> Self {
        Self::new(EditKind::SetRequestHeader, name, value)
    }

    /// Adds a request field and keeps those of the same name.
    #[must_use]
    pub const fn append_header(name: &'a str, value: &'a [u8]) -> Self {
        Self::new(EditKind::AppendRequestHeader, name, value)
    }

    /// Removes every request field of that name.
    #[must_use]
    pub const fn remove_header(name: &'a str) -> Self {
        Self::new(EditKind::RemoveRequestHeader, name, &[])
    }

    /// Replaces every response field of that name by one; in `on_request` it waits for the response.
    #[must_use]
    pub const fn set_response_header(name: &'a str, value: &'a [u8]) -> Self {
        Self::new(EditKind::SetResponseHeader, name, value)
    }

    /// Adds a response field and keeps those of the same name; waits as above.
    #[must_use]
    pub const fn append_response_header(name: &'a str, value: &'a [u8]) -> Self {
        Self::new(EditKind::AppendResponseHeader, name, value)
    }

    /// Removes every response field of that name; waits as above.
    #[must_use]
    pub const fn remove_response_header(name: &'a str) -> Self {
        Self::new(EditKind::RemoveResponseHeader, name, &[])
    }

    /// Leaves a fact for later plugins, the access log and the later phases of this plugin.
    #[must_use]
    pub const fn set_attribute(name: &'a str, value: &'a str) -> Self {
        Self::new(EditKind::SetAttribute, name, value.as_bytes())
    }

    /// An edit of that kind; `value` means nothing to those that remove.
    #[must_use]
    pub const fn new(kind: EditKind, name: &'a str, value: &'a [u8]) -> Self {
        Self { kind, name, value }
    }

    /// What it does.
    #[must_use]
    pub const fn kind(&self) -> EditKind {
        self.kind
    }

    /// The name of the field or attribute.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Its new value; empty where it removes.
    #[must_use]
    pub const fn value(&self) -> &'a [u8] {
        self.value
    }
}

impl fmt::Debug for Edit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = String::from_utf8_lossy(self.value);
        write!(f, "{:?}({:?}, {value:?})", self.kind, self.name)
    }
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
        write!(f, "edit {}: {}", self.at, self.why)
    }
}

impl std::error::Error for EditError {}

/// Why an edit was not made. The request goes on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Not a field name, method or path in the grammar of RFC 9110.
    InvalidName,
    /// CR, LF, NUL or another byte that may not stand in the value.
    InvalidValue,
    /// A field that is the gateway's own (`host`, framing, hop-by-hop), or that the plugin's grants do not cover,
    /// or an edit in a phase that allows none.
    Denied,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidName => "not a field name, method or path in the grammar of RFC 9110",
            Self::InvalidValue => "a byte that may not stand in a field value",
            Self::Denied => {
                "the edit is denied: the field is the gateway's own, or the grants do not cover it"
            }
        })
    }
}

impl std::error::Error for HeaderError {}
