//! Whether one request can meet the conditions of two routes.

use std::time::SystemTime;

use super::super::super::model::{
    HostPattern, Predicates, Segment, ValuePattern, VersionPattern, Versions,
};
use super::super::super::rank::Expression;
use super::super::super::regex::Regex;
use crate::message::version::ApiVersion;

/// Whether two conditions can hold of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meeting {
    /// They contradict each other.
    Never,
    /// Regular expressions leave it open.
    Unknown,
    /// They can.
    Possible,
}

impl Meeting {
    fn of(possible: bool) -> Self {
        if possible {
            Self::Possible
        } else {
            Self::Never
        }
    }

    /// Where all conditions have to meet.
    pub(super) fn all(meetings: impl IntoIterator<Item = Self>) -> Self {
        meetings.into_iter().min().unwrap_or(Self::Possible)
    }
}

/// Of two lists that each stand for everything where they are empty.
pub(super) fn lists<T: PartialEq>(a: &[T], b: &[T]) -> Meeting {
    let share = a.iter().any(|item| b.contains(item));
    Meeting::of(a.is_empty() || b.is_empty() || share)
}

/// Of hosts that rank alike.
pub(super) fn hosts(a: Option<&HostPattern>, b: Option<&HostPattern>) -> Meeting {
    match (a, b) {
        (Some(HostPattern::Template(a)), Some(HostPattern::Template(b))) => {
            let mut labels = a.iter().zip(b);
            Meeting::of(a.len() == b.len() && labels.all(|(a, b)| labels_meet(a, b)))
        }
        (a, b) => Meeting::of(a == b),
    }
}

fn labels_meet(a: &Segment, b: &Segment) -> bool {
    match (a, b) {
        (Segment::Literal(a), Segment::Literal(b)) => a == b,
        _ => true,
    }
}

/// Of the expressions of two paths.
pub(super) fn expressions(a: (&Regex, &Expression), b: (&Regex, &Expression)) -> Meeting {
    let ((a, of_a), (b, of_b)) = (a, b);
    if a.as_str() == b.as_str() {
        return Meeting::Possible;
    }
    if of_a.is_whole {
        return Meeting::of(b.is_match(&of_a.text));
    }
    if of_b.is_whole {
        return Meeting::of(a.is_match(&of_b.text));
    }
    let begin_apart = !of_a.text.starts_with(&of_b.text) && !of_b.text.starts_with(&of_a.text);
    let end_apart = !of_a.suffix.ends_with(&of_b.suffix) && !of_b.suffix.ends_with(&of_a.suffix);
    match begin_apart || end_apart {
        true => Meeting::Never,
        false if of_a.is_prefix && of_b.is_prefix => Meeting::Possible,
        false => Meeting::Unknown,
    }
}

/// Of all predicates.
pub(super) fn predicates(a: &Predicates, b: &Predicates) -> Meeting {
    let Predicates {
        methods,
        headers,
        cookies,
        query,
        client,
        after,
        before,
        version,
        unshown: _,
    } = a;
    Meeting::all([
        lists(methods, &b.methods),
        named(headers, &b.headers),
        named(cookies, &b.cookies),
        named(query, &b.query),
        Meeting::of(client.meet(&b.client)),
        Meeting::of(is_before(*after, b.before) && is_before(b.after, *before)),
        versions(version.as_ref(), b.version.as_ref()),
    ])
}

/// Whether one time is before another; what is not given is far away.
fn is_before(after: Option<SystemTime>, before: Option<SystemTime>) -> bool {
    match (after, before) {
        (Some(after), Some(before)) => after < before,
        _ => true,
    }
}

/// Of versions; those of two places do not speak of each other.
fn versions(a: Option<&VersionPattern>, b: Option<&VersionPattern>) -> Meeting {
    let (Some(a), Some(b)) = (a, b) else {
        return Meeting::Possible;
    };
    let takes_none = |pattern: &VersionPattern| {
        let default = pattern.default;
        default.is_some_and(|version| pattern.versions.contain(version))
    };
    let is_none = takes_none(a) && takes_none(b);
    Meeting::of(a.source != b.source || is_none || share_a_version(&a.versions, &b.versions))
}

fn share_a_version(a: &Versions, b: &Versions) -> bool {
    match (a, b) {
        (Versions::Equal(version), other) | (other, Versions::Equal(version)) => {
            other.contain(*version)
        }
        (
            Versions::Range { at_least, below },
            Versions::Range {
                at_least: other_least,
                below: other_below,
            },
        ) => {
            let is_apart = |least: &Option<ApiVersion>, below: &Option<ApiVersion>| {
                least.is_some_and(|least| below.is_some_and(|below| least >= below))
            };
            !is_apart(at_least, other_below) && !is_apart(other_least, below)
        }
    }
}

/// Of patterns of values by name: those of different names do not speak of each other.
fn named<N: PartialEq>(a: &[(N, ValuePattern)], b: &[(N, ValuePattern)]) -> Meeting {
    let of_both = a
        .iter()
        .filter_map(|(name, pattern)| Some((pattern, of_name(b, name)?)));
    Meeting::all(of_both.map(|(a, b)| values(a, b)))
}

