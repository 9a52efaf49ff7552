//! Regular expressions that begin with the same segments: by what each has of the next one, and where many have the same,
//! by texts that their matches have in them, so that a path runs few.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::leaf::{Leaf, NONE, Visit};
use super::needles::Needles;
use crate::config::{Predicates, Regex};

/// So many are run one by one.
const FEW: usize = 8;

/// Regular expressions at one place of the trie.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// By the length of the text that follows the segments, and the text; with nothing to tell them apart, all.
    lengths: Vec<(usize, ByBeginning)>,
}

/// Expressions by what follows the segments.
type ByBeginning = HashMap<Box<str>, Alike, foldhash::fast::RandomState>;

/// Expressions with the same beginning.
#[derive(Debug, Default)]
struct Alike {
    entries: ByText,
    /// Where there are many.
    needles: Option<Needles>,
}

/// Expressions by their own text, best rank first.
type ByText = IndexMap<Regex, Entry, foldhash::fast::RandomState>;

#[derive(Debug)]
struct Entry {
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
        let alike = self.lengths[at].1.entry(partial.into()).or_default();
        let entry = alike.entries.entry(regex.clone());
        let entry = entry.or_insert_with(|| Entry {
            best: NONE,
            leaf: Leaf::default(),
        });
        entry.best = entry.best.min(rank);
        entry.leaf.push(rank);
    }

    /// Prepares what has many pairs for the look-up.
    pub(super) fn index<'a>(&mut self, predicates: &impl Fn(u32) -> &'a Predicates) {
        let alike = self.lengths.iter_mut();
        for alike in alike.flat_map(|(_, texts)| texts.values_mut()) {
            for entry in alike.entries.values_mut() {
                entry.leaf.index(predicates);
            }
            if alike.entries.len() > FEW {
                alike.needles = Needles::new(alike.entries.keys().map(Regex::texts));
            }
        }
    }

    /// Visits all that match `path`, of which `left` follows the segments.
    pub(super) fn each(&self, path: &str, left: &str, visit: &mut impl Visit) {
        for (length, texts) in &self.lengths {
            let Some(alike) = left.get(..*length).and_then(|text| texts.get(text)) else {
                continue;
            };
            match &alike.needles {
                None => run(path, alike.entries.iter(), visit),
                Some(needles) => {
                    let candidates = needles.candidates(path);
                    let entries = candidates.iter();
                    let entries = entries.filter_map(|at| alike.entries.get_index(*at as usize));
                    run(path, entries, visit);
                }
            }
        }
    }
}

/// Visits those that match, of some with the best rank first.
fn run<'a>(
    path: &str,
    entries: impl Iterator<Item = (&'a Regex, &'a Entry)>,
    visit: &mut impl Visit,
) {
    for (regex, entry) in entries {
        if !visit.wants(entry.best) {
            break;
        }
        if regex.is_match(path) {
            visit.leaf(&entry.leaf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranks of those that match.
    #[derive(Default)]
    struct Matching(Vec<u32>);

    impl Visit for Matching {
        fn wants(&self, _: u32) -> bool {
            true
        }

        fn leaf(&mut self, leaf: &Leaf) {
            self.0.extend(leaf.all());
        }
    }

    const EXPRESSIONS: [&str; 22] = [
        "ab",
        "ab$",
        "^/.*ab$",
        "^/[^/]+/ab/.*$",
        "^.*/(ab|ba)/[ab]*$",
        "(?i)AB",
        "(?i)^/a(b|ba)$",
        "[ab]ba?",
        "(ab){2,}",
        "(ab|b)*$",
        "a.b",
        "a?b?$",
        "",
        "é",
        "[éa]b",
        "(a|é|bb)/$",
        "[a&&b]",
        "a{3}|b{3}|/{3}",
        "\\bab\\b",
        "^/a/|/b$",
        "[^a]b[^b]",
        "(?-u:[ab])b",
    ];

    #[test]
    fn those_that_match_are_the_same_as_if_all_were_run() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut expressions = Expressions::default();
        let regexes = EXPRESSIONS.map(|text| Regex::new(text).unwrap());
        for (rank, regex) in (0..).zip(&regexes) {
            expressions.insert("", regex, rank);
        }
        let predicates = Predicates::default();
        expressions.index(&|_| &predicates);
        for _ in 0..20_000 {
            let length = random.usize(..9);
            let path = (0..length).map(|_| random.choice(["a", "b", "/", "é", "B"]).unwrap());
            let path = "/".to_owned() + &path.collect::<String>();
            let mut found = Matching::default();
            expressions.each(&path, &path[1..], &mut found);
            let all = (0..).zip(&regexes);
            let matching = all.filter(|(_, regex)| regex.is_match(&path));
            let matching: Vec<u32> = matching.map(|(rank, _)| rank).collect();
            assert_eq!(found.0, matching, "{path}");
        }
    }
}
