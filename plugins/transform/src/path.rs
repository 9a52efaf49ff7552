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
    let compiled = compile(regex).map_err(|message| fault("regex", message));
    Some((compiled.ok()?, to.clone()))
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
            "`{path}` goes to no upstream: a segment of it is `.`, `..` or empty, or has a broken escape, a backslash or \
             an escaped separator"
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
    let mut probe = String::from("/x");
    let mut rest = to.trim_start_matches('/');
    if rest.len() < to.len() {
        probe = String::from("/");
    }
    while let Some(at) = rest.find('$') {
        probe.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        rest = match rest.strip_prefix('$') {
            Some(after) => {
                probe.push('$');
                after
            }
            None => {
                probe.push('x');
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let braced = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
                braced.map_or_else(|| rest.trim_start_matches(is_name), |(_, after)| after)
            }
        };
    }
    probe.push_str(rest);
    probe.push('x');
    // The query keeps its own question mark.
    leaves(&probe.replace('?', "%3F"))
}

fn compile(regex: &str) -> Result<Regex, String> {
    RegexBuilder::new(regex)
        .size_limit(REGEX_SIZE)
        .dfa_size_limit(REGEX_SIZE)
        .build()
        .map_err(|error| format!("is no regular expression: {error}"))
}