fn of_name<'a, N: PartialEq>(
    patterns: &'a [(N, ValuePattern)],
    name: &N,
) -> Option<&'a ValuePattern> {
    let mut named = patterns.iter().filter(|(other, _)| other == name);
    named.next().map(|(_, pattern)| pattern)
}

/// Of two patterns of one value, of which a request has the first.
fn values(a: &ValuePattern, b: &ValuePattern) -> Meeting {
    if let Some(meeting) = decided(a, b).or_else(|| decided(b, a)) {
        return meeting;
    }
    let may_be_missing = holds(a, None) && holds(b, None);
    let takes_all = |one: &ValuePattern, other: &ValuePattern| match (one, other) {
        (ValuePattern::Present(true), ValuePattern::Regex(_)) => true,
        // Some value is not the one that is excluded.
        (ValuePattern::Present(true), ValuePattern::Not(other)) => {
            matches!(**other, ValuePattern::Equals(_))
        }
        _ => false,
    };
    match may_be_missing || takes_all(a, b) || takes_all(b, a) || same(a, b) {
        true => Meeting::Possible,
        false if excludes(a, b) || excludes(b, a) => Meeting::Never,
        false => Meeting::Unknown,
    }
}

/// Whether the one is that the other does not hold.
fn excludes(one: &ValuePattern, other: &ValuePattern) -> bool {
    matches!(one, ValuePattern::Not(not) if same(not, other))
}

/// Where the first of two patterns takes one value, or none at all.
fn decided(one: &ValuePattern, other: &ValuePattern) -> Option<Meeting> {
    match one {
        ValuePattern::Equals(text) => Some(Meeting::of(holds(other, Some(text)))),
        ValuePattern::Present(false) => Some(Meeting::of(holds(other, None))),
        ValuePattern::Present(true) | ValuePattern::Regex(_) | ValuePattern::Not(_) => None,
    }
}

fn is_present(pattern: &ValuePattern) -> bool {
    matches!(pattern, ValuePattern::Present(true))
}

/// Whether a pattern takes this value, or that there is none.
fn holds(pattern: &ValuePattern, value: Option<&str>) -> bool {
    match (pattern, value) {
        (ValuePattern::Equals(text), Some(value)) => value == text,
        (ValuePattern::Regex(regex), Some(value)) => regex.is_match(value),
        (ValuePattern::Equals(_) | ValuePattern::Regex(_), None) => false,
        (ValuePattern::Present(present), value) => value.is_some() == *present,
        (ValuePattern::Not(pattern), value) => !holds(pattern, value),
    }
}

fn same(a: &ValuePattern, b: &ValuePattern) -> bool {
    match (a, b) {
        (ValuePattern::Equals(a), ValuePattern::Equals(b)) => a == b,
        (ValuePattern::Regex(a), ValuePattern::Regex(b)) => a.as_str() == b.as_str(),
        (ValuePattern::Present(a), ValuePattern::Present(b)) => a == b,
        (ValuePattern::Not(a), ValuePattern::Not(b)) => same(a, b),
        _ => false,
    }
}

/// Whether `wide` holds wherever `narrow` does, as far as that can be seen.
pub(in crate::config) fn implied(wide: &Predicates, narrow: &Predicates) -> bool {
    let Predicates {
        methods,
        headers,
        cookies,
        query,
        client,
        after,
        before,
        version,
        unshown: _,
    } = wide;
    within(&narrow.methods, methods)
        && named_implied(headers, &narrow.headers)
        && named_implied(cookies, &narrow.cookies)
        && named_implied(query, &narrow.query)
        && narrow.client.are_within(client)
        && after.is_none_or(|after| narrow.after.is_some_and(|narrow| narrow >= after))
        && before.is_none_or(|before| narrow.before.is_some_and(|narrow| narrow <= before))
        && version_implied(version.as_ref(), narrow.version.as_ref())
}

fn version_implied(wide: Option<&VersionPattern>, narrow: Option<&VersionPattern>) -> bool {
    let (wide, narrow) = match (wide, narrow) {
        (None, _) => return true,
        (Some(_), None) => return false,
        (Some(wide), Some(narrow)) => (wide, narrow),
    };
    let is_within = match (&wide.versions, &narrow.versions) {
        (wide, Versions::Equal(version)) => wide.contain(*version),
        (wide, narrow) => wide == narrow,
    };
    wide.source == narrow.source && wide.default == narrow.default && is_within
}

/// Whether a list has nothing that another lacks; an empty one stands for everything.
pub(super) fn within<T: PartialEq>(narrow: &[T], wide: &[T]) -> bool {
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(|item| wide.contains(item)))
}

fn named_implied<N: PartialEq>(wide: &[(N, ValuePattern)], narrow: &[(N, ValuePattern)]) -> bool {
    wide.iter()
        .all(|(name, wide)| of_name(narrow, name).is_some_and(|narrow| value_implied(wide, narrow)))
}

fn value_implied(wide: &ValuePattern, narrow: &ValuePattern) -> bool {
    match narrow {
        ValuePattern::Equals(text) => holds(wide, Some(text)),
        ValuePattern::Present(false) => holds(wide, None),
        ValuePattern::Present(true) => is_present(wide),
        ValuePattern::Regex(_) => is_present(wide) || same(wide, narrow),
        ValuePattern::Not(_) => same(wide, narrow),
    }
}
