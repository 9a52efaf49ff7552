//! Where each value of the effective configuration comes from: a line of a file, the environment, another file, or,
//! where none of the files has it, its default.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::fault::Spot;
use super::item::Item;
use super::scope::{Location, Scope};
use super::tree::{self, Node, Source, Value};

/// The origins of all values that the files give, by their keys over all files.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    files: Vec<PathBuf>,
    given: HashMap<String, Origin>,
}

#[derive(Debug, Clone)]
struct Origin {
    at: Location,
    /// Where it does not stand there itself.
    source: Option<Source>,
}

impl Origins {
    /// With the files of a load.
    pub(super) fn new(scope: &Scope) -> Self {
        Self {
            files: scope.files(),
            given: HashMap::new(),
        }
    }

    /// Takes in what the files say of a key, as `shown` shows it; a value that was read as something which is no secret
    /// is shown as that. `local` is the key within its file.
    pub(super) fn add(&mut self, found: &Found<'_>, key: String, shown: Option<&mut Json>) {
        let Found {
            scope,
            node,
            at,
            local,
        } = *found;
        match (&node.value, shown) {
            (Value::Table(entries), shown) => {
                let mut shown = shown.and_then(Json::as_object_mut);
                for entry in entries {
                    let found = Found {
                        scope,
                        node: &entry.node,
                        at: entry.at,
                        local: &tree::join(local, &entry.key),
                    };
                    let shown = shown.as_mut().and_then(|shown| shown.get_mut(&entry.key));
                    self.add(&found, tree::join(&key, &entry.key), shown);
                }
            }
            (Value::List(nodes), shown) => {
                let mut shown = shown.and_then(Json::as_array_mut);
                for (index, node) in nodes.iter().enumerate() {
                    let found = Found {
                        scope,
                        node,
                        at: node.at,
                        local: &format!("{local}[{index}]"),
                    };
                    let shown = shown.as_mut().and_then(|shown| shown.get_mut(index));
                    self.add(&found, format!("{key}[{index}]"), shown);
                }
            }
            (_, Some(shown)) => {
                if let Some(read) = scope.read_as(node.at, local) {
                    *shown = read;
                }
            }
            _ => {}
        }
        let source = node.outside.as_ref().map(|outside| outside.source.clone());
        self.given.insert(key, Origin { at, source });
    }

    /// Whether the files say anything of a key.
    pub fn has(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// The place of a key: that of what is around it where no file has it.
    pub fn spot(&self, key: &str) -> Spot {
        let mut around = key;
        let at = loop {
            if let Some(origin) = self.given.get(around) {
                break origin.at;
            }
            match around.rfind(['.', '[']) {
                Some(end) => around = &around[..end],
                None => break Location { file: 0, line: 1 },
            }
        };
        Spot {
            file: self.files.get(at.file).cloned().unwrap_or_default(),
            line: at.line,
            key: key.to_owned(),
        }
    }

    /// Where a value comes from, in words: `gateway.toml:12`, `environment NAME (gateway.toml:12)`,
    /// `file PATH (gateway.toml:12)`, `secrets.NAME (gateway.toml:12)` or `default`.
    pub fn told(&self, key: &str) -> String {
        let Some(Origin { at, source }) = self.given.get(key) else {
            return "default".to_owned();
        };
        let file = self.files.get(at.file).cloned().unwrap_or_default();
        let place = format!("{}:{}", file.display(), at.line);
        match source {
            None => place,
            Some(Source::File(path)) => format!("file {path} ({place})"),
            Some(Source::Variables {
                set,
                absent,
                secrets,
            }) => {
                let mut from: Vec<_> = secrets
                    .iter()
                    .map(|name| tree::join("secrets", name))
                    .collect();
                if !set.is_empty() {
                    from.insert(0, format!("environment {}", set.join(", ")));
                }
                match from.is_empty() {
                    true => format!("{place}, the default of {}", absent.join(", ")),
                    false => format!("{} ({place})", from.join(", ")),
                }
            }
        }
    }

    /// The origins of all values that a configuration shows, in words, by their keys. An empty list and an empty table
    /// are values.
    pub fn of(&self, shown: &Json) -> Map<String, Json> {
        let mut all = Map::new();
        self.collect(String::new(), shown, &mut all);
        all
    }

    fn collect(&self, key: String, shown: &Json, all: &mut Map<String, Json>) {
        match shown {
            Json::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    self.collect(tree::join(&key, name), value, all);
                }
            }
            Json::Array(items) if !items.is_empty() => {
                for (index, value) in items.iter().enumerate() {
                    self.collect(format!("{key}[{index}]"), value, all);
                }
            }
            _ => {
                let told = Json::from(self.told(&key));
                all.insert(key, told);
            }
        }
    }

    /// Puts back where a key comes from, and all below it.
    pub fn restore(&mut self, key: &str, before: &Self) {
        let is_below = |other: &str| {
            let rest = other.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.given.retain(|other, _| !is_below(other));
        let back = before.given.iter().filter(|(other, _)| is_below(other));
        // The files of the two may differ.
        for (key, origin) in back {
            let file = before
                .files
                .get(origin.at.file)
                .cloned()
                .unwrap_or_default();
            let known = self.files.iter().position(|known| *known == file);
            let index = known.unwrap_or_else(|| {
                self.files.push(file);
                self.files.len() - 1
            });
            let mut origin = origin.clone();
            origin.at.file = index;
            self.given.insert(key.clone(), origin);
        }
    }
}

/// A value as a file has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    scope: &'a Scope,
    node: &'a Node,
    at: Location,
    local: &'a str,
}

impl<'a> Found<'a> {
    /// As a reader gets it.
    pub(super) fn of(item: &'a Item<'_>) -> Self {
        Self {
            scope: item.scope,
            node: item.node,
            at: item.node.at,
            local: &item.key,
        }
    }
}
