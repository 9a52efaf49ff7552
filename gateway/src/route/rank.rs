//! Which of two matching routes is the more specific one: host, then path, then predicates; `priority` above all.

use std::cmp::Ordering;

use crate::config::{HostPattern, Match, PathPattern, Segment};

/// `Greater` if `a` goes before `b`.
pub(super) fn compare(a: &Match, b: &Match) -> Ordering {
    a.priority
        .cmp(&b.priority)
        .then_with(|| host(a).cmp(&host(b)))
        .then_with(|| paths(a).cmp(&paths(b)))
        .then_with(|| predicates(a).cmp(&predicates(b)))
}

/// Exact hosts before wildcards, longer wildcards before shorter ones, anything before none.
fn host(matcher: &Match) -> (u8, usize) {
    matcher
        .hosts
        .iter()
        .map(|host| match host {
            HostPattern::Exact(_) => (2, 0),
            HostPattern::Suffix(suffix) => (1, suffix.len()),
            HostPattern::Template(labels) => (1, length(labels)),
        })
        .min()
        .unwrap_or((0, 0))
}

/// As that of a wildcard; of two that are as long, the one that is a literal counts for more.
fn length(labels: &[Segment]) -> usize {
    let lengths = labels.iter().map(|label| match label {
        Segment::Literal(text) => 1 + text.len(),
        Segment::Param(_) => 1,
    });
    lengths.sum()
}

/// That of the least specific path.
fn paths(matcher: &Match) -> (u8, Vec<u8>) {
    let ranks = matcher.paths.iter().map(path);
    ranks.min().unwrap_or((0, Vec::new()))
}

/// Exact, then segment by segment (literal before parameter before the rest), then regex, then any.
fn path(pattern: &PathPattern) -> (u8, Vec<u8>) {
    const REST: u8 = 1;
    const PARAM: u8 = 2;
    const LITERAL: u8 = 3;
    const END: u8 = 4;
    match pattern {
        PathPattern::Exact(_) => (3, Vec::new()),
        PathPattern::Prefix(prefix) => {
            let literals = prefix
                .split('/')
                .filter(|segment| !segment.is_empty())
                .count();
            (
                2,
                std::iter::repeat_n(LITERAL, literals)
                    .chain([REST])
                    .collect(),
            )
        }
        PathPattern::Template { segments, rest } => {
            let kinds = segments.iter().map(|segment| match segment {
                Segment::Literal(_) => LITERAL,
                Segment::Param(_) => PARAM,
            });
            (2, kinds.chain([if *rest { REST } else { END }]).collect())
        }
        PathPattern::Regex(_) => (1, Vec::new()),
        PathPattern::Any => (0, Vec::new()),
    }
}

fn predicates(matcher: &Match) -> usize {
    let predicates = &matcher.predicates;
    usize::from(!predicates.methods.is_empty())
        + predicates.headers.len()
        + predicates.cookies.len()
        + predicates.query.len()
        + usize::from(!predicates.client.is_empty())
        + usize::from(predicates.after.is_some())
        + usize::from(predicates.before.is_some())
        + usize::from(predicates.version.is_some())
}
