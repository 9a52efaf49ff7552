//! Routes that tie: nothing says which of them a request is for, which is a mistake and no matter of order.
//!
//! Of pairs of host and path that rank alike, only those with the same shape can meet, so routes are compared within
//! buckets of one shape. What the conditions of two routes decide is decided. What regular expressions leave open is a
//! warning: the route whose name sorts first is taken then.

mod budget;
mod covers;
mod hidden;
mod meets;
mod pair;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;

use super::super::item::Item;
use super::super::model::{HostPattern, PathPattern, Route, ValueOf};
use super::super::rank::{Rank, prefix_segments};
use crate::thread::priority::gently;
use budget::Budget;
use meets::Meeting;
use pair::Pair;

pub(in crate::config) use meets::implied;
pub(in crate::config) use pair::literal;

/// So few pairs are compared each with each.
const FEW: usize = 16;

/// What only pairs that can meet have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shape<'a> {
    rank: &'a Rank,
    /// Templates of hosts are compared label by label.
    host: Option<&'a str>,
    /// The literal segments; none for a parameter.
    path: Vec<Option<&'a str>>,
}

/// Which later route ties with which earlier one.
type Ties = BTreeMap<(usize, usize), Meeting>;

/// Reports every route that ties with an earlier one, and warns of those that hide others, on so many listeners.
pub(super) fn report(items: &[Item<'_>], routes: &[Option<Route>], listeners: usize) {
    let mut pairs = pair::all(routes);
    let is_unset = |item: &Item<'_>| item.has_unset("match") || item.has_unset("listeners");
    pairs.retain(|pair| !is_unset(&items[pair.index]));
    let (ties, incomplete) = ties(&pairs);
    for ((later, earlier), meeting) in ties {
        let (item, other) = (&items[later], &items[earlier]);
        let (one, two) = (quoted(item), quoted(other));
        let place = item.scope.show(other.node.at);
        match meeting {
            Meeting::Possible => item.fault(format!(
                "{one} matches what {two} in {place} matches, and nothing says which is meant; make one more specific, or set `match.priority`"
            )),
            Meeting::Unknown => {
                let of = |index: usize| routes[index].as_ref().map(|route| &route.name);
                let first = if of(later) < of(earlier) { &one } else { &two };
                item.warn(format!(
                    "{one} may match what {two} in {place} matches, as far as their regular expressions tell; {first} is taken then, whose name sorts first; set `match.priority` to say which is meant"
                ));
            }
            Meeting::Never => {}
        }
    }
    if let Some(index) = incomplete {
        budget::warn(&items[index]);
    }
    hidden::report(items, &pairs, listeners);
}

/// A route's name, as its item has it.
fn quoted(item: &Item<'_>) -> String {
    item.named().map_or(String::new(), |name| name.quoted())
}

impl<'a> Pair<'a> {
    fn shape(&'a self) -> Shape<'a> {
        let host = self.host.map(|host| match host {
            HostPattern::Exact(text) | HostPattern::Suffix(text) => text.as_str(),
            HostPattern::Template(_) => "",
        });
        let path = match (self.path, self.expression) {
            (PathPattern::Any | PathPattern::Regex(_), None) => Vec::new(),
            (PathPattern::Exact(path), _) => vec![Some(path.as_str())],
            (PathPattern::Prefix(prefix), _) => prefix_segments(prefix).map(Some).collect(),
            (PathPattern::Template { segments, .. }, _) => segments.iter().map(literal).collect(),
            (_, Some(known)) => known
                .segments
                .iter()
                .map(|text| Some(text.as_str()))
                .collect(),
        };
        Shape {
            rank: &self.rank,
            host,
            path,
        }
    }

    /// Whether one request can be for both, which have the same shape.
    fn meets(&self, other: &Self) -> Meeting {
        let (a, b) = (self.route, other.route);
        let path = match (self.path, self.expression, other.path, other.expression) {
            (PathPattern::Regex(a), Some(of_a), PathPattern::Regex(b), Some(of_b)) => {
                meets::expressions((a, of_a), (b, of_b))
            }
            _ => Meeting::Possible,
        };
        if path == Meeting::Never {
            return path;
        }
        Meeting::all([
            path,
            meets::hosts(self.host, other.host),
            meets::lists(&a.listeners, &b.listeners),
            meets::predicates(&a.matcher.predicates, &b.matcher.predicates),
        ])
    }
}

/// What ties, and a route of those that are not all compared.
fn ties(pairs: &[Pair<'_>]) -> (Ties, Option<usize>) {
    let mut buckets: HashMap<Shape<'_>, Vec<&Pair<'_>>, RandomState> = HashMap::default();
    for pair in gently(pairs) {
        buckets.entry(pair.shape()).or_default().push(pair);
    }
    let mut buckets: Vec<_> = buckets.into_values().collect();
    buckets.retain(|bucket| bucket.len() > 1);
    // Small ones first, in the order of the files: one that is too large takes nothing from the others.
    buckets.sort_by_key(|bucket| (bucket.len(), bucket[0].index));
    let (mut ties, budget) = (Ties::new(), Budget::default());
    for bucket in gently(buckets) {
        let mut found = Found {
            budget: &budget,
            certain: BTreeMap::new(),
            doubtful: BTreeMap::new(),
        };
        found.compare(&bucket, true);
        found.add_to(&mut ties);
        if budget.is_spent() {
            return (ties, Some(bucket[0].index));
        }
    }
    (ties, None)
}

/// What ties within a bucket: of each route the first that was found, since its remedy is that of the others, too.
#[derive(Debug)]
struct Found<'a> {
    budget: &'a Budget,
    certain: BTreeMap<usize, usize>,
    doubtful: BTreeMap<usize, usize>,
}

impl Found<'_> {
    fn add_to(self, ties: &mut Ties) {
        for (later, earlier) in self.certain {
            ties.insert((later, earlier), Meeting::Possible);
        }
        for (later, earlier) in self.doubtful {
            ties.entry((later, earlier)).or_insert(Meeting::Unknown);
        }
    }

    /// Compares pairs with each other: many of them, once more, by an exact value that tells them apart, or, `by_text`, by
    /// what their regular expressions begin with.
    fn compare(&mut self, pairs: &[&Pair<'_>], by_text: bool) {
        if pairs.len() > FEW
            && let Some(split) = Split::of(pairs)
        {
            for group in split.groups.values() {
                self.compare(group, by_text);
                self.cross(group, &split.others);
            }
            return self.compare(&split.others, by_text);
        }
        if pairs.len() > FEW && by_text && pairs[0].expression.is_some() {
            return self.compare_by_text(pairs);
        }
        for (at, earlier) in pairs.iter().enumerate() {
            for later in &pairs[at + 1..] {
                self.pair(earlier, later);
            }
            if self.budget.is_spent() {
                return;
            }
        }
    }

    /// Compares regular expressions of which the one begins as the other does.
    fn compare_by_text(&mut self, pairs: &[&Pair<'_>]) {
        let text = |pair: &Pair<'_>| {
            let known = pair.expression.as_ref();
            known.map_or(String::new(), |known| known.text.clone())
        };
        let mut sorted: Vec<_> = pairs.iter().map(|pair| (text(pair), *pair)).collect();
        sorted.sort_by(|(a, one), (b, other)| a.cmp(b).then(one.index.cmp(&other.index)));
        // Those before whose text is a beginning of this one's.
        let mut open: Vec<(&str, &Pair<'_>)> = Vec::new();
        for (text, pair) in &sorted {
            while open
                .last()
                .is_some_and(|(begin, _)| !text.starts_with(begin))
            {
                open.pop();
            }
            for (_, other) in &open {
                self.pair(other, pair);
            }
            if self.budget.is_spent() {
                return;
            }
            open.push((text, pair));
        }
    }

    fn cross(&mut self, some: &[&Pair<'_>], others: &[&Pair<'_>]) {
        for one in some {
            for other in others {
                self.pair(one, other);
            }
            if self.budget.is_spent() {
                return;
            }
        }
    }

    fn pair(&mut self, a: &Pair<'_>, b: &Pair<'_>) {
        let (earlier, later) = if a.index < b.index { (a, b) } else { (b, a) };
        let is_known = earlier.index == later.index || self.certain.contains_key(&later.index);
        let weight = earlier.weight.min(later.weight);
        if is_known || self.budget.spend(weight).is_break() {
            return;
        }
        match earlier.meets(later) {
            Meeting::Never => {}
            Meeting::Possible => {
                self.certain.insert(later.index, earlier.index);
            }
            Meeting::Unknown => {
                self.doubtful.entry(later.index).or_insert(earlier.index);
            }
        }
    }
}

/// Pairs by the exact value that they ask of one name.
#[derive(Debug)]
struct Split<'a, 'b> {
    groups: BTreeMap<&'b str, Vec<&'a Pair<'b>>>,
    /// Those that ask for no exact value of that name.
    others: Vec<&'a Pair<'b>>,
}

impl<'a, 'b> Split<'a, 'b> {
    /// By the name with the most values; none where no name tells them apart.
    fn of(pairs: &[&'a Pair<'b>]) -> Option<Self> {
        let mut values: BTreeMap<Name<'_>, BTreeSet<&str>> = BTreeMap::new();
        for pair in pairs {
            for (name, value) in exact(pair) {
                values.entry(name).or_default().insert(value);
            }
        }
        let (of, count) = values
            .iter()
            .map(|(name, values)| (*name, values.len()))
            .max_by_key(|(_, count)| *count)?;
        if count < 2 {
            return None;
        }
        let mut split = Self {
            groups: BTreeMap::new(),
            others: Vec::new(),
        };
        for pair in pairs {
            match exact(pair).find(|(name, _)| *name == of) {
                Some((_, value)) => split.groups.entry(value).or_default().push(pair),
                None => split.others.push(pair),
            }
        }
        Some(split)
    }
}

/// What has an exact value: its kind, and its name or place.
type Name<'a> = (&'static str, &'a str, usize);

/// The exact values that a pair asks for: of two for one name, a request has one.
fn exact<'a>(pair: &Pair<'a>) -> impl Iterator<Item = (Name<'a>, &'a str)> {
    let values = pair.route.matcher.predicates.exact();
    let values = values.map(|(of, value)| match of {
        ValueOf::Header(name) => (("header", name.as_str(), 0), value),
        ValueOf::Cookie(name) => (("cookie", name, 0), value),
        ValueOf::Query(name) => (("query", name, 0), value),
    });
    let labels = pair.host.map_or(&[][..], HostPattern::labels);
    let labels = labels.iter().rev().enumerate();
    let labels = labels.filter_map(|(at, label)| Some((("label", "", at), literal(label)?)));
    values.chain(labels)
}

/// A path pattern without the names of its parameters, which do not tell two paths apart.
pub(super) fn shape(path: &PathPattern) -> String {
    match path {
        PathPattern::Any => "/**".to_owned(),
        PathPattern::Exact(path) => format!("exact {path}"),
        PathPattern::Prefix(prefix) => format!("{prefix}/**"),
        PathPattern::Template { segments, rest } => {
            let segments: Vec<_> = segments.iter().map(literal).collect();
            format!("template {segments:?} {rest}")
        }
        PathPattern::Regex(regex) => format!("regex {:?}", regex.as_str()),
    }
}
