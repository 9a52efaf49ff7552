//! Where the configuration of a plugin is written: what a plugin says of a key gets that key's line, and shows nothing
//! that came from outside of the files.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value as Json;

use super::fault::Spot;
use super::item::Item;
use super::mask;
use super::tree::{Node, Value};
use super::units::Secret;

/// The place of a plugin's configuration, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Of the whole, with its key in the files, such as `routes[2].plugins[0].config`.
    spot: Spot,
    /// Where its keys stand, if there is a table of them.
    table: Option<Arc<Lines>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Lines {
    file: PathBuf,
    key: String,
    /// By the dotted path below the table.
    lines: HashMap<String, usize>,
    given: Vec<Given>,
    secrets: Vec<Arc<str>>,
}

/// A value in a plugin's configuration that came out of the environment, a file or `[secrets]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Where it is: a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What no message may show of it.
    pub values: Vec<Secret>,
    /// The same place as a dotted path.
    path: String,
    /// Whether something that is not set would stand there.
    unset: bool,
}

impl Given {
    /// Values that came from outside, at a JSON Pointer.
    pub fn new(pointer: &str, values: Vec<Secret>) -> Self {
        Self {
            pointer: pointer.to_owned(),
            values,
            path: String::new(),
            unset: false,
        }
    }
}

impl Written {
    /// Of something that has no table.
    pub(super) fn bare(item: &Item<'_>) -> Self {
        Self {
            spot: item.scope.spot(item.node.at, &item.key),
            table: None,
        }
    }

    /// Of a table, with these secrets filled in.
    pub(super) fn table(item: &Item<'_>, secrets: Vec<Arc<str>>) -> Self {
        let mut lines = Lines {
            file: item.scope.spot(item.node.at, "").file,
            key: item.key.clone(),
            lines: HashMap::new(),
            given: Vec::new(),
            secrets,
        };
        lines.walk(item.node, "", "");
        for given in &mut lines.given {
            let mut values = given.values.iter();
            given.unset = values.any(|value| item.scope.is_stand_in(value.reveal()));
        }
        Self {
            table: Some(Arc::new(lines)),
            ..Self::bare(item)
        }
    }

    /// This place, where the table of another is in force.
    pub(super) fn with_table_of(mut self, other: &Self) -> Self {
        self.table.clone_from(&other.table);
        self
    }

    /// The key in the files.
    pub(super) fn key(&self) -> &str {
        &self.spot.key
    }

    /// What came from outside.
    pub fn given(&self) -> &[Given] {
        self.table.as_ref().map_or(&[], |table| &table.given)
    }

    /// The configuration that stands here as it may be shown: `"***"` for what came from outside of the files, and for
    /// every text under a key that sounds like a credential.
    pub fn mask(&self, config: &Json) -> Json {
        self.masked(config, "")
    }

    fn masked(&self, value: &Json, pointer: &str) -> Json {
        let given = || self.given().iter().any(|given| given.pointer == pointer);
        match value {
            _ if given() => Json::from(mask::HIDDEN),
            Json::Array(items) => {
                let items = items.iter().enumerate();
                let shown = |(at, item)| self.masked(item, &format!("{pointer}/{at}"));
                items.map(shown).collect()
            }
            Json::Object(fields) => {
                let shown = |(key, value): (&String, &Json)| {
                    let shown = self.masked(value, &format!("{pointer}/{}", escaped(key)));
                    let shown = match mask::sounds_secret(key) {
                        true => mask::hidden(shown),
                        false => shown,
                    };
                    (key.clone(), shown)
                };
                Json::Object(fields.iter().map(shown).collect())
            }
            _ => value.clone(),
        }
    }

    /// The names of secrets that are filled in.
    pub(super) fn secrets(&self) -> &[Arc<str>] {
        self.table.as_ref().map_or(&[], |table| &table.secrets)
    }

    /// Whether what is said of a key, a dotted path below it, may be said of something that is not set: of it, of what is
    /// around it or in it.
    pub fn may_be_unset(&self, key: &str) -> bool {
        let is_below = |path: &str, key: &str| {
            let rest = path.strip_prefix(key);
            rest.is_some_and(|rest| {
                key.is_empty() || rest.is_empty() || rest.starts_with(['.', '['])
            })
        };
        let mut unset = self.given().iter().filter(|given| given.unset);
        unset.any(|given| is_below(&given.path, key) || is_below(key, &given.path))
    }

    /// Whether a key, a dotted path below it, stands in the files.
    pub fn has(&self, key: &str) -> bool {
        let table = self.table.as_ref();
        table.is_some_and(|table| table.lines.contains_key(key))
    }

    /// The place of the whole.
    pub fn spot(&self) -> &Spot {
        &self.spot
    }

    /// The place of a key below it, a dotted path: of the innermost table around it where it is not there itself.
    pub fn of(&self, key: &str) -> Spot {
        let Some(table) = &self.table else {
            return self.spot.clone();
        };
        let mut path = key;
        loop {
            if let Some(line) = table.lines.get(path) {
                return Spot {
                    file: table.file.clone(),
                    line: *line,
                    key: table.key.clone(),
                };
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.spot.clone(),
            }
        }
    }
}

/// A key in a JSON Pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl fmt::Display for Written {
    /// The whole, as `file:line: key`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spot { file, line, key } = &self.spot;
        write!(f, "{}:{line}: {key}", file.display())
    }
}

impl Lines {
    fn walk(&mut self, node: &Node, path: &str, pointer: &str) {
        if let Some(outside) = &node.outside {
            self.given.push(Given {
                path: path.to_owned(),
                ..Given::new(pointer, outside.values.clone())
            });
        }
        match &node.value {
            Value::Table(fields) => {
                for field in fields {
                    let dot = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{dot}{}", field.key);
                    let pointer = format!("{pointer}/{}", escaped(&field.key));
                    self.below(field.at.line, &field.node, path, pointer);
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let (path, pointer) =
                        (format!("{path}[{index}]"), format!("{pointer}/{index}"));
                    self.below(item.at.line, item, path, pointer);
                }
            }
            _ => {}
        }
    }

    fn below(&mut self, line: usize, node: &Node, path: String, pointer: String) {
        self.walk(node, &path, &pointer);
        self.lines.insert(path, line);
    }
}
