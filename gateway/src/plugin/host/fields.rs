//! Edits of header fields: whether the plugin may make one, and how it is made in the exchange in hand.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::bindings::gateway::plugin::exchange::HeaderError;
use super::guest::{Guest, NAME};
use crate::exchange::Parts;
use crate::message::fields::is_own;
use crate::message::head::ResponseEdit;
use crate::message::phase::{Direction, Phase};
use crate::plugin::limits::{FIELD, FIELDS, WRITTEN};

/// Bytes of one field value.
const VALUE: usize = 64 << 10;

/// What an edit does with the fields of its name.
#[derive(Debug)]
pub(super) enum FieldEdit {
    Set(HeaderValue),
    Append(HeaderValue),
    Remove,
}

impl FieldEdit {
    pub(super) fn set(value: &[u8]) -> Result<Self, HeaderError> {
        field_value(value).map(Self::Set)
    }

    pub(super) fn append(value: &[u8]) -> Result<Self, HeaderError> {
        field_value(value).map(Self::Append)
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Set(value) | Self::Append(value) => value.len(),
            Self::Remove => 0,
        }
    }
}

impl Guest {
    /// Makes an edit if the plugin may make it.
    pub(super) fn edit_field(
        &mut self,
        message: Direction,
        name: &[u8],
        edit: impl FnOnce() -> Result<FieldEdit, HeaderError>,
    ) -> Result<(), HeaderError> {
        let name = match self.names[message as usize].get(name) {
            Some(known) => known,
            None => self.editable(message, name)?,
        };
        self.edit(message, name, edit()?)
    }

    /// The name of a field that the plugin may edit; it is known from then on.
    fn editable(&mut self, message: Direction, name: &[u8]) -> Result<HeaderName, HeaderError> {
        let field = field_name(name).map_err(|error| self.forbid_field(name, error))?;
        let grants = &self.shared.plugin.grants;
        let (writes, kind, side, key) = match message {
            Direction::Request => {
                let writes = &grants.write_request_headers;
                (writes, "request_field", "request", "request_headers.write")
            }
            Direction::Response => {
                let writes = &grants.write_response_headers;
                (
                    writes,
                    "response_field",
                    "response",
                    "response_headers.write",
                )
            }
        };
        if !writes.covers(field.as_str()) {
            let shown = self.shared.words.line(field.as_str(), NAME);
            self.deny(
                kind,
                format_args!("it writes the {side} field {shown}"),
                key,
                Some(&format!("\"{shown}\"")),
            );
            return Err(HeaderError::Denied);
        }
        self.names[message as usize].keep(name, &field);
        Ok(field)
    }

    /// Whether the exchange has room for so many more bytes.
    fn may_write(&mut self, bytes: usize) -> bool {
        let Some(exchange) = self.exchange.get_mut() else {
            return true;
        };
        let written = exchange.written.saturating_add(bytes + FIELD);
        let fits = written <= WRITTEN;
        if fits {
            exchange.written = written;
        }
        fits
    }

    /// Makes an edit of a field that the plugin may edit.
    fn edit(
        &mut self,
        message: Direction,
        name: HeaderName,
        edit: FieldEdit,
    ) -> Result<(), HeaderError> {
        if !self.may_write(name.as_str().len() + edit.bytes()) {
            let what =
                format_args!("it writes more than {WRITTEN} bytes of fields in one exchange");
            self.forbid("fields", what);
            return Err(HeaderError::Denied);
        }
        match message {
            Direction::Request => {
                let exchange = self.in_phase(Phase::Request).ok_or(HeaderError::Denied)?;
                exchange.request.edited.push(name.clone());
                edit_request(&mut exchange.request.headers, name, edit)
            }
            Direction::Response => {
                let exchange = self.exchange.get_mut().ok_or(HeaderError::Denied)?;
                let edit = match edit {
                    FieldEdit::Set(value) => ResponseEdit::Set(name, value),
                    FieldEdit::Append(value) => ResponseEdit::Append(name, value),
                    FieldEdit::Remove => ResponseEdit::Remove(name),
                };
                edit_response(exchange, edit)
            }
        }
    }
}

fn edit_request(
    headers: &mut HeaderMap,
    name: HeaderName,
    edit: FieldEdit,
) -> Result<(), HeaderError> {
    match edit {
        FieldEdit::Set(value) => {
            headers
                .try_insert(name, value)
                .map_err(|_| HeaderError::Denied)?;
        }
        FieldEdit::Append(_) if headers.len() >= FIELDS => return Err(HeaderError::Denied),
        FieldEdit::Append(value) => {
            headers
                .try_append(name, value)
                .map_err(|_| HeaderError::Denied)?;
        }
        FieldEdit::Remove => {
            headers.remove(name);
        }
    }
    Ok(())
}

/// Applies an edit of the response at once, or keeps it until there is a response.
pub(super) fn edit_response(exchange: &mut Parts, edit: ResponseEdit) -> Result<(), HeaderError> {
    exchange.touch();
    match (exchange.phase, &mut exchange.response.head) {
        (Phase::Response, Some(head)) => {
            if head.headers.len() >= FIELDS
                && matches!(edit, ResponseEdit::Append(..) | ResponseEdit::Set(..))
            {
                return Err(HeaderError::Denied);
            }
            head.apply(edit);
            Ok(())
        }
        (Phase::Request, _) if exchange.response.edits.len() < FIELDS => {
            exchange.response.edits.push(edit);
            Ok(())
        }
        _ => Err(HeaderError::Denied),
    }
}

/// A name that a plugin may edit.
fn field_name(name: &[u8]) -> Result<HeaderName, HeaderError> {
    if name.starts_with(b":") {
        return Err(HeaderError::Denied);
    }
    let name = HeaderName::from_bytes(name).map_err(|_| HeaderError::InvalidName)?;
    if is_own(name.as_str()) {
        Err(HeaderError::Denied)
    } else {
        Ok(name)
    }
}

fn field_value(value: &[u8]) -> Result<HeaderValue, HeaderError> {
    if value.len() > VALUE {
        return Err(HeaderError::InvalidValue);
    }
    HeaderValue::from_bytes(value).map_err(|_| HeaderError::InvalidValue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::fields;

    #[test]
    fn the_gateways_own_fields_and_smuggled_bytes_are_no_edits() {
        for (name, words) in fields::vectors() {
            for name in [name.to_owned(), name.to_ascii_uppercase()] {
                let denied = matches!(field_name(name.as_bytes()), Err(HeaderError::Denied));
                assert_eq!(denied, words.contains(&"own"), "{name}");
            }
        }
        for name in ["", "a b", "a\r\nb", "a:b", "\u{e9}"] {
            assert!(
                matches!(field_name(name.as_bytes()), Err(HeaderError::InvalidName)),
                "{name:?}"
            );
        }
        for value in ["a\r\nb: c", "a\0", "a\nb"] {
            assert!(
                matches!(
                    field_value(value.as_bytes()),
                    Err(HeaderError::InvalidValue)
                ),
                "{value:?}"
            );
        }
        assert!(
            field_value(&[0xff, 0xe9]).is_ok(),
            "bytes that are no text are a value"
        );
        assert!(field_value(&vec![b'a'; VALUE + 1]).is_err());
    }
}
