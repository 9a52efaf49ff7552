//! `${NAME}`, `${NAME:-default}`, `${secrets.NAME}` and `{ file = ".." }`.
//!
//! `$${` is a plain `${`. What is between the braces and starts with a digit is no variable and stays as it is. A text
//! in which `${name}` is a group of a regular expression never comes here: see [`super::parse`]. Secrets are filled in
//! later, where they may stand: see [`super::fill`].

use std::env;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::item;
use super::paths::{self, OfFile};
use super::scope::{Location, Scope};
use super::tree::{Node, Outside, Piece, Source, Value};
use super::units::Secret;
use super::unset::StandIn;

/// What names a secret of the configuration rather than a variable of the environment.
const SECRETS: &str = "secrets.";

/// A string with its variables replaced.
pub(super) fn text(scope: &Scope, at: Location, key: &str, text: &str) -> Node {
    let expanded = match variables(text, |name| env::var(name)) {
        Ok(expanded) => expanded,
        Err(faults) => {
            let unset: Vec<_> = faults.iter().filter_map(Fault::unset).collect();
            if unset.len() == faults.len()
                && let Some(stands) = scope.stand_in(at, key, &unset)
            {
                return stand_in(at, text, stands);
            }
            for fault in faults {
                scope.fault(at, key, fault.to_string());
            }
            return broken(at);
        }
    };
    let outside = expanded.has_variables.then(|| Outside {
        written: format!("{text:?}"),
        file: None,
        values: expanded.values,
        source: Source::Variables {
            set: expanded.set,
            absent: expanded.absent,
            secrets: expanded.pieces.iter().filter_map(Piece::secret).collect(),
        },
    });
    let value = pieces_value(expanded.pieces);
    Node { at, outside, value }
}

/// What stands for a text with variables that are not set, or for a file that is not there.
fn stand_in(at: Location, written: &str, stands: StandIn) -> Node {
    let lookup = |name: &str| match env::var(name) {
        Err(env::VarError::NotPresent) => Ok(stands.variable.clone()),
        found => found,
    };
    let value = match stands.whole {
        Some(text) => Value::Text(text),
        None => match variables(written, lookup).map(|expanded| expanded.pieces) {
            Ok(pieces) => pieces_value(pieces),
            Err(_) => Value::Broken,
        },
    };
    let values = match &value {
        Value::Text(text) => vec![Secret::new(text.as_str()), Secret::new(stands.variable)],
        _ => vec![Secret::new(stands.variable)],
    };
    let outside = Some(Outside {
        written: format!("{written:?}"),
        file: None,
        values,
        source: Source::Variables {
            set: Vec::new(),
            absent: Vec::new(),
            secrets: Vec::new(),
        },
    });
    Node { at, outside, value }
}

fn pieces_value(pieces: Vec<Piece>) -> Value {
    match pieces.as_slice() {
        [] => Value::Text(String::new()),
        [Piece::Text(text)] => Value::Text(text.clone()),
        _ => Value::Holes(pieces),
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
    let Node { outside, value, .. } = text(scope, at, &format!("{key}.file"), written);
    let given = match value {
        Value::Text(path) => path,
        Value::Holes(_) => {
            scope.fault(at, &format!("{key}.file"), item::HOLES);
            return broken(at);
        }
        _ => return broken(at),
    };
    if let Some(why) = paths::unfit(&given) {
        let whose = outside.map(|outside| format!("the value of {} ", outside.written));
        let whose = whose.as_deref().unwrap_or("`file` ");
        scope.fault(at, key, format!("{whose}{why}"));
        return broken(at);
    }
    let path = scope.resolve(at, &given);
    let file = OfFile {
        scope,
        at,
        written,
        outside: outside.as_ref(),
        path: &given,
    };
    match scope.read_text(&path) {
        Ok(content) => Node {
            at,
            outside: Some(Outside {
                written: file.named(),
                file: Some(path),
                values: vec![Secret::new(content.as_str())],
                source: Source::File(written.to_owned()),
            }),
            value: Value::Text(content),
        },
        Err(error) => {
            if error.is_absence()
                && let Some(stands) = scope.stand_in(at, key, &[format!("file {written}")])
            {
                return stand_in(at, &stands.variable.clone(), stands);
            }
            scope.fault(at, key, file.unreadable(&error));
            broken(at)
        }
    }
}

fn broken(at: Location) -> Node {
    Node {
        at,
        outside: None,
        value: Value::Broken,
    }
}

/// A text with its variables replaced.
#[derive(Debug, Default)]
struct Expanded {
    /// Text, and the secrets in it; no two texts follow each other.
    pieces: Vec<Piece>,
    /// What the environment gave.
    values: Vec<Secret>,
    /// Whether there was a variable or a secret, though a default stands for it.
    has_variables: bool,
    /// Variables that are set, and those whose default stands for them.
    set: Vec<String>,
    absent: Vec<String>,
}

/// What is wrong with a text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error(
        "the environment variable `{0}` is not set; set it, or write `${{{0}:-default}}`, or `$${{{0}}}` for the characters themselves"
    )]
    Unset(String),
    #[error("{0}")]
    Other(String),
}

impl Fault {
    fn unset(&self) -> Option<String> {
        match self {
            Self::Unset(name) => Some(name.clone()),
            Self::Other(_) => None,
        }
    }
}

impl Expanded {
    fn text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }
}

