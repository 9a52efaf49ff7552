//! What can be said of all paths that a regular expression matches, from its syntax alone.

use regex_syntax::hir::{Dot, Hir, HirKind, Look, LookSet};

/// What the paths have in common that a regular expression matches.
///
/// Of an expression that is not anchored, and of letters without case, nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expression {
    /// The whole segments that every match begins with.
    pub segments: Vec<String>,
    /// What follows them, of the next segment.
    pub partial: String,
    /// All that every match begins with.
    pub text: String,
    /// What every match ends with.
    pub suffix: String,
    /// Whether it matches every path with this beginning.
    pub is_prefix: bool,
    /// Whether it matches this beginning alone, as a whole path.
    pub is_whole: bool,
}

/// What a concatenation begins with.
#[derive(Debug, Default)]
struct Beginning {
    text: String,
    /// Whether every match goes on with a slash, or ends.
    is_bounded: bool,
    /// Whether nothing is asked of what follows.
    is_open: bool,
    /// Whether the path ends with it.
    is_whole: bool,
}

impl Expression {
    /// What is known of an expression.
    pub fn new(expression: &str) -> Self {
        // One that is compiled is also parsed.
        let Ok(hir) = regex_syntax::parse(expression) else {
            return Self::default();
        };
        let properties = hir.properties();
        let atoms = atoms(&hir);
        let suffix = match properties.look_set_suffix() {
            set if ends(set) => ending(&atoms),
            _ => String::new(),
        };
        if !begins(properties.look_set_prefix()) {
            let beginning = Beginning::default();
            return Self::beginning_with(beginning, suffix);
        }
        Self::beginning_with(beginning(&atoms), suffix)
    }

    fn beginning_with(beginning: Beginning, suffix: String) -> Self {
        let mut segments: Vec<String> = beginning.text.split('/').map(str::to_owned).collect();
        // Before the first slash there is nothing.
        let first = segments.remove(0);
        let mut partial = segments.pop().unwrap_or_default();
        if beginning.is_bounded && !beginning.text.is_empty() {
            segments.push(std::mem::take(&mut partial));
        }
        if !first.is_empty() {
            // It matches no path, as these begin with a slash.
            segments.clear();
            partial.clear();
        }
        Self {
            segments,
            partial,
            text: beginning.text,
            suffix,
            is_prefix: beginning.is_open && first.is_empty(),
            is_whole: beginning.is_whole && first.is_empty(),
        }
    }
}

fn begins(set: LookSet) -> bool {
    // A path has no line ends, so that a line begins where it does.
    let starts = [Look::Start, Look::StartLF, Look::StartCRLF];
    starts.into_iter().any(|look| set.contains(look))
}

fn ends(set: LookSet) -> bool {
    let ends = [Look::End, Look::EndLF, Look::EndCRLF];
    ends.into_iter().any(|look| set.contains(look))
}

/// What is matched one after the other.
fn atoms(hir: &Hir) -> Vec<&Hir> {
    match hir.kind() {
        HirKind::Concat(parts) => parts.iter().flat_map(atoms).collect(),
        HirKind::Capture(capture) => atoms(&capture.sub),
        HirKind::Empty => Vec::new(),
        _ => vec![hir],
    }
}

fn beginning(atoms: &[&Hir]) -> Beginning {
    let mut found = Beginning::default();
    for (at, atom) in atoms.iter().enumerate() {
        let rest = &atoms[at..];
        match atom.kind() {
            HirKind::Literal(literal) => found.text += &String::from_utf8_lossy(&literal.0),
            HirKind::Look(look) if begins(LookSet::singleton(*look)) => {}
            _ => {
                if let HirKind::Alternation(ways) = atom.kind() {
                    let ways = ways.iter().map(|way| beginning(&self::atoms(way)).text);
                    let common = common(ways);
                    if !common.is_empty() {
                        found.text += &common;
                        return found;
                    }
                }
                found.is_whole = rest.iter().all(|atom| is_end(atom));
                found.is_bounded = is_bounded(rest);
                found.is_open = is_open(rest);
                return found;
            }
        }
    }
    found.is_open = true;
    found
}

/// The beginning that all texts have.
fn common(mut texts: impl Iterator<Item = String>) -> String {
    let mut common = texts.next().unwrap_or_default();
    for text in texts {
        let same = common.chars().zip(text.chars());
        let length = same
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum();
        common.truncate(length);
    }
    common
}

fn is_end(atom: &Hir) -> bool {
    matches!(atom.kind(), HirKind::Look(look) if ends(LookSet::singleton(*look)))
}

/// Whether what follows may be anything: each of it may be nothing, wherever that is.
fn is_open(atoms: &[&Hir]) -> bool {
    let may_be_nothing = |atom: &&Hir| {
        let properties = atom.properties();
        properties.minimum_len() == Some(0) && properties.look_set().is_empty()
    };
    match atoms {
        [any, end] if is_end(end) => is_anything(any),
        atoms => atoms.iter().all(may_be_nothing),
    }
}

