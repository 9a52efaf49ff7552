//! The spanned tree that all files become: TOML values that know where they stand, with `${NAME}` and
//! `{ file = ".." }` already in place.

use std::borrow::Cow;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::mask::{hidden, sounds_secret};
use super::scope::{Location, Scope};
use super::units::Secret;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Location,
    /// If it came out of the environment, a file or `[secrets]`: no message and no dump shows it.
    pub(super) outside: Option<Outside>,
    pub(super) value: Value,
}

/// Of a value that does not stand in the file itself.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    /// How it was written: what messages may show.
    pub(super) written: String,
    /// The file that it is the content of.
    pub(super) file: Option<PathBuf>,
    /// What came from outside: the value, or pieces of it.
    pub(super) values: Vec<Secret>,
    /// What it came out of.
    pub(super) source: Source,
}

/// What a value came out of that does not stand in the file itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The environment and `[secrets]`.
    Variables {
        /// Variables that are set.
        set: Vec<String>,
        /// Variables whose default stands in the file.
        absent: Vec<String>,
        /// Names of `[secrets]`.
        secrets: Vec<String>,
    },
    /// A file, by its path as it is written.
    File(String),
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    /// A text with `${secrets.NAME}` in it, which the configuration of a plugin alone may have.
    Holes(Vec<Piece>),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Datetime(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// Could not be had (an unset variable, say); that fault is already reported.
    Broken,
}

/// A piece of a text with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// `${secrets.NAME}`, by its name.
    Secret(String),
}

impl Piece {
    /// The name of the secret that it stands for.
    pub(super) fn secret(&self) -> Option<String> {
        match self {
            Self::Text(_) => None,
            Self::Secret(name) => Some(name.clone()),
        }
    }
}

/// One key of a table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Location,
    pub(super) node: Node,
}

/// `parent.name`, quoted as TOML would want it.
pub(super) fn join(parent: &str, name: &str) -> String {
    let name = quoted(name);
    // Called several times for each value: no formatting.
    let mut key = String::with_capacity(parent.len() + 1 + name.len());
    key.push_str(parent);
    if !parent.is_empty() {
        key.push('.');
    }
    key.push_str(&name);
    key
}

/// `list[index]`
pub(super) fn at(list: &str, index: usize) -> String {
    let index = index.to_string();
    [list, "[", &index, "]"].concat()
}

/// The key of a value by what it is in, of which few values need the text.
#[derive(Debug)]
pub(super) enum Key<'a> {
    Whole(&'a str),
    Field(&'a Key<'a>, &'a str),
    Item(&'a Key<'a>, usize),
}

impl Key<'_> {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Whole(key) => (*key).to_owned(),
            Self::Field(of, name) => join(&of.text(), name),
            Self::Item(of, index) => at(&of.text(), *index),
        }
    }
}

/// A name as TOML would want it in a key.
pub(super) fn quoted(name: &str) -> Cow<'_, str> {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match !name.is_empty() && name.bytes().all(is_bare) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(format!("{name:?}")),
    }
}

impl Node {
    /// What it is, for "found ..". Never shows what came from outside.
    pub(super) fn describe(&self) -> String {
        if let Some(outside) = &self.outside {
            return format!("the value of {}", outside.written);
        }
        match &self.value {
            Value::Text(text) => format!("the string {text:?}"),
            Value::Integer(number) => format!("the number {number}"),
            Value::Float(number) => format!("the number {number:?}"),
            Value::Bool(value) => value.to_string(),
            Value::Datetime(value) => format!("the date {value}"),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
            Value::Holes(_) | Value::Broken => "nothing".to_owned(),
        }
    }

    /// See [`super::item::Item::subject`].
    pub(super) fn subject(&self) -> String {
        let outside = self.outside.as_ref();
        outside.map_or_else(String::new, |it| format!("the value of {} ", it.written))
    }

    /// As JSON, whole: what a plugin gets.
    pub(super) fn json(&self) -> Json {
        match &self.value {
            Value::Text(text) | Value::Datetime(text) => Json::from(text.as_str()),
            Value::Integer(number) => Json::from(*number),
            Value::Float(number) => Json::from(*number),
            Value::Bool(value) => Json::from(*value),
            Value::List(items) => items.iter().map(Self::json).collect(),
            Value::Table(fields) => Json::Object(
                fields
                    .iter()
                    .map(|field| (field.key.clone(), field.node.json()))
                    .collect(),
            ),
            Value::Holes(_) | Value::Broken => Json::Null,
        }
    }

    /// Whether something that is not set stands here or below.
    pub(super) fn is_unset(&self, scope: &Scope) -> bool {
        if !scope.has_stand_ins() {
            return false;
        }
        let outside = self.outside.iter().flat_map(|outside| &outside.values);
        let mut values = outside.map(Secret::reveal);
        values.any(|value| scope.is_stand_in(value))
            || match &self.value {
                Value::List(items) => items.iter().any(|item| item.is_unset(scope)),
                Value::Table(fields) => fields.iter().any(|field| field.node.is_unset(scope)),
                _ => false,
            }
    }

    /// As JSON, with what came from outside as `"***"`.
    pub(super) fn masked(&self) -> Json {
        self.mask(false)
    }

    /// Like [`Node::masked`], and of what stands under a key that sounds like a credential no text is shown either.
    pub(super) fn masked_by_name(&self) -> Json {
        self.mask(true)
    }

    fn mask(&self, by_name: bool) -> Json {
        if self.outside.is_some() {
            return Json::from("***");
        }
        match &self.value {
            Value::List(items) => items.iter().map(|item| item.mask(by_name)).collect(),
            Value::Table(fields) => {
                let mut shown = Map::new();
                for field in fields {
                    let value = match &field.node.value {
                        // To JSON it is a text.
                        Value::Datetime(_) => field.node.masked(),
                        _ if by_name && sounds_secret(&field.key) => hidden(field.node.mask(true)),
                        _ => field.node.mask(by_name),
                    };
                    shown.insert(field.key.clone(), value);
                }
                Json::Object(shown)
            }
            _ => self.json(),
        }
    }
}
