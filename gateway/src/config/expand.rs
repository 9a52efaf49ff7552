//! `${NAME}`, `${NAME:-default}` and `{ file = ".." }`.
//!
//! `$${` is a plain `${`. What is between the braces and starts with a digit stays as it is, so that
//! `${1}` in a rewrite keeps naming a group.

use std::env;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::scope::{self, Location, Scope};
use super::tree::{Node, Value};

/// A string with its variables replaced.
pub(super) fn text(scope: &Scope, at: Location, key: &str, text: &str) -> Node {
    match variables(text, |name| env::var(name)) {
        Ok((value, false)) => Node {
            at,
            written: None,
            value: Value::Text(value),
        },
        Ok((value, true)) => Node {
            at,
            written: Some(format!("{text:?}")),
            value: Value::Text(value),
        },
        Err(messages) => {
            for message in messages {
                scope.fault(at, key, message);
            }
            broken(at)
        }
    }
}

/// The path of `{ file = ".." }`, if this is one: a table with that key alone, holding a string.
pub(super) fn file_form<'a>(fields: &'a DeTable<'_>) -> Option<&'a Spanned<DeValue<'a>>> {
    if fields.len() != 1 {
        return None;
    }
    let path = fields.get("file")?;
    path.get_ref().is_str().then_some(path)
}

/// What is in the file, without the line end at its end.
pub(super) fn file(scope: &Scope, at: Location, key: &str, path: &Spanned<DeValue<'_>>) -> Node {
    let written = path.get_ref().as_str().unwrap_or_default();
    let path = match text(scope, at, &format!("{key}.file"), written).value {
        Value::Text(path) if path.is_empty() => {
            scope.fault(at, key, "`file` is empty; write a path");
            return broken(at);
        }
        Value::Text(path) => scope.resolve(at, &path),
        _ => return broken(at),
    };
    let read = scope.read(&path).map_err(|error| scope::reason(&error));
    let decoded = read
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned()));
    match decoded {
        Ok(content) => {
            let content = content.strip_suffix('\n').unwrap_or(&content);
            let content = content.strip_suffix('\r').unwrap_or(content);
            Node {
                at,
                written: Some(format!("{{ file = {written:?} }}")),
                value: Value::Text(content.to_owned()),
            }
        }
        Err(reason) => {
            scope.fault(at, key, format!("cannot read {written:?}: {reason}"));
            broken(at)
        }
    }
}

fn broken(at: Location) -> Node {
    Node {
        at,
        written: None,
        value: Value::Broken,
    }
}

/// The text with variables replaced and whether there was one, or what is wrong with each that failed.
fn variables(
    text: &str,
    lookup: impl Fn(&str) -> Result<String, env::VarError>,
) -> Result<(String, bool), Vec<String>> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut replaced = false;
    let mut faults = Vec::new();
    while let Some(start) = rest.find("${") {
        if let Some(before) = rest[..start].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        rest = &rest[start + 2..];
        let Some(end) = rest.find('}') else {
            faults
                .push("`${` without its `}`; write `$${` for the characters themselves".to_owned());
            break;
        };
        let inside = &rest[..end];
        rest = &rest[end + 1..];
        if inside.starts_with(|first: char| first.is_ascii_digit()) {
            out.push_str("${");
            out.push_str(inside);
            out.push('}');
            continue;
        }
        match variable(inside, &lookup) {
            Ok(value) => {
                replaced = true;
                out.push_str(&value);
            }
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    out.push_str(rest);
    Ok((out, replaced))
}

fn variable(
    inside: &str,
    lookup: &impl Fn(&str) -> Result<String, env::VarError>,
) -> Result<String, String> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let valid = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !valid {
        return Err(format!(
            "`${{{inside}}}` names no environment variable; write `${{NAME}}` or `${{NAME:-default}}`, or `$${{` for the characters themselves"
        ));
    }
    match (lookup(name), default) {
        (Ok(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Ok(value), _) => Ok(value),
        (Err(env::VarError::NotPresent), Some(default)) => Ok(default.to_owned()),
        (Err(env::VarError::NotPresent), None) => Err(format!(
            "the environment variable `{name}` is not set; set it, or write `${{{name}:-default}}`"
        )),
        (Err(env::VarError::NotUnicode(_)), _) => Err(format!(
            "the environment variable `{name}` is not UTF-8 text"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<(String, bool), Vec<String>> {
        variables(text, |name| match name {
            "HOST" => Ok("example.com".to_owned()),
            "EMPTY" => Ok(String::new()),
            _ => Err(env::VarError::NotPresent),
        })
    }

    #[test]
    fn variables_and_defaults_are_put_in_place() {
        assert_eq!(
            expand("a ${HOST} b").unwrap(),
            ("a example.com b".to_owned(), true)
        );
        assert_eq!(
            expand("${NO:-x}${EMPTY:-y}").unwrap(),
            ("xy".to_owned(), true)
        );
        assert_eq!(expand("${EMPTY}").unwrap(), (String::new(), true));
    }

    #[test]
    fn groups_and_escapes_stay_as_they_are() {
        assert_eq!(
            expand("/b/${1}/$2").unwrap(),
            ("/b/${1}/$2".to_owned(), false)
        );
        assert_eq!(expand("$${HOST}").unwrap(), ("${HOST}".to_owned(), false));
    }

    #[test]
    fn every_unset_variable_is_named() {
        let faults = expand("${NO} ${NEITHER}").unwrap_err();
        assert_eq!(faults.len(), 2);
        assert!(faults[0].contains("`NO`") && faults[1].contains("`NEITHER`"));
        assert!(expand("${HOST").is_err());
        assert!(expand("${}").is_err());
    }
}
