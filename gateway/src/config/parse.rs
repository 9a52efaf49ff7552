//! From the text of one file to its part of the tree: the TOML parser, and what its faults are called.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand;
use super::scope::{Location, Scope};
use super::tree::{Entry, Key, Node, Value};
use crate::thread::priority::gently;

/// The parsed content of one file.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) start: Location,
    pub(super) entries: Vec<Entry>,
}

/// Parses a file; every fault that the parser can tell apart is reported.
pub(super) fn document(scope: &Scope, file: usize, source: &str) -> Option<Document> {
    let (root, errors) = DeTable::parse_recoverable(source);
    let mut last = 0;
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let at = scope.place_of(file, span.start);
        // What follows on the same line is mostly an echo of the first.
        if at.line == last {
            continue;
        }
        last = at.line;
        let is_secret = in_secrets(source.get(..span.start).unwrap_or_default());
        let found = source.get(span).filter(|_| !is_secret).unwrap_or_default();
        scope.fault(at, "", syntax(error.message(), found.trim()));
    }
    errors.is_empty().then(|| Document {
        start: Location { file, line: 1 },
        entries: entries(scope, file, &Key::Whole(""), root.get_ref()),
    })
}

/// Converts the fields of a table.
fn entries(scope: &Scope, file: usize, key: &Key<'_>, fields: &DeTable<'_>) -> Vec<Entry> {
    // `to` beside `regex` stands for a match, in a plugin's configuration too: `${name}` is a group of it.
    let names_groups = |name: &str| name == "to" && fields.contains_key("regex");
    gently(fields)
        .map(|(name, value)| Entry {
            key: name.get_ref().to_string(),
            at: scope.place_of(file, name.span().start),
            node: match value.get_ref() {
                DeValue::String(text) if names_groups(name.get_ref()) => Node {
                    at: scope.place_of(file, value.span().start),
                    outside: None,
                    value: Value::Text(text.to_string()),
                },
                _ => convert(scope, file, &Key::Field(key, name.get_ref()), value),
            },
        })
        .collect()
}

/// Converts parsed TOML, expanding strings on the way. `key` names the value in faults.
fn convert(scope: &Scope, file: usize, key: &Key<'_>, value: &Spanned<DeValue<'_>>) -> Node {
    let at = scope.place_of(file, value.span().start);
    let plain = |value| Node {
        at,
        outside: None,
        value,
    };
    match value.get_ref() {
        // Nearly all texts.
        DeValue::String(text) if !text.contains('$') => plain(Value::Text(text.to_string())),
        DeValue::String(text) => expand::text(scope, at, &key.text(), text),
        DeValue::Integer(number) => {
            plain(match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => {
                    let message = format!("{number} is too large a number");
                    scope.fault(at, &key.text(), message);
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
                .map(|(index, item)| convert(scope, file, &Key::Item(key, index), item))
                .collect(),
        )),
        DeValue::Table(fields) => match expand::file_form(fields) {
            Some(path) if !is_table(key) => expand::file(scope, at, &key.text(), path),
            _ => plain(Value::Table(entries(scope, file, key, fields))),
        },
    }
}

/// Whether a key has no value but a table of its own keys, so that a `file` alone in it is one of them, or meant as one:
/// a section, and what a section has by name or in its list.
fn is_table(key: &Key<'_>) -> bool {
    match key {
        Key::Field(Key::Whole(_), _) => true,
        Key::Field(Key::Field(Key::Whole(_), section), name) => match *section {
            "plugins" | "upstreams" => true,
            "server" => matches!(*name, "access_log" | "compile"),
            _ => false,
        },
        Key::Item(Key::Field(Key::Whole(_), section), _) => {
            matches!(*section, "listeners" | "routes")
        }
        _ => false,
    }
}

/// Whether `[secrets]` goes on after this beginning of a file: what is there is not shown, whatever it is.
fn in_secrets(before: &str) -> bool {
    let is_theirs = |text: &str| {
        text.trim_start_matches(['[', ' ', '\t'])
            .starts_with("secrets")
    };
    let line = before.rsplit('\n').next().unwrap_or_default();
    let mut lines = before.lines().rev();
    let header = lines.find(|line| line.trim_start().starts_with('['));
    is_theirs(line) || header.is_some_and(is_theirs)
}

fn syntax(message: &str, found: &str) -> String {
    let clash = message == "duplicate key" || message.starts_with("cannot extend value");
    if clash && found == "plugins" {
        return "`plugins` is both a list and the tables [plugins.NAME] here, which TOML forbids; \
                the chain that every route starts with is `chain = [..]`, above the first [table]"
            .to_owned();
    }
    if message == "duplicate key" {
        return format!("`{found}` is here a second time");
    }
    let message = message.trim_end_matches(", expected nothing");
    if found.is_empty() || found.len() > 40 || found.contains('\n') || message.contains(found) {
        return format!("not TOML: {message}");
    }
    format!("not TOML: {message}, found `{found}`")
}
