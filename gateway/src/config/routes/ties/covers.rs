//! Which pairs of host and path match all that another one matches: one walk for each, as for a request.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::super::super::model::{HostPattern, PathPattern, Segment};
use super::super::super::rank::{Expression, Rank, prefix_segments};
use super::super::super::regex::Regex;
use super::budget::Budget;
use super::pair::{Pair, literal};
use foldhash::fast::RandomState;

/// Pairs by host and path.
#[derive(Debug, Default)]
pub(super) struct Index<'a> {
    /// By the text of the host; that of a wildcard begins with a dot.
    budget: Budget,
    hosts: HashMap<Option<&'a str>, Node<'a>, RandomState>,
    /// By templates of hosts.
    templates: HashMap<&'a HostPattern, Node<'a>, RandomState>,
}

/// Pairs by path, in a trie of segments.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    literals: HashMap<&'a str, Node<'a>, RandomState>,
    param: Option<Box<Node<'a>>>,
    /// Those that end here.
    here: Vec<&'a Pair<'a>>,
    /// Those that end here in `/**`.
    rest: Vec<&'a Pair<'a>>,
    /// Those whose regular expressions go on from here.
    expressions: Vec<(&'a Regex, &'a Expression, &'a Pair<'a>)>,
}

/// A path pattern as a walk takes it.
#[derive(Debug)]
struct Line<'a> {
    /// Literal text, or none for a parameter.
    segments: Vec<Option<&'a str>>,
    /// Whether the path ends after them.
    ends: bool,
    /// What all its paths begin with.
    text: String,
    path: &'a PathPattern,
    /// What is asked for ranks above this.
    above: &'a Rank,
    budget: &'a Budget,
}

impl<'a> Index<'a> {
    pub(super) fn add(&mut self, pair: &'a Pair<'a>) {
        let node = match pair.host {
            None => self.hosts.entry(None).or_default(),
            Some(HostPattern::Exact(text) | HostPattern::Suffix(text)) => {
                self.hosts.entry(Some(text)).or_default()
            }
            Some(host @ HostPattern::Template(_)) => self.templates.entry(host).or_default(),
        };
        node.add(pair);
    }

    /// What is left for comparisons.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Calls `found` with the pairs above a rank that match all that this host with the path of `pair` does, until it
    /// breaks.
    pub(super) fn covering(
        &self,
        host: Option<&HostPattern>,
        pair: &Pair<'_>,
        above: &Rank,
        found: &mut impl FnMut(&'a Pair<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.hosts.is_empty() && self.templates.is_empty() {
            return ControlFlow::Continue(());
        }
        let line = Line::new(pair, above, &self.budget);
        if let Some(node) = self.hosts.get(&None) {
            node.walk(&line, &line.segments, found)?;
        }
        for (template, node) in &self.templates {
            self.budget.spend(1)?;
            if self::host(Some(template), host) {
                node.walk(&line, &line.segments, found)?;
            }
        }
        let text = match host {
            Some(HostPattern::Exact(text) | HostPattern::Suffix(text)) => text.clone(),
            Some(HostPattern::Template(labels)) => behind_parameters(labels),
            None => return ControlFlow::Continue(()),
        };
        let shorter = text.match_indices('.').map(|(dot, _)| &text[dot..]);
        let exact = (!text.starts_with('.')).then_some(text.as_str());
        for host in exact.into_iter().chain(shorter) {
            if let Some(node) = self.hosts.get(&Some(host)) {
                node.walk(&line, &line.segments, found)?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// The literal labels behind the last parameter, with the dot before them: what a wildcard has for itself.
fn behind_parameters(labels: &[Segment]) -> String {
    let literals = labels.iter().rev().map_while(literal);
    let literals: Vec<_> = literals.collect();
    let text = literals.iter().rev().map(|text| format!(".{text}"));
    text.collect()
}

/// Whether a host pattern matches all that another one does.
pub(super) fn host(wide: Option<&HostPattern>, narrow: Option<&HostPattern>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(HostPattern::Exact(wide)), Some(HostPattern::Exact(narrow))) => wide == narrow,
        (Some(HostPattern::Exact(_)), _) => false,
        (
            Some(HostPattern::Suffix(suffix)),
            Some(HostPattern::Exact(narrow) | HostPattern::Suffix(narrow)),
        ) => narrow.ends_with(suffix),
        (Some(HostPattern::Suffix(suffix)), Some(HostPattern::Template(labels))) => {
            behind_parameters(labels).ends_with(suffix)
        }
        (Some(HostPattern::Template(wide)), Some(HostPattern::Exact(narrow))) => {
            covers_labels(wide, narrow.split('.').map(Some))
        }
        (Some(HostPattern::Template(wide)), Some(HostPattern::Template(narrow))) => {
            covers_labels(wide, narrow.iter().map(literal))
        }
        (Some(HostPattern::Template(_)), Some(HostPattern::Suffix(_))) => false,
    }
}

/// Whether each label is the one of the template, or there is a parameter in its place.
fn covers_labels<'a>(wide: &[Segment], mut narrow: impl Iterator<Item = Option<&'a str>>) -> bool {
    let all = wide
        .iter()
        .all(|wide| match (literal(wide), narrow.next()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(wide), Some(narrow)) => narrow == Some(wide),
        });
    all && narrow.next().is_none()
}

