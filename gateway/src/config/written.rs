//! Where the configuration of a plugin is written: what a plugin says of a key gets that key's line.

use std::fmt;
use std::sync::Arc;

use super::item::Item;
use super::tree::{Node, Value};

/// The place of a plugin's configuration, for messages. In text: the whole, as `file:line: key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// `file:line`
    at: String,
    /// The key in the files, such as `routes[2].plugins[0].config`.
    key: String,
    /// Where its keys stand, if there is a table of them.
    table: Option<Arc<Lines>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Lines {
    file: String,
    key: String,
    /// By the dotted path below the table.
    lines: Vec<(String, usize)>,
}

impl Written {
    /// Of something that has no table.
    pub(super) fn bare(item: &Item<'_>) -> Self {
        Self {
            at: item.scope.show(item.node.at),
            key: item.key.clone(),
            table: None,
        }
    }

    /// Of a table.
    pub(super) fn table(item: &Item<'_>) -> Self {
        let mut lines = Vec::new();
        walk(&item.node.value, "", &mut lines);
        let lines = Lines {
            file: item.scope.file(item.node.at),
            key: item.key.clone(),
            lines,
        };
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
        &self.key
    }

    /// The place of a key below it, a dotted path: of the innermost table around it where it is not there itself.
    pub fn of(&self, key: &str) -> String {
        let Some(table) = &self.table else {
            return self.to_string();
        };
        let mut path = key;
        loop {
            if let Some((_, line)) = table.lines.iter().find(|(known, _)| known == path) {
                return format!("{}:{line}: {}", table.file, table.key);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.to_string(),
            }
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.key)
    }
}

fn walk(value: &Value, path: &str, lines: &mut Vec<(String, usize)>) {
    let mut below = |path: String, line, node: &Node| {
        lines.push((path.clone(), line));
        walk(&node.value, &path, lines);
    };
    match value {
        Value::Table(fields) => {
            for field in fields {
                let dot = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{dot}{}", field.key);
                below(path, field.at.line, &field.node);
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                below(format!("{path}[{index}]"), item.at.line, item);
            }
        }
        _ => {}
    }
}
