//! Predicates on values by name: `headers`, `cookies` and `query`.

use http::{HeaderName, HeaderValue};

use super::super::super::description::Words;
use super::super::super::expressions::Uncompiled;
use super::super::super::item::{Form, Item};
use super::super::super::mask;
use super::super::super::model::ValuePattern;
use super::super::super::regex::Regex;
use super::super::super::table::Table;
use super::super::super::tree::{self, Node, Value};
use crate::message::fields;

static VALUE: Words = Words {
    about: "What is to hold of the first value: one of the three.",
    keys: &[
        (
            "regex",
            "A regular expression that finds a match in the value.",
        ),
        ("present", "Whether there is to be one."),
        (
            "not",
            "What it is not to be: a string, or `{ regex = \"..\" }`. Where there is none, this holds.",
        ),
    ],
    example: "",
};

static NOT: Words = Words {
    about: "What the value is not to match.",
    keys: &[(
        "regex",
        "A regular expression that finds no match in the value.",
    )],
    example: "",
};

/// Which texts can arrive as a value, and why others cannot.
struct Arriving {
    can: fn(&str) -> bool,
    reason: &'static str,
}

static FIELD: Arriving = Arriving {
    can: |text| HeaderValue::from_str(text).is_ok() && text.trim() == text,
    reason: "can be no value of a field: it has control characters, or white space at an end",
};

static COOKIE: Arriving = Arriving {
    can: |text| (FIELD.can)(text) && !text.contains(';'),
    reason: "can be no value of a cookie: it has `;` or control characters, or white space at an end",
};

static ANY: Arriving = Arriving {
    can: |_| true,
    reason: "",
};

/// `headers`. The keys of what no message shows go to `unshown`, as for the others.
pub(super) fn headers(
    table: &mut Table<'_>,
    unshown: &mut Vec<String>,
) -> Vec<(HeaderName, ValuePattern)> {
    let expected = "a table such as { x-api-version = \"2\" }";
    let mut headers: Vec<(HeaderName, ValuePattern)> = Vec::new();
    for (entry, item) in fields(table, "headers", expected) {
        let name = match field(&entry.key) {
            Ok(name) => name,
            Err((reason, name)) => {
                item.scope.fault(entry.at, &item.key, reason);
                let Some(name) = name else { continue };
                name
            }
        };
        if headers.iter().any(|(other, _)| *other == name) {
            let message =
                format!("`{name}` is given twice: the case of a field name does not count");
            item.scope.fault(entry.at, &item.key, message);
        }
        let Some(value) = value(&item, &FIELD) else {
            continue;
        };
        hide(&entry.key, &item, format!("headers.{name}"), unshown);
        headers.push((name, value));
    }
    headers
}

/// A field name that routes may look at, or why not; the name, too, where it is one.
pub(super) fn field(name: &str) -> Result<HeaderName, (String, Option<HeaderName>)> {
    let Ok(name) = HeaderName::try_from(name) else {
        return Err((format!("`{name}` is no field name"), None));
    };
    let reason = if name == http::header::HOST {
        "the host is matched by `match.host`".to_owned()
    } else if never_arrives(name.as_str()) {
        format!("`{name}` is removed before routes are looked at, so that nothing could match")
    } else {
        return Ok(name);
    };
    Err((reason, Some(name)))
}

/// Whether a field is gone before routes are looked at. Of TE, `trailers` stays.
fn never_arrives(name: &str) -> bool {
    fields::ends_here(name) || (fields::of_connection(name).is_some() && name != "te")
}

/// `cookies`
pub(super) fn cookies(
    table: &mut Table<'_>,
    unshown: &mut Vec<String>,
) -> Vec<(String, ValuePattern)> {
    let mut cookies = Vec::new();
    for (entry, item) in fields(table, "cookies", "a table such as { canary = \"1\" }") {
        let name = &entry.key;
        let is_unfit =
            |c: char| c.is_control() || c.is_whitespace() || matches!(c, '=' | ';' | ',');
        if name.is_empty() || name.contains(is_unfit) {
            let message = match name.as_str() {
                "" => "a cookie without a name cannot be matched".to_owned(),
                name => format!("`{name}` is no name of a cookie"),
            };
            item.scope.fault(entry.at, &item.key, message);
            continue;
        }
        let Some(value) = value(&item, &COOKIE) else {
            continue;
        };
        hide(name, &item, format!("cookies.{name}"), unshown);
        cookies.push((name.clone(), value));
    }
    cookies
}

