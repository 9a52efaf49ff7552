//! `[chains]`: chains by name, which may stand for each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::step::{Asked, Piece, Step, pieces};
use crate::config::item::Item;
use crate::config::model::LONGEST_CHAIN;
use crate::config::scope::Scope;
use crate::config::sections::Names;

/// What the chains come to, by their names.
#[derive(Debug, Default)]
pub(in crate::config) struct Chains {
    steps: BTreeMap<Arc<str>, Vec<Step>>,
}

/// One of `[chains]`.
pub(in crate::config) fn chain(
    item: &Item<'_>,
    names: &Names,
) -> Option<(Option<Vec<Piece>>, Json)> {
    let (pieces, shown) = pieces(item, names);
    if item.is_empty_list() {
        item.warn("is empty: no plugin runs where it is named");
    }
    Some((Some(pieces), shown))
}

impl Chains {
    /// Puts chains in the place of their names.
    pub(in crate::config) fn new(scope: &Scope, written: &IndexMap<Arc<str>, Vec<Piece>>) -> Self {
        let mut reading = Reading {
            scope,
            written,
            chains: Self::default(),
        };
        for name in written.keys() {
            reading.chain(name, &mut Vec::new());
        }
        reading.chains
    }

    /// A chain that names others, as its plugins.
    pub(super) fn steps(&self, pieces: Vec<Piece>) -> Vec<Step> {
        let mut steps = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Plugin(step) => steps.push(*step),
                Piece::Chain(name, _) => {
                    steps.extend(self.steps.get(&name).into_iter().flatten().cloned());
                }
            }
        }
        steps
    }
}

/// Chains on their way to their plugins.
struct Reading<'a> {
    scope: &'a Scope,
    written: &'a IndexMap<Arc<str>, Vec<Piece>>,
    chains: Chains,
}

impl Reading<'_> {
    /// The plugins of a chain, which `path` leads to.
    fn chain(&mut self, name: &Arc<str>, path: &mut Vec<Arc<str>>) -> Vec<Step> {
        if let Some(steps) = self.chains.steps.get(name) {
            return steps.clone();
        }
        let Some(written) = self.written.get(name) else {
            return Vec::new();
        };
        path.push(name.clone());
        let mut steps = Vec::new();
        for piece in written {
            match piece {
                Piece::Plugin(step) => steps.push((**step).clone()),
                Piece::Chain(other, asked) => steps.extend(self.other(other, asked, path)),
            }
            // Whoever names it is told that it is too long.
            steps.truncate(LONGEST_CHAIN + 1);
        }
        path.pop();
        self.chains.steps.insert(name.clone(), steps.clone());
        steps
    }

    /// The plugins of a chain that the last of `path` names.
    fn other(&mut self, name: &Arc<str>, asked: &Asked, path: &mut Vec<Arc<str>>) -> Vec<Step> {
        let Asked { at, key } = asked;
        if let Some(start) = path.iter().position(|before| before == name) {
            let circle: Vec<_> = path[start..]
                .iter()
                .chain([name])
                .map(|name| format!("`{name}`"))
                .collect();
            let message = format!("is a circle: {}", circle.join(" → "));
            self.scope.fault(*at, key, message);
            return Vec::new();
        }
        if path.len() > LONGEST_CHAIN {
            let message = format!(
                "leads through more than {LONGEST_CHAIN} chains; name fewer, or their plugins"
            );
            self.scope.fault(*at, key, message);
            return Vec::new();
        }
        self.chain(name, path)
    }
}
