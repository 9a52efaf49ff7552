//! Tables read key by key. A table knows which keys it was asked for, so that every other one is an error,
//! and remembers what it answered, defaults included, for `GET /config`.

use serde_json::{Map, Value as Json};

use super::description::{Shape, Words};
use super::item::{self, Item};
use super::scope::{Location, Scope};
use super::suggest;
use super::tree::{self, Entry, Node, Value};

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) scope: &'a Scope,
    pub(super) key: String,
    pub(super) at: Location,
    entries: &'a [Entry],
    /// `[defaults]`, where it stands for keys that are not given.
    defaults: &'a [&'a Entry],
    asked: Vec<&'static str>,
    later: Vec<&'static str>,
    shown: Map<String, Json>,
}

/// The table whose keys stand for those that routes do not give.
pub(super) const DEFAULTS: &str = "defaults";

/// Where an entry stands.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Own,
    Defaults,
}

/// A default, written as it would be in a file and read by the same reader.
#[derive(Debug, Clone, Copy)]
pub(super) enum Default {
    Text(&'static str),
    Integer(i64),
    Float(f64),
    Bool(bool),
}

impl<'a> Item<'a> {
    /// Reads a table with known keys: what `read` makes of it, and how it is shown.
    pub(super) fn table<T>(
        &self,
        expected: &str,
        read: impl FnOnce(&mut Table<'a>) -> T,
    ) -> Option<(T, Json)> {
        let entries = match &self.node.value {
            Value::Table(entries) => entries.as_slice(),
            _ if self.expect(Shape::Table, expected) => &[],
            _ => return None,
        };
        let mut table = Table::new(self.scope, self.key.clone(), self.node.at, entries);
        let value = read(&mut table);
        Some((value, table.finish()))
    }
}

impl<'a> Table<'a> {
    /// A table over these entries.
    pub(super) fn new(scope: &'a Scope, key: String, at: Location, entries: &'a [Entry]) -> Self {
        Self {
            scope,
            key,
            at,
            entries,
            defaults: &[],
            asked: Vec::new(),
            later: Vec::new(),
            shown: Map::new(),
        }
    }

    /// Has `[defaults]` stand for keys that are not given.
    pub(super) fn fall_back_on(&mut self, defaults: &'a [&'a Entry]) {
        self.defaults = defaults;
    }

    /// The entries whose keys were asked for.
    pub(super) fn entries_asked(&self) -> Vec<&'a Entry> {
        let asked = |entry: &&Entry| self.asked.contains(&entry.key.as_str());
        self.entries.iter().filter(asked).collect()
    }

    /// Whether something that is not set stands at a key.
    pub(super) fn is_unset(&self, key: &str) -> bool {
        let mut entries = self.entries.iter().filter(|entry| entry.key == key);
        entries.any(|entry| entry.node.is_unset(self.scope))
    }

    /// Reports that the values of some keys do not go together, at the last of them. Of one that is not set nothing is
    /// known.
    pub(super) fn fault_between(&self, keys: &[&str], message: impl Into<String>) {
        if let Some(key) = keys.last()
            && !keys.iter().any(|key| self.is_unset(key))
        {
            self.fault(key, message);
        }
    }

    /// Reports a fault of a key, or of the table where the key is not given.
    pub(super) fn fault(&self, key: &str, message: impl Into<String>) {
        let found = self.find(key);
        let at = found.map_or(self.at, |(_, entry)| entry.at);
        self.scope.fault(at, &self.path(key, found), message);
    }

    /// The value of a key as a sentence names it that does not show it, as [`Item::subject`].
    pub(super) fn subject(&self, key: &str) -> String {
        let found = self.find(key);
        found.map_or_else(String::new, |(_, entry)| entry.node.subject())
    }

    /// What is given for a key, here or in `[defaults]`.
    fn find(&self, key: &str) -> Option<(Origin, &'a Entry)> {
        let own = self.entries.iter().find(|entry| entry.key == key);
        let default = || self.defaults.iter().find(|entry| entry.key == key);
        own.map(|entry| (Origin::Own, entry))
            .or_else(|| Some((Origin::Defaults, *default()?)))
    }

