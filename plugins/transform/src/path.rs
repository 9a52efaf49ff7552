//! Another path for the upstream: set whole, or in the order strip, regex, prefix.

use std::borrow::Cow;

use gateway_plugin_sdk::template::{Fill, Source, Template, Unfilled};
use gateway_plugin_sdk::{ConfigError, Request, path};
use regex::{Regex, RegexBuilder};

use crate::config::PathConfig;
use crate::names;

/// The most memory that a compiled regex may take, in bytes: an instance has 16 MiB for everything.
const REGEX_SIZE: usize = 1 << 20;

/// A checked edit of the path.
#[derive(Debug)]
pub(crate) enum PathEdit {
    /// The whole path.
    Set(Template),
    /// Parts of it.
    Rewrite {
        strip: Option<String>,
        regex: Option<(Regex, String)>,
        prefix: Option<String>,
    },
}

impl PathEdit {
    /// Checks the table `request.path`; none if it is empty or at fault.
    pub(crate) fn check(config: &PathConfig, faults: &mut Vec<ConfigError>) -> Option<Self> {
        let before = faults.len();
        let mut fault = |key: &str, message: String| {
            faults.push(ConfigError::new(format!("request.path.{key}"), message));
        };
        let strip = config.strip_prefix.as_deref();
        let prefix = config.prefix.as_deref();
        if let Some(set) = config.set.as_deref()
            && let Err(message) = well_formed(set)
        {
            fault("set", message);
        }
        for (key, path) in [("strip_prefix", strip), ("prefix", prefix)] {
            let path = path.map(|path| well_formed(path).and_then(|()| leaves(path)));
            if let Some(Err(message)) = path {
                fault(key, message);
            }
        }
        let regex = replacement(config, &mut fault);
        let parts = strip.is_some() || prefix.is_some() || regex.is_some();
        if config.set.is_some() && parts {
            fault("set", "sets the whole path and stands alone".to_owned());
        }
        let set = match &config.set {
            Some(text) => Some(names::template("request.path.set", text, faults)?),
            None => None,
        };
        if faults.len() == before
            && let Some(set) = &set
            && let Err(message) = probed(set)
        {
            faults.push(ConfigError::new("request.path.set", message));
        }
        if faults.len() > before {
            return None;
        }
        let trimmed = |path: &str| path.trim_end_matches('/').to_owned();
        set.map(Self::Set).or_else(|| {
            parts.then(|| Self::Rewrite {
                strip: strip.map(trimmed),
                regex,
                prefix: prefix.map(trimmed),
            })
        })
    }

    /// What it is filled from.
    pub(crate) fn holes(&self) -> impl Iterator<Item = &Source> {
        let template = match self {
            Self::Set(template) => Some(template),
            Self::Rewrite { .. } => None,
        };
        template.into_iter().flat_map(Template::holes)
    }

    /// The new path for `path`, both without a query.
    pub(crate) fn apply(&self, path: &str, request: &Request) -> Result<String, Unfilled> {
        let (strip, regex, prefix) = match self {
            Self::Set(template) => return template.path(|source| source.read_to_encode(request)),
            Self::Rewrite {
                strip,
                regex,
                prefix,
            } => (strip, regex, prefix),
        };
        let mut path = Cow::Borrowed(path);
        if let Some(strip) = strip
            && let Some(rest) = path.strip_prefix(strip.as_str())
            && (rest.is_empty() || rest.starts_with('/'))
        {
            path = Cow::Owned(rest.to_owned());
        }
        if let Some((regex, to)) = regex {
            path = Cow::Owned(regex.replace(&path, to.as_str()).into_owned());
        }
        // A query in what `to` makes would be lost to the edits of the query, and `//host` is no path.
        let rest = path.trim_start_matches('/').replace('?', "%3F");
        let prefix = prefix.as_deref().unwrap_or_default();
        Ok(format!("{prefix}/{rest}"))
    }
}

/// The regex and what stands for its match.
fn replacement(
    config: &PathConfig,
    fault: &mut impl FnMut(&str, String),
) -> Option<(Regex, String)> {
    let (regex, to) = match (&config.regex, &config.to) {
        (Some(regex), Some(to)) => (regex, to),
        (Some(_), None) => {
            let message = "is missing; it says what the match of `regex` becomes";
            fault("to", message.to_owned());
            return None;
        }
        (None, Some(_)) => {
            let message = "is missing; `to` replaces what it matches";
            fault("regex", message.to_owned());
            return None;
        }
        (None, None) => return None,
    };
    if let Err(message) = replaces(to) {
        fault("to", message);
    }
    match compile(regex) {
        Ok(regex) => {
            if let Err(message) = names_groups(&regex, to) {
                fault("to", message);
            }
            Some((regex, to.clone()))
        }
        Err(message) => {
            fault("regex", message);
            None
        }
    }
}

fn well_formed(path: &str) -> Result<(), String> {
    let wrong = |byte: u8| !byte.is_ascii_graphic() || byte == b'#' || byte == b'?';
    if !path.starts_with('/') {
        return Err(format!("`{path}` is no path; it begins with `/`"));
    }
    match path.bytes().find(|byte| wrong(*byte)) {
        Some(b'?') => Err("has a query; `set_query` and `add_query` edit it".to_owned()),
        Some(byte) => Err(format!(
            "has the byte {byte:#04x}, which a path has percent-encoded"
        )),
        None => Ok(()),
    }
}