impl<'a> Node<'a> {
    pub(super) fn add(&mut self, pair: &'a Pair<'a>) {
        let (segments, ends) = segments(pair);
        let mut node = self;
        for segment in segments {
            node = match segment {
                Some(text) => node.literals.entry(text).or_default(),
                None => node.param.get_or_insert_default(),
            };
        }
        match (pair.path, pair.expression) {
            (PathPattern::Regex(regex), Some(known)) => {
                node.expressions.push((regex, known, pair));
            }
            _ if ends => node.here.push(pair),
            _ => node.rest.push(pair),
        }
    }

    /// Calls `found` with the pairs that rank above one, and whose path matches all that its path does, until it breaks.
    pub(super) fn covering(
        &self,
        pair: &Pair<'_>,
        budget: &Budget,
        found: &mut impl FnMut(&'a Pair<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let line = Line::new(pair, &pair.rank, budget);
        self.walk(&line, &line.segments, found)
    }

    fn walk(
        &self,
        line: &Line<'_>,
        left: &[Option<&str>],
        found: &mut impl FnMut(&'a Pair<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for pair in &self.rest {
            line.budget.spend(pair.weight)?;
            if pair.rank > *line.above {
                found(pair)?;
            }
        }
        for (regex, known, pair) in &self.expressions {
            line.budget.spend(pair.weight)?;
            if pair.rank > *line.above && line.is_covered(regex, known) {
                found(pair)?;
            }
        }
        let Some((segment, left)) = left.split_first() else {
            for pair in self.here.iter().filter(|_| line.ends) {
                line.budget.spend(pair.weight)?;
                if pair.rank > *line.above {
                    found(pair)?;
                }
            }
            return ControlFlow::Continue(());
        };
        if let Some(node) = segment.and_then(|text| self.literals.get(text)) {
            node.walk(line, left, found)?;
        }
        match &self.param {
            Some(node) if *segment != Some("") => node.walk(line, left, found),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl<'a> Line<'a> {
    fn new(pair: &'a Pair<'_>, above: &'a Rank, budget: &'a Budget) -> Self {
        let (segments, ends) = segments(pair);
        let text = match &pair.expression {
            Some(known) => known.text.clone(),
            None => common(&segments),
        };
        Self {
            segments,
            ends,
            text,
            path: pair.path,
            above,
            budget,
        }
    }

    fn is_covered(&self, regex: &Regex, known: &Expression) -> bool {
        match self.path {
            PathPattern::Exact(path) => regex.is_match(path),
            PathPattern::Regex(own) if own.as_str() == regex.as_str() => true,
            _ => known.is_prefix && self.text.starts_with(&known.text),
        }
    }
}

/// The segments of a path that every match has, and whether it ends after them.
fn segments<'a>(pair: &'a Pair<'_>) -> (Vec<Option<&'a str>>, bool) {
    match (pair.path, pair.expression) {
        (PathPattern::Exact(path), _) => (path.split('/').skip(1).map(Some).collect(), true),
        (PathPattern::Prefix(prefix), _) => (prefix_segments(prefix).map(Some).collect(), false),
        (PathPattern::Template { segments, rest }, _) => {
            (segments.iter().map(literal).collect(), !rest)
        }
        (PathPattern::Regex(_), Some(known)) => {
            let segments = known.segments.iter().map(|text| Some(text.as_str()));
            (segments.collect(), false)
        }
        (PathPattern::Any | PathPattern::Regex(_), _) => (Vec::new(), false),
    }
}

/// The text up to the first parameter.
fn common(segments: &[Option<&str>]) -> String {
    let mut common = String::new();
    for segment in segments {
        common.push('/');
        match segment {
            Some(text) => common.push_str(text),
            None => break,
        }
    }
    common
}
