//! `${secrets.NAME}` in the configuration of a plugin. It needs no grant: the operator wrote it into what the plugin is
//! given. A grant is what `secrets.get` of the plugin asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::item::Item;
use super::suggest;
use super::tree::{Entry, Node, Piece, Value};
use super::units::Secret;

/// `[secrets]` of all files.
#[derive(Debug)]
pub(super) struct Secrets {
    /// Every name that is declared, sound or not.
    pub(super) names: Vec<Arc<str>>,
    /// The values of those that are sound.
    pub(super) values: BTreeMap<Arc<str>, Secret>,
}

/// The configuration of a plugin with its secrets in place.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) node: Node,
    /// The secrets it names that are declared.
    pub(super) secrets: Vec<Arc<str>>,
}

/// Puts the values of secrets in their place; a name that no secret has is a fault.
pub(super) fn secrets(item: &Item<'_>, secrets: &Secrets) -> Filled {
    let mut used = Vec::new();
    let node = filled(item, secrets, &mut used);
    used.sort_unstable();
    used.dedup();
    Filled {
        node,
        secrets: used,
    }
}

fn filled(item: &Item<'_>, secrets: &Secrets, used: &mut Vec<Arc<str>>) -> Node {
    let value = match &item.node.value {
        Value::Holes(pieces) => return text(item, pieces, secrets, used),
        Value::List(_) => {
            let items = item.elements();
            let items = items.iter().map(|item| filled(item, secrets, used));
            Value::List(items.collect())
        }
        Value::Table(_) => {
            let fields = item.fields("a table").unwrap_or_default();
            let fields = fields.iter().map(|(entry, item)| Entry {
                key: entry.key.clone(),
                at: entry.at,
                node: filled(item, secrets, used),
            });
            Value::Table(fields.collect())
        }
        other => other.clone(),
    };
    Node {
        at: item.node.at,
        outside: item.node.outside.clone(),
        value,
    }
}

fn text(item: &Item<'_>, pieces: &[Piece], secrets: &Secrets, used: &mut Vec<Arc<str>>) -> Node {
    let mut node = Node {
        at: item.node.at,
        outside: item.node.outside.clone(),
        value: Value::Broken,
    };
    let mut text = String::new();
    let mut is_sound = true;
    for piece in pieces {
        let name = match piece {
            Piece::Text(piece) => {
                text.push_str(piece);
                continue;
            }
            Piece::Secret(name) => name,
        };
        let declared = secrets.names.iter().find(|known| ***known == **name);
        used.extend(declared.cloned());
        item.scope.uses("a secret", name);
        match secrets.values.get(name.as_str()) {
            Some(secret) => {
                text.push_str(secret.reveal());
                let values = node.outside.as_mut().map(|outside| &mut outside.values);
                values
                    .into_iter()
                    .for_each(|values| values.push(secret.clone()));
            }
            None => {
                is_sound = false;
                // One that is declared has a fault of its own.
                if declared.is_none() && item.scope.is_complete() {
                    let names = secrets.names.iter().map(|name| &**name);
                    let remedy = match secrets.names.as_slice() {
                        [] => "; the files have no secrets".to_owned(),
                        _ => suggest::remedy(name, names, "there is"),
                    };
                    item.fault(format!("no secret is called `{name}`{remedy}"));
                }
            }
        }
    }
    if is_sound {
        node.value = Value::Text(text);
    }
    node
}