    /// How a key is named.
    fn path(&self, key: &str, found: Option<(Origin, &Entry)>) -> String {
        match found {
            Some((Origin::Defaults, _)) => tree::join(DEFAULTS, key),
            _ => tree::join(&self.key, key),
        }
    }

    /// Reports a fault of the table.
    pub(super) fn fault_here(&self, message: impl Into<String>) {
        self.scope.fault(self.at, &self.key, message);
    }

    /// Says what no reader can know of this table, where it is described.
    pub(super) fn words(&self, words: &'static Words) {
        if let Some(description) = self.scope.description() {
            description.words(&self.key, words);
        }
    }

    /// Whether a key is given. A table that is described has all of them.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some() || self.scope.description().is_some()
    }

    /// Whether nothing is given. A table that is described has all keys.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.scope.description().is_none()
    }

    /// Whether a value of it came from outside of the files.
    pub(super) fn has_from_outside(&self) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| entry.node.outside.is_some())
    }

    /// Whether a key is given here, whatever stands for it elsewhere.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Keys that the table may have, also where what else is given leaves them unread.
    pub(super) fn knows(&mut self, keys: &[&'static str]) {
        for key in keys {
            if !self.asked.contains(key) {
                self.asked.push(key);
            }
        }
    }

    /// The value of a key, shown as it was written.
    pub(super) fn item(&mut self, key: &'static str) -> Option<Item<'a>> {
        let item = self.item_unshown(key)?;
        self.show(key, item.node.masked());
        Some(item)
    }

    /// The value of a key; the caller says how it is shown.
    pub(super) fn item_unshown(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.knows(&[key]);
        let found = self.find(key);
        let node = match found {
            Some((_, entry)) => &entry.node,
            None => {
                self.scope.description()?.key(&self.key, key);
                item::probe()
            }
        };
        Some(Item {
            scope: self.scope,
            node,
            key: self.path(key, found),
        })
    }

    /// The value of a key that is a list; where it is not given, the default is shown.
    pub(super) fn item_or(&mut self, key: &'static str, default: &[&str]) -> Option<Item<'a>> {
        self.item_or_json(key, default.iter().copied().collect())
    }

    /// As [`Table::item_or`], of lists whose items are no texts.
    pub(super) fn item_or_json(&mut self, key: &'static str, default: Json) -> Option<Item<'a>> {
        let item = self.item(key);
        if let Some(description) = self.scope.description() {
            description.default_of(&self.key, key, default);
        } else if item.is_none() {
            self.show(key, default);
        }
        item
    }

    /// Sets how a key is shown.
    pub(super) fn show(&mut self, key: &str, shown: Json) {
        self.shown.insert(key.to_owned(), shown);
    }

    /// A value that need not be given.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> Option<T> {
        let item = self.item(key)?;
        read(&item)
    }

    /// A value that must be given; `example` says what would be right.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> Option<T> {
        if let Some(description) = self.scope.description() {
            description.required(&self.key, key);
        }
        match self.item(key) {
            Some(item) => read(&item),
            None => {
                // With no key of its own to point at, the line is the table's.
                let message = format!("is missing; add {example}");
                self.scope
                    .fault(self.at, &tree::join(&self.key, key), message);
                None
            }
        }
    }

    /// A value with a default, which also stands in where the given one is faulty: such a configuration is
    /// refused as a whole.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: Default,
        read: impl Fn(&Item<'_>) -> Option<T>,
    ) -> T {
        let node = Node {
            at: self.at,
            outside: None,
            value: match default {
                Default::Text(text) => Value::Text(text.to_owned()),
                Default::Integer(number) => Value::Integer(number),
                Default::Float(number) => Value::Float(number),
                Default::Bool(value) => Value::Bool(value),
            },
        };
        let given = self.item(key);
        if let Some(description) = self.scope.description() {
            description.default_of(&self.key, key, node.json());
        } else if given.is_none() {
            self.show(key, node.json());
        }
        given.and_then(|item| read(&item)).unwrap_or_else(|| {
            // Nothing is said of a default, but where readers are described.
            let is_named = self.scope.description().is_some();
            let item = Item {
                scope: self.scope,
                node: &node,
                key: match is_named {
                    true => tree::join(&self.key, key),
                    false => String::new(),
                },
            };
            read(&item).expect("defaults are valid")
        })
    }

    /// A table that, if not given, is read as an empty one: all defaults.
    pub(super) fn sub<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'a>) -> T,
    ) -> T {
        let given = self.item_unshown(key);
        let path = match &given {
            Some(item) => item.key.clone(),
            None => self.path(key, None),
        };
        let (value, shown) = match given.as_ref().map(|item| (item, &item.node.value)) {
            Some((item, Value::Table(entries))) => {
                let mut table = Table::new(self.scope, path, item.node.at, entries);
                (read(&mut table), table.finish())
            }
            // All defaults; where something else than a table is given, that is the one fault.
            other => {
                let mut table = Table::new(self.scope, path, self.at, &[]);
                let value = match other {
                    Some((item, _)) => {
                        item.expect(Shape::Table, "a table");
                        self.scope.quietly(|| read(&mut table))
                    }
                    None => read(&mut table),
                };
                (value, table.finish())
            }
        };
        self.show(key, shown);
        value
    }

    /// A table that need not be given.
    pub(super) fn optional_sub<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'a>) -> T,
    ) -> Option<T> {
        if self.has(key) {
            Some(self.sub(key, read))
        } else {
            // Known, though not given.
            self.knows(&[key]);
            None
        }
    }

    /// Whichever of some keys is given; none or several is a fault.
    pub(super) fn only<T, const N: usize>(
        &self,
        keys: [(&str, Option<Option<T>>); N],
    ) -> Option<T> {
        let names = keys.each_ref().map(|(name, _)| *name);
        let mut given: Vec<_> = keys
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        if given.len() > 1 {
            let given: Vec<_> = given.iter().map(|(name, _)| *name).collect();
            let given = suggest::list(&given, "and");
            self.fault_here(format!("has {given}; write one of them"));
            return None;
        }
        if given.is_empty() {
            let names = suggest::list(&names, "or");
            self.fault_here(format!("needs {names}"));
        }
        given.pop()?.1
    }

    /// Keys that the contract has and this version has not; whether one of them is given.
    pub(super) fn later(&mut self, keys: &[&'static str]) -> bool {
        self.refuse(keys, later)
    }

    /// Keys that this table never has, with a reason for each; whether one of them is given.
    pub(super) fn refuse(
        &mut self,
        keys: &[&'static str],
        reason: impl Fn(&str) -> String,
    ) -> bool {
        self.later.extend(keys);
        let mut one_is_given = false;
        for key in keys.iter().filter(|key| self.is_given(key)) {
            self.fault(key, reason(key));
            one_is_given = true;
        }
        one_is_given
    }

    /// Keys that belong into another table, and what is said of them.
    pub(super) fn misplaced(&mut self, keys: &[&'static str], where_to: &str) {
        self.later.extend(keys);
        for key in keys.iter().filter(|key| self.is_given(key)) {
            self.fault(key, where_to);
        }
    }

    /// Whether a key is given as this text, faulty or not.
    pub(super) fn says(&self, key: &str, text: &str) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| {
            entry.key == key && matches!(&entry.node.value, Value::Text(value) if value == text)
        })
    }

    /// Reports every key that nobody asked for; how the table is shown.
    pub(super) fn finish(self) -> Json {
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.asked.contains(&key) || self.later.contains(&key) {
                continue;
            }
            let remedy = match key {
                "include" | "chain" if !self.key.is_empty() => {
                    format!("; `{key}` is a key of the whole file: write it above the first [table]")
                }
                "plugins" if matches!(entry.node.value, Value::List(_)) => {
                    "; the chain that every route starts with is `chain = [..]`, above the first [table]"
                        .to_owned()
                }
                "file" if self.asked.contains(&"path") => "; did you mean `path`?".to_owned(),
                _ => suggest::remedy(key, self.asked.iter().copied(), "known here:"),
            };
            self.scope.fault(
                entry.at,
                &tree::join(&self.key, key),
                format!("unknown key{remedy}"),
            );
        }
        Json::Object(self.shown)
    }
}

/// What is said of a thing that is to come.
pub(super) fn later(what: &str) -> String {
    format!("`{what}` is not in this version yet")
}