/// The text with variables replaced, or what is wrong with each that failed.
fn variables(
    text: &str,
    lookup: impl Fn(&str) -> Result<String, env::VarError>,
) -> Result<Expanded, Vec<Fault>> {
    let mut out = Expanded::default();
    let mut rest = text;
    let mut faults = Vec::new();
    while let Some(start) = rest.find("${") {
        if let Some(before) = rest[..start].strip_suffix('$') {
            out.text(before);
            out.text("${");
            rest = &rest[start + 2..];
            continue;
        }
        out.text(&rest[..start]);
        rest = &rest[start + 2..];
        let Some(end) = rest.find('}') else {
            let message = "`${` without its `}`; write `$${` for the characters themselves";
            faults.push(Fault::Other(message.to_owned()));
            break;
        };
        let inside = &rest[..end];
        rest = &rest[end + 1..];
        if inside.starts_with(|first: char| first.is_ascii_digit()) {
            out.text("${");
            out.text(inside);
            out.text("}");
            continue;
        }
        out.has_variables = true;
        if let Some(name) = inside.strip_prefix(SECRETS) {
            out.pieces.push(Piece::Secret(name.to_owned()));
            continue;
        }
        let name = inside.split_once(":-").map_or(inside, |(name, _)| name);
        match variable(inside, &lookup) {
            Ok(Found::Given(value)) => {
                out.text(&value);
                out.values.push(Secret::new(value));
                out.set.push(name.to_owned());
            }
            Ok(Found::Default(text)) => {
                out.text(text);
                out.absent.push(name.to_owned());
            }
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    out.text(rest);
    Ok(out)
}

/// What stands for a variable.
enum Found<'a> {
    /// The environment has it.
    Given(String),
    /// The file has it.
    Default(&'a str),
}

fn variable<'a>(
    inside: &'a str,
    lookup: &impl Fn(&str) -> Result<String, env::VarError>,
) -> Result<Found<'a>, Fault> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let valid = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !valid {
        return Err(Fault::Other(format!(
            "`${{{inside}}}` names no environment variable; write `${{NAME}}` or `${{NAME:-default}}`, or `$${{` for the characters themselves"
        )));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(Fault::Other(format!(
            "the default of `{name}` has `${{` in it, and nothing is filled into a default; write a text without it"
        )));
    }
    match (lookup(name), default) {
        (Ok(value), Some(default)) if value.is_empty() => Ok(Found::Default(default)),
        (Ok(value), _) => Ok(Found::Given(value)),
        (Err(env::VarError::NotPresent), Some(default)) => Ok(Found::Default(default)),
        (Err(env::VarError::NotPresent), None) => Err(Fault::Unset(name.to_owned())),
        (Err(env::VarError::NotUnicode(_)), _) => Err(Fault::Other(format!(
            "the environment variable `{name}` is not UTF-8 text"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<Expanded, Vec<Fault>> {
        variables(text, |name| match name {
            "HOST" => Ok("example.com".to_owned()),
            "EMPTY" => Ok(String::new()),
            _ => Err(env::VarError::NotPresent),
        })
    }

    /// The pieces, secrets by name in angle brackets, and whether there was something to replace.
    fn expand(text: &str) -> (String, bool) {
        let expanded = expanded(text).unwrap();
        let pieces = expanded.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Secret(name) => format!("<{name}>"),
        });
        (pieces.collect(), expanded.has_variables)
    }

    #[test]
    fn variables_and_defaults_are_put_in_place() {
        assert_eq!(expand("a ${HOST} b"), ("a example.com b".to_owned(), true));
        assert_eq!(expand("${NO:-x}${EMPTY:-y}"), ("xy".to_owned(), true));
        assert_eq!(expand("${EMPTY}"), (String::new(), true));
        assert_eq!(
            expand("Bearer ${secrets.a}${secrets.b}!"),
            ("Bearer <a><b>!".to_owned(), true)
        );
    }

    #[test]
    fn what_the_environment_gave_is_known_and_a_default_is_none_of_it() {
        let values = |text: &str| {
            let values = expanded(text).unwrap().values;
            let values = values.iter().map(|value| value.reveal().to_owned());
            values.collect::<Vec<_>>()
        };
        assert_eq!(values("https://${HOST}/${NO:-x}"), ["example.com"]);
        assert!(values("${NO:-x}").is_empty());
        for nested in ["${NO:-a${HOST}}", "${HOST:-${NO:-}}"] {
            let faults = expanded(nested).unwrap_err();
            assert!(
                matches!(&faults[..], [Fault::Other(said)] if said.contains("has `${` in it")),
                "{faults:?}"
            );
        }
    }

    #[test]
    fn groups_and_escapes_stay_as_they_are() {
        assert_eq!(expand("/b/${1}/$2"), ("/b/${1}/$2".to_owned(), false));
        assert_eq!(expand("$${HOST}"), ("${HOST}".to_owned(), false));
        assert_eq!(expand("$${secrets.a}"), ("${secrets.a}".to_owned(), false));
    }

    #[test]
    fn every_unset_variable_is_named() {
        let faults = expanded("${NO} ${NEITHER}").unwrap_err();
        assert_eq!(faults.len(), 2);
        assert_eq!(faults[0], Fault::Unset("NO".to_owned()));
        assert!(faults[1].to_string().contains("`NEITHER`"));
        assert!(expanded("${HOST").is_err());
        assert!(expanded("${}").is_err());
    }
}
