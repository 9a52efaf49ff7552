//! The spanned tree that all files become: TOML values that know where they stand, with `${NAME}` and
//! `{ file = ".." }` already in place.

use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand;
use super::source::Scope;

/// A line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file, by index into the scope.
    pub(super) file: usize,
    /// The line, from 1.
    pub(super) line: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Place,
    /// How it was written, if it came out of the environment or a file: what messages and dumps may show.
    pub(super) written: Option<String>,
    pub(super) value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Datetime(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// Could not be had (an unset variable, say); that fault is already reported.
    Broken,
}

/// One key of a table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Place,
    pub(super) node: Node,
}

/// Converts parsed TOML, expanding strings on the way. `key` names the value in faults.
pub(super) fn convert(scope: &Scope, file: usize, key: &str, value: &Spanned<DeValue<'_>>) -> Node {
    let at = scope.place_of(file, value.span().start);
    let plain = |value| Node {
        at,
        written: None,
        value,
    };
    match value.get_ref() {
        DeValue::String(text) => expand::text(scope, at, key, text),
        DeValue::Integer(number) => {
            plain(match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => {
                    let message = format!("{number} is too large a number");
                    scope.fault(at, key, message);
                    Value::Broken
                }
            })
        }
        DeValue::Float(number) => plain(Value::Float(
            number.as_str().parse().unwrap_or(f64::INFINITY),
        )),
        DeValue::Boolean(value) => plain(Value::Bool(*value)),
        DeValue::Datetime(value) => plain(Value::Datetime(value.to_string())),
        DeValue::Array(items) => plain(Value::List(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| convert(scope, file, &format!("{key}[{index}]"), item))
                .collect(),
        )),
        DeValue::Table(fields) => match expand::file_form(fields) {
            Some(path) => expand::file(scope, at, key, path),
            None => plain(Value::Table(entries(scope, file, key, fields))),
        },
    }
}

/// Converts the fields of a table.
pub(super) fn entries(scope: &Scope, file: usize, key: &str, fields: &DeTable<'_>) -> Vec<Entry> {
    fields
        .iter()
        .map(|(name, value)| Entry {
            key: name.get_ref().to_string(),
            at: scope.place_of(file, name.span().start),
            node: convert(scope, file, &join(key, name.get_ref()), value),
        })
        .collect()
}

/// `parent.name`, quoted as TOML would want it.
pub(super) fn join(parent: &str, name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let name = if bare {
        name.to_owned()
    } else {
        format!("{name:?}")
    };
    if parent.is_empty() {
        name
    } else {
        format!("{parent}.{name}")
    }
}

impl Node {
    /// What it is, for "found ..". Never shows what came out of the environment or a file.
    pub(super) fn describe(&self) -> String {
        if let Some(written) = &self.written {
            return format!("the value of {written}");
        }
        match &self.value {
            Value::Text(text) => format!("the string {text:?}"),
            Value::Integer(number) => format!("the number {number}"),
            Value::Float(number) => format!("the number {number:?}"),
            Value::Bool(value) => value.to_string(),
            Value::Datetime(value) => format!("the date {value}"),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
            Value::Broken => "nothing".to_owned(),
        }
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
            Value::Broken => Json::Null,
        }
    }

    /// As JSON, with what came out of the environment or a file as `"***"`.
    pub(super) fn masked(&self) -> Json {
        self.mask(false)
    }

    /// Like [`Node::masked`], and everything under a key that sounds like a credential is `"***"` as well,
    /// strings, lists and tables alike (a table may have the credentials as its keys).
    pub(super) fn masked_by_name(&self) -> Json {
        self.mask(true)
    }

    fn mask(&self, by_name: bool) -> Json {
        if self.written.is_some() {
            return Json::from("***");
        }
        match &self.value {
            Value::List(items) => items.iter().map(|item| item.mask(by_name)).collect(),
            Value::Table(fields) => {
                let mut shown = Map::new();
                for field in fields {
                    let hide = by_name && sounds_secret(&field.key) && !field.node.is_scalar();
                    let value = if hide {
                        Json::from("***")
                    } else {
                        field.node.mask(by_name)
                    };
                    shown.insert(field.key.clone(), value);
                }
                Json::Object(shown)
            }
            _ => self.json(),
        }
    }

    fn is_scalar(&self) -> bool {
        matches!(
            self.value,
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) | Value::Datetime(_)
        )
    }
}

/// Whether a value under this key had better not be shown. `header = "x-api-key"` stays: the key counts, not
/// the value.
fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    [
        "secret",
        "passw",
        "token",
        "key",
        "credential",
        "authorization",
        "cookie",
    ]
    .iter()
    .any(|word| key.contains(word))
}
