//! Edits of header fields. Constant ones are one call of the host together; a template reads what fills it first.

use std::fmt;

use gateway_plugin_sdk::template::{Source, Template};
use gateway_plugin_sdk::{
    ConfigError, Edit as SdkEdit, EditError, EditKind, HeaderError, Request, Response, Wants, log,
};

use crate::config::{HeaderConfig, Values};
use crate::names;

/// The edits of one side in the order that they are made.
#[derive(Debug)]
pub(crate) struct HeaderEdits {
    side: Message,
    edits: Vec<Edit>,
    /// Whether they need nothing of the exchange: then all of them are one call of the host.
    are_constant: bool,
}

/// The message whose fields are edited.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message {
    Request,
    Response,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Response => "response",
        })
    }
}

#[derive(Debug)]
enum Edit {
    Remove(String),
    Rename { from: String, to: String },
    Set(String, Value),
    Append(String, Value),
    AppendIfAbsent(String, Vec<Value>),
}

#[derive(Debug)]
enum Value {
    Constant(Vec<u8>),
    Filled(Template),
}

/// Why the edits of a request stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What filled a template may not stand in this field.
    BadValue(String),
    /// The gateway refused the edit; the text says which and why.
    Refused(String),
}

type Fields = Vec<(String, Vec<u8>)>;
/// One more name that is needed.
type Need = fn(Wants, &str) -> Wants;