fn leaves(path: &str) -> Result<(), String> {
    match path::may_be_set(path) {
        true => Ok(()),
        false => Err(format!(
            "`{path}` goes to no upstream: a segment of it is `.`, `..` or empty, or has a broken escape, a backslash, \
             a `;` or an escaped separator"
        )),
    }
}

/// Whether a whole path can leave, whatever its holes are filled with.
fn probed(set: &Template) -> Result<(), String> {
    let filled = set.path(|_| Some(Fill::Text(b"x".to_vec())));
    leaves(&filled.map_err(|unfilled| unfilled.to_string())?)
}

/// Whether what stands for a match can be part of a path, whatever its groups are.
fn replaces(to: &str) -> Result<(), String> {
    let rest = to.trim_start_matches('/');
    let before = if rest.len() < to.len() { "/" } else { "/x" };
    let pieces = pieces(rest).map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Dollar => "$",
        Piece::Group { .. } => "x",
    });
    let probe: String = [before].into_iter().chain(pieces).chain(["x"]).collect();
    // The query keeps its own question mark.
    leaves(&probe.replace('?', "%3F"))
}

/// Whether the groups that stand for a match are there. The gateway has the rule for its own rewrites too:
/// `tests/vectors/replacements.txt` holds both to it.
fn names_groups(regex: &Regex, to: &str) -> Result<(), String> {
    let mut behind_dollar = false;
    for piece in pieces(to) {
        let escaped = match piece {
            Piece::Text(text) if behind_dollar => text.strip_prefix('{'),
            _ => None,
        };
        if let Some((name, _)) = escaped.and_then(|text| text.split_once('}'))
            && has_group(regex, name)
        {
            return Err(format!(
                "`$${{{name}}}` is the text `${{{name}}}`; write `${{{name}}}` for the group"
            ));
        }
        if let Piece::Group { name, braced } = piece {
            is_group(regex, name, braced)?;
        }
        behind_dollar = matches!(piece, Piece::Dollar);
    }
    Ok(())
}

fn is_group(regex: &Regex, name: &str, braced: bool) -> Result<(), String> {
    if name.is_empty() {
        return Err("a `$` names a group, such as `$1`; write `$$` for itself".to_owned());
    }
    if has_group(regex, name) {
        return Ok(());
    }
    let (number, tail) = name.split_at(name.bytes().take_while(u8::is_ascii_digit).count());
    let groups = regex.captures_len() - 1;
    Err(if braced {
        format!(
            "there is no group `{name}`; the expression has {groups}, and `${{..}}` beside `regex` never reads the \
             environment"
        )
    } else if number.is_empty() || tail.is_empty() {
        format!("there is no group `{name}`; the expression has {groups}")
    } else {
        format!(
            "`${name}` reads as the group `{name}`, which is not there; write `${{{number}}}{tail}`"
        )
    })
}

fn has_group(regex: &Regex, name: &str) -> bool {
    match name.parse::<usize>() {
        Ok(index) => index < regex.captures_len(),
        Err(_) => regex.capture_names().flatten().any(|group| group == name),
    }
}

/// A piece of what stands for a match.
#[derive(Clone, Copy, Debug)]
enum Piece<'a> {
    Text(&'a str),
    /// `$$`
    Dollar,
    /// `$1`, `$name`, `${name}`
    Group {
        name: &'a str,
        braced: bool,
    },
}

/// What stands for a match, taken apart as the regex does it.
fn pieces(to: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = to;
    std::iter::from_fn(move || {
        let Some(behind) = rest.strip_prefix('$') else {
            let (text, behind) = rest.split_at(rest.find('$').unwrap_or(rest.len()));
            rest = behind;
            return (!text.is_empty()).then_some(Piece::Text(text));
        };
        if let Some(behind) = behind.strip_prefix('$') {
            rest = behind;
            return Some(Piece::Dollar);
        }
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let inside = behind
            .strip_prefix('{')
            .and_then(|text| text.split_once('}'));
        let (name, after) =
            inside.unwrap_or_else(|| behind.split_at(behind.bytes().take_while(is_name).count()));
        rest = after;
        let braced = inside.is_some();
        Some(Piece::Group { name, braced })
    })
}

fn compile(regex: &str) -> Result<Regex, String> {
    RegexBuilder::new(regex)
        .size_limit(REGEX_SIZE)
        .dfa_size_limit(REGEX_SIZE)
        .build()
        .map_err(|error| format!("is no regular expression: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn groups_of_a_replacement_exist() {
        let vectors = include_str!("../../../tests/vectors/replacements.txt").lines();
        for line in vectors.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let values = serde_json::Deserializer::from_str(line).into_iter::<Value>();
            let values: Vec<_> = values.map(Result::unwrap).collect();
            let regex = Regex::new(values[0].as_str().unwrap()).unwrap();
            let checked = names_groups(&regex, values[1].as_str().unwrap());
            assert_eq!(checked.is_ok(), values[2] == true, "{line}");
        }
    }
}
