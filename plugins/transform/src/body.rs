//! Edits of a JSON body by dotted paths. What no edit names keeps its bytes.

use gateway_plugin_sdk::ConfigError;
use gateway_plugin_sdk::json::{self, Node};
use gateway_plugin_sdk::template::{Source, Template};
use serde_json::Value;

use crate::config::JsonConfig;
use crate::names;

/// The edits in the order that they are made.
#[derive(Debug)]
pub(crate) struct BodyEdits(Vec<Edit>);

type Path = Vec<String>;

#[derive(Debug)]
enum Edit {
    Remove(Path),
    Rename { from: Path, to: Path },
    Set(Path, Node),
    Fill(Path, Template),
}

/// What came of an edit.
#[derive(Debug)]
pub(crate) enum Edited {
    /// The new body.
    Body(Vec<u8>),
    /// The body was no JSON; the text says where.
    NotJson(String),
}

/// Whether a `content-type` says JSON (RFC 8259; RFC 6839, section 3.1).
pub(crate) fn is_json(content_type: Option<Vec<u8>>) -> bool {
    let Some(text) = content_type.and_then(|value| String::from_utf8(value).ok()) else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

impl BodyEdits {
    /// Checks the edits of the table at `table`.
    pub(crate) fn check(table: &str, config: &JsonConfig, faults: &mut Vec<ConfigError>) -> Self {
        let mut edits = Vec::new();
        for (index, dotted) in config.remove.iter().enumerate() {
            let key = format!("{table}.remove[{index}]");
            edits.extend(path(&key, dotted, faults).map(Edit::Remove));
        }
        for (from, to) in &config.rename {
            let key = format!("{table}.rename.{from}");
            let from = path(&key, from, faults);
            if let (Some(from), Some(to)) = (from, path(&key, to, faults)) {
                edits.push(Edit::Rename { from, to });
            }
        }
        for (dotted, value) in &config.set {
            let key = format!("{table}.set.{dotted}");
            if let Some(path) = path(&key, dotted, faults) {
                edits.extend(Edit::setting(path, value, &key, faults));
            }
        }
        Self(edits)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Edits a body; `read` fills templates. A template without a value removes its field.
    pub(crate) fn edit(&self, body: &[u8], read: impl Fn(&Source) -> Option<Vec<u8>>) -> Edited {
        let mut node = match Node::parse(body) {
            Ok(node) => node,
            Err(why) => return Edited::NotJson(why.to_string()),
        };
        for edit in &self.0 {
            match edit {
                Edit::Remove(path) => node.remove(path),
                Edit::Rename { from, to } => node.rename(from, to),
                Edit::Set(path, value) => node.set(path, value),
                Edit::Fill(path, template) => match template.bytes(&read) {
                    Ok(bytes) => {
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        node.set(path, &Node::from_value(&Value::String(text)));
                    }
                    Err(_) => node.remove(path),
                },
            }
        }
        Edited::Body(node.to_vec())
    }
}

impl Edit {
    /// A string may have templates; anything else is what it is.
    fn setting(
        path: Path,
        value: &Value,
        key: &str,
        faults: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let Value::String(text) = value else {
            return Some(Self::Set(path, Node::from_value(value)));
        };
        let template = names::template(key, text, faults)?;
        let constant = template.constant().map(Value::from);
        Some(match constant {
            Some(value) => Self::Set(path, Node::from_value(&value)),
            None => Self::Fill(path, template),
        })
    }
}

fn path(key: &str, dotted: &str, faults: &mut Vec<ConfigError>) -> Option<Path> {
    let path = json::path(dotted);
    if path.is_none() {
        let fault = format!(
            "`{dotted}` is no dotted path; names joined by dots are, at most {} of them",
            json::MAX_DEPTH
        );
        faults.push(ConfigError::new(key, fault));
    }
    path
}