/// `.*`
fn is_anything(atom: &Hir) -> bool {
    let HirKind::Repetition(repetition) = atom.kind() else {
        return false;
    };
    let dots = [
        Dot::AnyChar,
        Dot::AnyCharExceptLF,
        Dot::AnyCharExceptCRLF,
        Dot::AnyCharExcept('\n'),
    ];
    let is_dot = dots.into_iter().any(|dot| *repetition.sub == Hir::dot(dot));
    repetition.min == 0 && repetition.max.is_none() && is_dot
}

/// Whether every match of these begins with a slash or ends the path.
fn is_bounded(atoms: &[&Hir]) -> bool {
    let Some((first, rest)) = atoms.split_first() else {
        return false;
    };
    match first.kind() {
        HirKind::Literal(literal) => literal.0.starts_with(b"/"),
        HirKind::Look(_) => is_end(first) || is_bounded(rest),
        HirKind::Repetition(repetition) => {
            let may_be_missing = repetition.min == 0;
            (!may_be_missing || is_bounded(rest)) && {
                let inner = self::atoms(&repetition.sub);
                is_bounded(
                    &inner
                        .into_iter()
                        .chain(rest.iter().copied())
                        .collect::<Vec<_>>(),
                )
            }
        }
        HirKind::Alternation(ways) => ways.iter().all(|way| {
            let inner = self::atoms(way);
            is_bounded(
                &inner
                    .into_iter()
                    .chain(rest.iter().copied())
                    .collect::<Vec<_>>(),
            )
        }),
        _ => false,
    }
}

/// The literal text before the end.
fn ending(atoms: &[&Hir]) -> String {
    let mut literals = Vec::new();
    for atom in atoms.iter().rev() {
        match atom.kind() {
            HirKind::Literal(literal) => literals.push(String::from_utf8_lossy(&literal.0)),
            HirKind::Look(_) if is_end(atom) => {}
            _ => break,
        }
    }
    literals.reverse();
    literals.concat()
}

#[cfg(test)]
mod tests {
    use super::Expression;

    #[track_caller]
    fn assert_begins(expression: &str, segments: &[&str], partial: &str) {
        let known = Expression::new(expression);
        let got = (
            known.segments.iter().map(String::as_str).collect(),
            known.partial.as_str(),
        );
        assert_eq!(got, (segments.to_vec(), partial), "{expression}");
    }

    #[test]
    fn only_segments_that_every_match_has_whole_are_literal() {
        for (expression, segments, partial) in [
            ("^/api/v[12]/", &["api"][..], "v"),
            ("^/api", &[], "api"),
            ("^/api/", &["api"], ""),
            ("^/api$", &["api"], ""),
            ("^/api(/|$)", &["api"], ""),
            ("^/api(/.*)?$", &["api"], ""),
            ("^/api(/.*)?", &[], "api"),
            ("^/api(?:/v1)+$", &["api"], ""),
            (r"\A/api/x\z", &["api", "x"], ""),
            ("(?m)^/api/", &["api"], ""),
            ("^(/api)/(v1)/", &["api", "v1"], ""),
            ("^/(?:api|app)/x", &[], "ap"),
            ("^/a/x|^/a/y", &["a"], ""),
            ("^/a/x|/a/y", &[], ""),
            ("^/$", &[""], ""),
            ("^/", &[], ""),
            ("^$", &[], ""),
            ("^api/", &[], ""),
            ("/api/", &[], ""),
            ("", &[], ""),
            ("(?i)^/api/", &[], ""),
            ("^/a/(?i)b/", &["a"], ""),
            (r"^/api\.v1/", &["api.v1"], ""),
            (r"^/api\b", &[], "api"),
            ("^/[a]pi/", &["api"], ""),
            ("^/a*/", &[], ""),
            ("^/a/?$", &["a"], ""),
        ] {
            assert_begins(expression, segments, partial);
        }
    }

    #[test]
    fn what_an_expression_matches_whatever_follows_is_a_prefix() {
        for prefix in ["^/a/", "^/a", "^/a/.*", "^/a/.*$", "^/a/(x|y)?", "^/", "^"] {
            assert!(Expression::new(prefix).is_prefix, "{prefix}");
        }
        for other in ["^/a$", "^/a/.+", "^/a/[0-9]*$", "/a/", r"^/a\b", "^/a(/|$)"] {
            assert!(!Expression::new(other).is_prefix, "{other}");
        }
        assert!(Expression::new("^/a/b$").is_whole);
        assert!(!Expression::new("^/a/b").is_whole);
    }

    #[test]
    fn an_end_is_literal_where_the_expression_is_anchored_there() {
        assert_eq!(Expression::new(r"^/a/.*\.css$").suffix, ".css");
        assert_eq!(Expression::new(r"\.js$").suffix, ".js");
        assert_eq!(Expression::new(r"\.js").suffix, "");
        assert_eq!(Expression::new(r"(\.js|x)$").suffix, "");
    }
}
