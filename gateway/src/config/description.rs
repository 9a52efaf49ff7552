//! What the readers say of the keys they ask for.
//!
//! A describing scope stands in for files: every table has every key, every value is of the form that a reader
//! would like, and each reader says what that is instead of getting one. So the code that reads a key also
//! describes it, and the reference (`docs/configuration.md`, `config/gateway.schema.json`) cannot name another.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value as Json;

/// The words of a table: what no reader can know.
#[derive(Debug)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "read by a test, which writes the reference")
)]
pub(super) struct Words {
    /// What the table is for, in Markdown.
    pub(super) about: &'static str,
    /// A sentence for each of its keys, in Markdown.
    pub(super) keys: &'static [(&'static str, &'static str)],
    /// A piece of a file that shows its keys and those of the tables in it. All pieces together are a sound file.
    /// Empty where the piece of the table around it has them.
    pub(super) example: &'static str,
}

/// What a reader takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Any string.
    Text,
    /// A name for something.
    Name,
    /// One of some words.
    Words(Vec<String>),
    /// A boolean.
    Bool,
    /// `false` alone.
    False,
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// A number from 0.0 to 1.0.
    Share,
    /// A duration, zero included or not.
    Duration { zero: bool },
    /// A size, zero included or not.
    Size { zero: bool },
    /// A list; its items are described under `path[]`.
    List,
    /// A table whose keys the user chooses; their values are described under `path.NAME`.
    Map,
    /// A table with known keys, described under `path.key`.
    Table,
    /// A table that is none of the gateway's business.
    Open,
}

/// All that is said of one path.
#[derive(Debug, Clone, Default)]
pub(super) struct Described {
    /// What may stand here, each with the words of the fault of what may not.
    pub(super) forms: Vec<(Shape, String)>,
    /// The keys of a table, in the order in which they are asked for.
    pub(super) keys: Vec<Key>,
    /// The words of a table.
    pub(super) words: Option<&'static Words>,
}

/// A key of a table.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) is_required: bool,
    pub(super) default: Option<Json>,
}

/// What is said of all paths, by path.
#[derive(Debug, Default)]
pub(super) struct Description {
    paths: RefCell<BTreeMap<String, Described>>,
}

impl Description {
    /// A reader says what it takes.
    pub(super) fn form(&self, path: &str, shape: Shape, expected: &str) {
        self.at(path, |described| {
            let form = (shape, expected.to_owned());
            if !described.forms.contains(&form) {
                described.forms.push(form);
            }
        });
    }

    /// A table asks for a key.
    pub(super) fn key(&self, table: &str, name: &'static str) {
        self.change(table, name, |_| {});
    }

    /// A key must be given.
    pub(super) fn required(&self, table: &str, name: &'static str) {
        self.change(table, name, |key| key.is_required = true);
    }

    /// What stands for a key that is not given.
    pub(super) fn default_of(&self, table: &str, name: &'static str, default: Json) {
        self.change(table, name, |key| key.default = Some(default));
    }

    /// The words of a table.
    pub(super) fn words(&self, table: &str, words: &'static Words) {
        self.at(table, |described| described.words = Some(words));
    }

    /// All that was said, by path.
    #[cfg(test)]
    pub(super) fn paths(&self) -> BTreeMap<String, Described> {
        self.paths.borrow().clone()
    }

    fn change(&self, table: &str, name: &'static str, change: impl FnOnce(&mut Key)) {
        self.at(table, |described| {
            let keys = &mut described.keys;
            let index = keys.iter().position(|key| key.name == name);
            let index = index.unwrap_or_else(|| {
                keys.push(Key {
                    name,
                    is_required: false,
                    default: None,
                });
                keys.len() - 1
            });
            change(&mut keys[index]);
        });
    }

    fn at(&self, path: &str, change: impl FnOnce(&mut Described)) {
        change(self.paths.borrow_mut().entry(path.to_owned()).or_default());
    }
}
