//! One value on its way to a reader, and what it says where it is not what the reader takes.

use std::path::Path;
use std::slice;
use std::sync::LazyLock;

use serde_json::Value as Json;

use super::description::Shape;
use super::reason::Reason;
use super::scope::{Location, Scope};
use super::tree::{self, Entry, Node, Value};

/// What is said of a text that only the configuration of a plugin may have.
pub(super) const HOLES: &str = "`${secrets.NAME}` stands for a secret inside the `config` of a plugin alone; write \"${NAME}\" or { file = \"..\" } here";

/// What stands for everything in a scope that describes: a value that no reader complains of.
static PROBE: LazyLock<Entry> = LazyLock::new(|| {
    let at = Location { file: 0, line: 0 };
    Entry {
        key: "NAME".to_owned(),
        at,
        node: Node {
            at,
            outside: None,
            value: Value::Broken,
        },
    }
});

/// One value, with the key that names it in faults.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    pub(super) scope: &'a Scope,
    pub(super) node: &'a Node,
    pub(super) key: String,
}

/// What a value is, as far as readers choose by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    List,
    Table,
    Other,
}

impl<'a> Item<'a> {
    /// Reports a fault of this value. The message names it by [`Item::quoted`], and repeats it by a [`Reason`] alone:
    /// it may have come from outside.
    pub(super) fn fault(&self, message: impl Into<String>) {
        let (at, key) = (self.node.at, &self.key);
        match self.is_outside() {
            true => self.scope.fault_of_value(at, key, message),
            false => self.scope.fault(at, key, message),
        }
    }

    /// Reports what somebody should look at.
    pub(super) fn warn(&self, message: impl Into<String>) {
        self.scope.warn(self.node.at, &self.key, message);
    }

    /// Reports that this is of another kind than expected.
    pub(super) fn mismatch(&self, expected: &str) {
        match self.node.value {
            Value::Broken => {}
            Value::Holes(_) => self.fault(HOLES),
            _ => self.fault(format!(
                "expected {expected}, found {}",
                self.node.describe()
            )),
        }
    }

    /// Reports that this is none of what a reader takes; or, where there is nothing to read, describes that.
    /// Whether it did the latter.
    pub(super) fn expect(&self, shape: Shape, expected: &str) -> bool {
        match self.scope.description() {
            Some(description) => {
                if self.is_broken() {
                    description.form(&self.key, shape, expected);
                }
                self.is_broken()
            }
            None => {
                self.mismatch(expected);
                false
            }
        }
    }

    /// Whether there is nothing to read, but a reader to be described.
    pub(super) fn is_probe(&self) -> bool {
        self.scope.description().is_some() && self.is_broken()
    }