/// `query`
pub(super) fn query(
    table: &mut Table<'_>,
    unshown: &mut Vec<String>,
) -> Vec<(String, ValuePattern)> {
    let mut query = Vec::new();
    for (entry, item) in fields(table, "query", "a table such as { version = \"2\" }") {
        let Some(value) = value(&item, &ANY) else {
            continue;
        };
        hide(&entry.key, &item, format!("query.{}", entry.key), unshown);
        query.push((entry.key.clone(), value));
    }
    query
}

/// The values of a key, shown but for the texts of names that sound like credentials.
fn fields<'a>(
    table: &mut Table<'a>,
    key: &'static str,
    expected: &str,
) -> Vec<(&'a tree::Entry, Item<'a>)> {
    let Some(item) = table.item_unshown(key) else {
        return Vec::new();
    };
    table.show(key, item.node.masked_by_name());
    item.fields(expected).unwrap_or_default()
}

/// Remembers the key of a value that no message shows. Whether there is to be one is no credential.
fn hide(name: &str, item: &Item<'_>, key: String, unshown: &mut Vec<String>) {
    let value = item.node.json();
    let is_hidden = mask::sounds_secret(name) && mask::hidden(value.clone()) != value;
    if is_hidden || came_from_outside(item.node) {
        unshown.push(key);
    }
}

/// Whether the value, or one in it, came from outside of the files.
fn came_from_outside(node: &Node) -> bool {
    node.outside.is_some()
        || match &node.value {
            Value::Table(entries) => entries.iter().any(|entry| came_from_outside(&entry.node)),
            _ => false,
        }
}

/// What is to hold of a value that any text can be.
pub(in crate::config) fn any_value(item: &Item<'_>) -> Option<ValuePattern> {
    value(item, &ANY)
}

fn value(item: &Item<'_>, arriving: &Arriving) -> Option<ValuePattern> {
    let expected = "a string, { regex = \"..\" }, { present = true } or { not = \"..\" }";
    item.by_form(|form| match form {
        Form::Text => equal(item, expected, arriving),
        _ => {
            let read = |table: &mut Table<'_>| value_table(table, arriving);
            item.table(expected, read)?.0
        }
    })
}

fn value_table(table: &mut Table<'_>, arriving: &Arriving) -> Option<ValuePattern> {
    table.words(&VALUE);
    let regex = table
        .item("regex")
        .map(|item| regex(&item).map(ValuePattern::Regex));
    let present = table
        .item("present")
        .map(|item| item.bool().map(ValuePattern::Present));
    let not = table.item("not").map(|item| not(&item, arriving));
    table.only([("regex", regex), ("present", present), ("not", not)])
}

fn not(item: &Item<'_>, arriving: &Arriving) -> Option<ValuePattern> {
    let expected = "a string or { regex = \"..\" }";
    let pattern = item.by_form(|form| match form {
        Form::Text => equal(item, expected, arriving),
        _ => item.table(expected, not_table)?.0,
    });
    pattern.map(|pattern| ValuePattern::Not(Box::new(pattern)))
}

fn not_table(table: &mut Table<'_>) -> Option<ValuePattern> {
    table.words(&NOT);
    let regex = table.required("regex", "regex = \"^beta\"", regex);
    regex.map(ValuePattern::Regex)
}

fn equal(item: &Item<'_>, expected: &str, arriving: &Arriving) -> Option<ValuePattern> {
    let text = item.text_as(expected)?;
    if !(arriving.can)(text) {
        item.fault(format!("{} {}", item.quoted(), arriving.reason));
        return None;
    }
    Some(ValuePattern::Equals(text.to_owned()))
}

/// A regular expression.
pub(in crate::config::routes) fn regex(item: &Item<'_>) -> Option<Regex> {
    let text = item.text_as("a regular expression")?;
    let place = || item.scope.show(item.node.at);
    match item.scope.expressions.compile(text, place) {
        Ok(regex) => return Some(regex),
        Err(Uncompiled::Faulty(reason)) => item.fault(format!(
            "{} is no regular expression: {}",
            item.quoted(),
            item.told(&reason)
        )),
        Err(Uncompiled::NoRoom(said)) => item.fault(said),
        Err(Uncompiled::Said) => {}
    }
    None
}
