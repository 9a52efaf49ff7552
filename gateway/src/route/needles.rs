//! Which of many regular expressions can match a path: one automaton finds the texts of which each needs one.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;

/// The most bytes of all texts of one automaton, which takes some ten times as many. Expressions beyond it are run for
/// every path.
const TOGETHER: usize = 1 << 20;

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
    /// The texts of expressions. None if too few have any.
    pub(super) fn new<'a>(expressions: impl Iterator<Item = &'a [Vec<u8>]>) -> Option<Self> {
        let mut numbers: HashMap<&[u8], usize, foldhash::fast::RandomState> = HashMap::default();
        let (mut texts, mut of, mut others) = (Vec::new(), Vec::<Vec<u32>>::new(), Vec::new());
        let mut bytes = 0;
        for (needles, at) in expressions.zip(0..) {
            bytes += needles.iter().map(Vec::len).sum::<usize>();
            if needles.is_empty() || bytes > TOGETHER {
                others.push(at);
                continue;
            }
            for needle in needles {
                let number = *numbers.entry(needle).or_insert_with(|| {
                    texts.push(needle);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Regex;

    #[test]
    fn of_ten_thousand_a_path_has_the_few_that_can_match() {
        let all: Vec<_> = (0..10_000).map(|at| format!("^/.*x{at}$")).collect();
        let all = all.iter().map(String::as_str).chain(["^.*$"]);
        let all: Vec<_> = all.map(|text| Regex::new(text).unwrap()).collect();
        let needles = Needles::new(all.iter().map(Regex::texts)).unwrap();
        let candidates = needles.candidates("/x123/x123");
        assert_eq!(candidates, [1, 12, 123, 10_000]);
        assert_eq!(needles.candidates("/a"), [10_000]);
    }
}
