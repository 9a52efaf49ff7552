//! Texts that everything has in it that a regular expression matches, from its syntax alone.

use regex_syntax::hir::literal::{Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

/// An expression that would need one of more texts is not known by them.
const MOST: usize = 16;

/// How much of a text is looked for, in bytes.
const LONGEST: usize = 24;

/// So many places in an expression are looked at.
const PLACES: usize = 24;

/// Texts of which every match of an expression has one, those that are found the least often: the longest. None where
/// there are none, or too many.
pub(super) fn of(expression: &str) -> Option<Vec<Vec<u8>>> {
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
    use super::of;

    #[track_caller]
    fn assert_texts(expression: &str, wanted: &[&str]) {
        let found = of(expression).unwrap_or_default();
        let found: Vec<_> = found.iter().map(|it| String::from_utf8_lossy(it)).collect();
        assert_eq!(found, wanted, "{expression}");
    }

    #[test]
    fn an_expression_needs_the_longest_text_that_every_match_has() {
        assert_texts("^/.*x7$", &["x7"]);
        assert_texts("^/[^/]+/orders/.*$", &["/orders/"]);
        assert_texts("^/a/.*(tea|cocoa)$", &["tea", "cocoa"]);
        assert_texts("(?i)ab", &["AB", "Ab", "aB", "ab"]);
        assert_texts("(a|b)x7", &["ax7", "bx7"]);
        assert_texts("^.*$", &[]);
        assert_texts("(ab)?", &[]);
        assert_texts(r"^\w+$", &[]);
        assert_texts("[a&&b]", &[]);
    }
}
