//! Regular expressions that begin with the same segments: by what each has of the next one, so that a path runs few.

use std::collections::HashMap;

use indexmap::IndexMap;
use regex::Regex;

use super::leaf::{Leaf, NONE, Visit};
use crate::config::Predicates;

/// Regular expressions at one place of the trie.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// By the length of the text that follows the segments, and the text; with nothing to tell them apart, all.
    lengths: Vec<(usize, ByBeginning)>,
}

/// Expressions by what follows the segments.
type ByBeginning = HashMap<Box<str>, ByText, foldhash::fast::RandomState>;

/// Expressions by their own text, best rank first.
type ByText = IndexMap<Box<str>, Entry, foldhash::fast::RandomState>;

#[derive(Debug)]
struct Entry {
    regex: Regex,
    /// The best rank of all of them.
    best: u32,
    leaf: Leaf,
}

impl Expressions {
    /// Adds one all of whose matches go on with `partial`; they come best rank first.
    pub(super) fn insert(&mut self, partial: &str, regex: &Regex, rank: u32) {
        let known = self
            .lengths
            .iter()
            .position(|(length, _)| *length == partial.len());
        let at = known.unwrap_or_else(|| {
            self.lengths.push((partial.len(), HashMap::default()));
            self.lengths.len() - 1
        });
        let by_text = self.lengths[at].1.entry(partial.into()).or_default();
        let entry = by_text.entry(regex.as_str().into());
        let entry = entry.or_insert_with(|| Entry {
            regex: regex.clone(),
            best: NONE,
            leaf: Leaf::default(),
        });
        entry.best = entry.best.min(rank);
        entry.leaf.push(rank);
    }

    /// Prepares what has many pairs for the look-up.
    pub(super) fn index<'a>(&mut self, predicates: &impl Fn(u32) -> &'a Predicates) {
        let by_text = self
            .lengths
            .iter_mut()
            .flat_map(|(_, texts)| texts.values_mut());
        for entry in by_text.flat_map(|entries| entries.values_mut()) {
            entry.leaf.index(predicates);
        }
    }

    /// Visits all that match `path`, of which `left` follows the segments.
    pub(super) fn each(&self, path: &str, left: &str, visit: &mut impl Visit) {
        for (length, texts) in &self.lengths {
            let Some(entries) = left.get(..*length).and_then(|text| texts.get(text)) else {
                continue;
            };
            for entry in entries.values() {
                if !visit.wants(entry.best) {
                    break;
                }
                if entry.regex.is_match(path) {
                    visit.leaf(&entry.leaf);
                }
            }
        }
    }
}
