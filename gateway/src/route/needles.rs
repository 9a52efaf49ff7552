//! Which of many regular expressions can match a path: one automaton finds the texts of which each needs one.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;
use regex_syntax::hir::literal::{Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

/// An expression that would need one of more texts is run for every path.
const MOST: usize = 16;

/// How much of a text is looked for, in bytes.
const LONGEST: usize = 24;

/// The most bytes of all texts of one automaton, which takes some ten times as many. Expressions beyond it are run for
/// every path.
const TOGETHER: usize = 1 << 20;

/// So many places in an expression are looked at.
const PLACES: usize = 24;

/// Texts, and the expressions that need one of them, by their place in a list.
#[derive(Debug)]
pub(super) struct Needles {
    automaton: AhoCorasick,
    /// By text.
    of: Vec<Vec<u32>>,
    /// Those of which no text is known.
    others: Vec<u32>,
}

impl Needles {
    /// The texts of expressions that are compiled. None if too few have any.
    pub(super) fn new<'a>(expressions: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut numbers: HashMap<Vec<u8>, usize, foldhash::fast::RandomState> = HashMap::default();
        let (mut texts, mut of, mut others) = (Vec::new(), Vec::<Vec<u32>>::new(), Vec::new());
        let mut bytes = 0;
        for (expression, at) in expressions.zip(0..) {
            let needles = needles(expression).unwrap_or_default();
            bytes += needles.iter().map(Vec::len).sum::<usize>();
            if needles.is_empty() || bytes > TOGETHER {
                others.push(at);
                continue;
            }
            for needle in needles {
                let number = *numbers.entry(needle).or_insert_with_key(|needle| {
                    texts.push(needle.clone());
                    of.push(Vec::new());
                    texts.len() - 1
                });
                of[number].push(at);
            }
        }
        if texts.is_empty() {
            return None;
        }
        let automaton = AhoCorasick::new(&texts).ok()?;
        Some(Self {
            automaton,
            of,
            others,
        })
    }

    /// The expressions that can match a path, in the order of the list.
    pub(super) fn candidates(&self, path: &str) -> Vec<u32> {
        let mut candidates = self.others.clone();
        // A client repeats a text as often as a path has room.
        let mut met = Vec::new();
        for found in self.automaton.find_overlapping_iter(path) {
            let number = found.pattern().as_usize();
            if met.is_empty() {
                met.resize(self.of.len(), false);
            }
            if !std::mem::replace(&mut met[number], true) {
                candidates.extend_from_slice(&self.of[number]);
            }
        }
        if !met.is_empty() {
            candidates.sort_unstable();
            candidates.dedup();
        }
        candidates
    }
}

/// Texts of which every match of an expression has one, those that are found the least often: the longest. None where
/// there are none, or too many.
fn needles(expression: &str) -> Option<Vec<Vec<u8>>> {
    let hir = regex_syntax::parse(expression).ok()?;
    let mut atoms = Vec::new();
    flatten(&hir, &mut atoms);
    let places = (0..atoms.len()).filter(|at| begins_with_text(atoms[*at]));
    // What follows a place in a match is a match of the rest, and begins with one of these.
    let texts = places.take(PLACES).filter_map(|at| {
        let rest = Hir::concat(atoms[at..].iter().map(|atom| (*atom).clone()).collect());
        bounded(Extractor::new().extract(&rest))
    });
    // Of those that are as long the last: the beginning led here already.
    texts.max_by_key(|texts| shortest(texts))
}

/// What is matched one after the other.
fn flatten<'a>(hir: &'a Hir, atoms: &mut Vec<&'a Hir>) {
    match hir.kind() {
        HirKind::Concat(parts) => parts.iter().for_each(|part| flatten(part, atoms)),
        HirKind::Capture(capture) => flatten(&capture.sub, atoms),
        _ => atoms.push(hir),
    }
}

fn begins_with_text(atom: &Hir) -> bool {
    match atom.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        _ => atom.properties().minimum_len() > Some(0),
    }
}

/// These, if they are few and none is empty.
fn bounded(mut texts: Seq) -> Option<Vec<Vec<u8>>> {
    texts.keep_first_bytes(LONGEST);
    texts.dedup();
    let texts = texts
        .literals()?
        .iter()
        .map(|text| text.as_bytes().to_vec());
    let texts: Vec<_> = texts.take(MOST + 1).collect();
    (texts.len() <= MOST && shortest(&texts) > 0).then_some(texts)
}

fn shortest(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_needles(expression: &str, wanted: &[&str]) {
        let found = needles(expression).unwrap_or_default();
        let found: Vec<_> = found.iter().map(|it| String::from_utf8_lossy(it)).collect();
        assert_eq!(found, wanted, "{expression}");
    }

    #[test]
    fn an_expression_needs_the_longest_text_that_every_match_has() {
        assert_needles("^/.*x7$", &["x7"]);
        assert_needles("^/[^/]+/orders/.*$", &["/orders/"]);
        assert_needles("^/a/.*(tea|cocoa)$", &["tea", "cocoa"]);
        assert_needles("(?i)ab", &["AB", "Ab", "aB", "ab"]);
        assert_needles("(a|b)x7", &["ax7", "bx7"]);
        assert_needles("^.*$", &[]);
        assert_needles("(ab)?", &[]);
        assert_needles(r"^\w+$", &[]);
        assert_needles("[a&&b]", &[]);
    }

    #[test]
    fn of_ten_thousand_a_path_has_the_few_that_can_match() {
        let all: Vec<_> = (0..10_000).map(|at| format!("^/.*x{at}$")).collect();
        let all = all.iter().map(String::as_str).chain(["^.*$"]);
        let needles = Needles::new(all).unwrap();
        let candidates = needles.candidates("/x123/x123");
        assert_eq!(candidates, [1, 12, 123, 10_000]);
        assert_eq!(needles.candidates("/a"), [10_000]);
    }
}