    /// Whether the value could not be had, which is reported already.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.node.value, Value::Broken)
    }

    /// Whether this is a list without items.
    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    /// Whether the value came out of the environment, a file or `[secrets]`.
    pub(super) fn is_outside(&self) -> bool {
        self.node.outside.is_some()
    }

    /// The file that the value is the content of.
    pub(super) fn file(&self) -> Option<&'a Path> {
        self.node.outside.as_ref()?.file.as_deref()
    }

    /// A reason in words that may be shown.
    pub(super) fn told(&self, reason: &Reason) -> String {
        reason.told(self.is_outside())
    }

    /// The value as that which a sentence is about and which it does not show; nothing, where the key says enough.
    pub(super) fn subject(&self) -> String {
        self.node.subject()
    }

    /// How the value may be quoted, in one line. One that came from outside is shown where it was read as what may be
    /// shown, a path say, and else named as written.
    pub(super) fn quoted(&self) -> String {
        match (&self.node.outside, &self.node.value) {
            (Some(outside), _) => match self.read_as() {
                Some(text) => format!("`{text}` (the value of {})", outside.written),
                None => format!("the value of {}", outside.written),
            },
            (None, Value::Text(text)) if text.is_empty() => "the empty string".to_owned(),
            (None, Value::Text(text)) if text.chars().any(char::is_control) => {
                format!("`{}`", text.escape_debug())
            }
            (None, Value::Text(text)) => format!("`{text}`"),
            _ => self.node.describe(),
        }
    }

    /// What it was read as, if that may be shown. What stands for a value that is not set is none.
    fn read_as(&self) -> Option<String> {
        let read = self.scope.read_as(self.node.at, || self.key.clone());
        match read.filter(|_| !self.is_unset())? {
            Json::String(text) => Some(text),
            read @ (Json::Number(_) | Json::Bool(_)) => Some(read.to_string()),
            _ => None,
        }
    }

    /// Where a key of a table stands and what it is called: where the table does, if it has no such key.
    pub(super) fn place_of(&self, key: &str) -> (Location, String) {
        let at = match &self.node.value {
            Value::Table(fields) => fields.iter().find(|entry| entry.key == key),
            _ => None,
        };
        let at = at.map_or(self.node.at, |entry| entry.at);
        (at, tree::join(&self.key, key))
    }

    /// The `name` of a table, if it has one.
    pub(super) fn named(&self) -> Option<Item<'a>> {
        self.field("name")
    }

    /// A value of a table, if it has one by this key.
    pub(super) fn field(&self, key: &str) -> Option<Item<'a>> {
        let Value::Table(fields) = &self.node.value else {
            return None;
        };
        let entry = fields.iter().find(|entry| entry.key == key)?;
        Some(Item {
            scope: self.scope,
            node: &entry.node,
            key: tree::join(&self.key, key),
        })
    }

    /// Whether something that is not set stands here or in it: compared with another value it says nothing.
    pub(super) fn is_unset(&self) -> bool {
        self.node.is_unset(self.scope)
    }

    /// Whether something that is not set stands at a key of a table.
    pub(super) fn has_unset(&self, key: &str) -> bool {
        self.scope.has_stand_ins() && self.field(key).is_some_and(|item| item.is_unset())
    }

    /// The items of a list; `expected` says what one looks like.
    pub(super) fn items(&self, expected: &str) -> Option<Vec<Item<'a>>> {
        self.is_list(expected).then(|| self.elements())
    }

    /// Whether this is a list; what is none is reported. `expected` says what an item looks like.
    pub(super) fn is_list(&self, expected: &str) -> bool {
        matches!(self.node.value, Value::List(_)) || self.expect(Shape::List, expected)
    }

    /// As [`Item::items`]; of what is no list, none.
    pub(super) fn elements(&self) -> Vec<Item<'a>> {
        let item = |node, key| Item {
            scope: self.scope,
            node,
            key,
        };
        match &self.node.value {
            Value::List(nodes) => {
                let items = nodes.iter().enumerate();
                let items = items.map(|(index, node)| item(node, tree::at(&self.key, index)));
                items.collect()
            }
            _ if self.is_probe() => vec![item(&PROBE.node, format!("{}[]", self.key))],
            _ => Vec::new(),
        }
    }

    /// The values of a table, by keys the user chose.
    pub(super) fn fields(&self, expected: &str) -> Option<Vec<(&'a Entry, Item<'a>)>> {
        let entries = match &self.node.value {
            Value::Table(entries) => entries.as_slice(),
            _ if self.expect(Shape::Map, expected) => slice::from_ref(&*PROBE),
            _ => return None,
        };
        let fields = entries.iter().map(|entry| {
            let item = Item {
                scope: self.scope,
                node: &entry.node,
                key: tree::join(&self.key, &entry.key),
            };
            (entry, item)
        });
        Some(fields.collect())
    }

    /// Reads a value of which there are several forms. Where readers are described, all of them.
    pub(super) fn by_form<T>(&self, mut read: impl FnMut(Form) -> T) -> T {
        if self.is_probe() {
            read(Form::Text);
            read(Form::List);
            return read(Form::Table);
        }
        read(match self.node.value {
            Value::Text(_) => Form::Text,
            Value::List(_) => Form::List,
            Value::Table(_) => Form::Table,
            _ => Form::Other,
        })
    }
}

/// What a value whose key is not given stands for, where readers are described.
pub(super) fn probe() -> &'static Node {
    &PROBE.node
}