/// The header fields of either side, and the request that fills templates.
trait Side {
    fn read(&self, source: &Source) -> Option<Vec<u8>>;
    fn value(&self, name: &str) -> Option<Vec<u8>>;
    fn all(&self) -> Fields;
    fn set(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError>;
    fn append(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError>;
    fn remove(&mut self, name: &str) -> Result<(), HeaderError>;
}

impl HeaderEdits {
    /// Checks the edits of the table at `side`.
    pub(crate) fn check(
        side: Message,
        config: HeaderConfig,
        faults: &mut Vec<ConfigError>,
    ) -> Self {
        let mut edits = Vec::new();
        for (index, name) in config.remove.iter().enumerate() {
            let key = format!("{side}.remove_headers[{index}]");
            edits.extend(names::field(&key, name, faults).map(Edit::Remove));
        }
        for (from, to) in &config.rename {
            let key = format!("{side}.rename_headers.{from}");
            let from = names::field(&key, from, faults);
            if let (Some(from), Some(to)) = (from, names::field(&key, to, faults)) {
                edits.push(Edit::Rename { from, to });
            }
        }
        for (name, text) in &config.set {
            let key = format!("{side}.set_headers.{name}");
            let name = names::field(&key, name, faults);
            if let (Some(name), Some(value)) = (name, Value::check(&key, text, faults)) {
                edits.push(Edit::Set(name, value));
            }
        }
        for (name, values) in &config.add {
            let key = format!("{side}.add_headers.{name}");
            let name = names::field(&key, name, faults);
            let values = Value::check_all(&key, values, faults);
            if let Some(name) = name {
                edits.extend(values.into_iter().map(|v| Edit::Append(name.clone(), v)));
            }
        }
        for (name, values) in &config.add_if_absent {
            let key = format!("{side}.add_headers_if_absent.{name}");
            let name = names::field(&key, name, faults);
            let values = Value::check_all(&key, values, faults);
            edits.extend(name.map(|name| Edit::AppendIfAbsent(name, values)));
        }
        let are_constant = edits.iter().all(|edit| match edit {
            Edit::Remove(_) => true,
            Edit::Set(_, value) | Edit::Append(_, value) => matches!(value, Value::Constant(_)),
            Edit::Rename { .. } | Edit::AppendIfAbsent(..) => false,
        });
        Self {
            side,
            edits,
            are_constant,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// What the grants must cover.
    pub(crate) fn needs(&self, mut wants: Wants) -> Wants {
        let (reads, writes): (Need, Need) = match self.side {
            Message::Request => (
                |wants, name| wants.reads_field(name),
                |wants, name| wants.writes_field(name),
            ),
            Message::Response => (
                |wants, name| wants.reads_response_field(name),
                |wants, name| wants.writes_response_field(name),
            ),
        };
        for edit in &self.edits {
            wants = writes(wants, edit.name());
            let values = match edit {
                Edit::Rename { from, .. } => {
                    wants = writes(reads(wants, from), from);
                    &[][..]
                }
                Edit::AppendIfAbsent(name, values) => {
                    wants = reads(wants, name);
                    values
                }
                Edit::Set(_, value) | Edit::Append(_, value) => std::slice::from_ref(value),
                Edit::Remove(_) => &[],
            };
            let holes = values.iter().flat_map(|value| match value {
                Value::Filled(template) => template.holes().collect(),
                Value::Constant(_) => Vec::new(),
            });
            // Templates are filled from the request, on both ways.
            wants = holes
                .filter_map(Source::field)
                .fold(wants, Wants::reads_field);
        }
        wants
    }

    /// Whether they need nothing of the exchange.
    pub(crate) fn are_constant(&self) -> bool {
        self.are_constant
    }

    /// The edits if they need nothing of the exchange, else none.
    pub(crate) fn constant(&self) -> impl Iterator<Item = SdkEdit<'_>> {
        let [set, append, remove] = match self.side {
            Message::Request => [
                EditKind::SetRequestHeader,
                EditKind::AppendRequestHeader,
                EditKind::RemoveRequestHeader,
            ],
            Message::Response => [
                EditKind::SetResponseHeader,
                EditKind::AppendResponseHeader,
                EditKind::RemoveResponseHeader,
            ],
        };
        let edits = if self.are_constant {
            &self.edits[..]
        } else {
            &[]
        };
        edits.iter().filter_map(move |edit| match edit {
            Edit::Remove(name) => Some(SdkEdit::new(remove, name, &[])),
            Edit::Set(name, Value::Constant(value)) => Some(SdkEdit::new(set, name, value)),
            Edit::Append(name, Value::Constant(value)) => Some(SdkEdit::new(append, name, value)),
            _ => None,
        })
    }

    /// Edits the request in hand, unless [`Self::constant`] gives the edits.
    pub(crate) fn apply_to_request(&self, request: &mut Request) -> Result<(), Failure> {
        if self.are_constant {
            return Ok(());
        }
        for edit in &self.edits {
            edit.apply(request).map_err(|error| match error {
                HeaderError::InvalidValue => Failure::BadValue(edit.name().to_owned()),
                error => Failure::Refused(refused(Message::Request, edit.name(), error)),
            })?;
        }
        Ok(())
    }

    /// Edits the response in hand. A value that may not stand in a field is left out: the upstream did its work,
    /// and the client should have it.
    pub(crate) fn apply_to_response(
        &self,
        request: &Request,
        response: &mut Response,
    ) -> Result<(), String> {
        let mut back = Back { request, response };
        for edit in &self.edits {
            match edit.apply(&mut back) {
                Ok(()) => {}
                Err(HeaderError::InvalidValue) => {
                    log::warn!(field = edit.name(); "left out: its value may not stand in a field");
                }
                Err(error) => return Err(refused(Message::Response, edit.name(), error)),
            }
        }
        Ok(())
    }
}

impl Edit {
    fn name(&self) -> &str {
        match self {
            Self::Remove(name) | Self::Set(name, _) | Self::Append(name, _) => name,
            Self::AppendIfAbsent(name, _) => name,
            Self::Rename { to, .. } => to,
        }
    }

    fn apply(&self, side: &mut impl Side) -> Result<(), HeaderError> {
        match self {
            Self::Remove(name) => side.remove(name),
            Self::Set(name, Value::Constant(value)) => side.set(name, value),
            Self::Append(name, Value::Constant(value)) => side.append(name, value),
            Self::Rename { from, to } => rename(side, from, to),
            // What the client sent under the name must not pass for what should have been set.
            Self::Set(name, Value::Filled(template)) => {
                match template.bytes(|source| side.read(source)) {
                    Ok(value) => side.set(name, &value),
                    Err(_) => side.remove(name),
                }
            }
            Self::Append(name, Value::Filled(template)) => append(side, name, template),
            Self::AppendIfAbsent(name, values) => {
                if side.value(name).is_some() {
                    return Ok(());
                }
                values.iter().try_for_each(|value| match value {
                    Value::Constant(value) => side.append(name, value),
                    Value::Filled(template) => append(side, name, template),
                })
            }
        }
    }
}

fn append(side: &mut impl Side, name: &str, template: &Template) -> Result<(), HeaderError> {
    match template.bytes(|source| side.read(source)) {
        Ok(value) => side.append(name, &value),
        Err(_) => Ok(()),
    }
}

/// Moves every field of one name to another. All fields are only fetched when there is one to move.
fn rename(side: &mut impl Side, from: &str, to: &str) -> Result<(), HeaderError> {
    let Some(first) = side.value(from) else {
        return Ok(());
    };
    let all = side.all();
    side.set(to, &first)?;
    for (_, value) in all.iter().filter(|(name, _)| name == from).skip(1) {
        side.append(to, value)?;
    }
    if from == to {
        return Ok(());
    }
    side.remove(from)
}

impl Value {
    fn check(key: &str, text: &str, faults: &mut Vec<ConfigError>) -> Option<Self> {
        let template = names::value(key, text, faults)?;
        Some(match template.constant() {
            Some(text) => Self::Constant(text.trim().as_bytes().to_vec()),
            None => Self::Filled(template),
        })
    }

    fn check_all(key: &str, values: &Values, faults: &mut Vec<ConfigError>) -> Vec<Self> {
        values
            .iter()
            .filter_map(|text| Self::check(key, text, faults))
            .collect()
    }
}

impl Side for Request {
    fn read(&self, source: &Source) -> Option<Vec<u8>> {
        source.read(self)
    }

    fn value(&self, name: &str) -> Option<Vec<u8>> {
        self.header(name)
    }

    fn all(&self) -> Fields {
        self.headers()
    }

    fn set(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        self.set_header(name, value)
    }

    fn append(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        self.append_header(name, value)
    }

    fn remove(&mut self, name: &str) -> Result<(), HeaderError> {
        self.remove_header(name)
    }
}

/// The response, and the request that it answers.
struct Back<'a> {
    request: &'a Request,
    response: &'a mut Response,
}

impl Side for Back<'_> {
    fn read(&self, source: &Source) -> Option<Vec<u8>> {
        source.read(self.request)
    }

    fn value(&self, name: &str) -> Option<Vec<u8>> {
        self.response.header(name)
    }

    fn all(&self) -> Fields {
        self.response.headers()
    }

    fn set(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        self.response.set_header(name, value)
    }

    fn append(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        self.response.append_header(name, value)
    }

    fn remove(&mut self, name: &str) -> Result<(), HeaderError> {
        self.response.remove_header(name)
    }
}

/// Why several constant edits stopped.
pub(crate) fn stopped(edits: &[SdkEdit<'_>], error: EditError) -> String {
    let edit = &edits[error.at];
    let side = match edit.kind() {
        EditKind::SetRequestHeader
        | EditKind::AppendRequestHeader
        | EditKind::RemoveRequestHeader => Message::Request,
        _ => Message::Response,
    };
    refused(side, edit.name(), error.why)
}

fn refused(side: Message, name: &str, error: HeaderError) -> String {
    match error {
        HeaderError::Denied => format!(
            "the edit of the {side} field `{name}` is denied: add it to grants.{side}_headers.write of this plugin"
        ),
        error => format!("the edit of the {side} field `{name}`: {error}"),
    }
}
