//! Prefixes, templates and regular expressions as a trie of path segments.

use std::collections::HashMap;

use super::expressions::Expressions;
use super::leaf::{Leaf, Visit};
use crate::config::rank::prefix_segments;
use crate::config::{Predicates, Regex, Segment};

/// One segment's place; pairs stand for their rank.
#[derive(Debug, Default)]
pub(super) struct Node {
    literals: HashMap<Box<str>, Node, foldhash::fast::RandomState>,
    param: Option<Box<Node>>,
    /// Those whose pattern ends here.
    here: Leaf,
    /// Those whose pattern ends here in `/**`.
    rest: Leaf,
    /// Those of which every match begins with the segments up to here.
    expressions: Option<Box<Expressions>>,
}

impl Node {
    /// Adds `/a/b/**`, given as `/a/b`; the empty prefix stands for `/**`.
    pub(super) fn insert_prefix(&mut self, prefix: &str, rank: u32) {
        self.below(prefix_segments(prefix)).rest.push(rank);
    }

    /// Adds a template.
    pub(super) fn insert_template(&mut self, segments: &[Segment], rest: bool, rank: u32) {
        let mut node = self;
        for segment in segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.as_str().into()).or_default(),
                Segment::Param(_) => node.param.get_or_insert_default(),
            };
        }
        if rest {
            node.rest.push(rank)
        } else {
            node.here.push(rank)
        }
    }

    /// Adds a regular expression.
    pub(super) fn insert_regex(&mut self, regex: &Regex, rank: u32) {
        let known = regex.known();
        let node = self.below(known.segments.iter().map(String::as_str));
        let expressions = node.expressions.get_or_insert_default();
        expressions.insert(&known.partial, regex, rank);
    }

    fn below<'a>(&mut self, segments: impl Iterator<Item = &'a str>) -> &mut Self {
        segments.fold(self, |node, segment| {
            node.literals.entry(segment.into()).or_default()
        })
    }

    /// Prepares what has many pairs for the look-up.
    pub(super) fn index<'a>(&mut self, predicates: &impl Fn(u32) -> &'a Predicates) {
        self.here.index(predicates);
        self.rest.index(predicates);
        if let Some(expressions) = &mut self.expressions {
            expressions.index(predicates);
        }
        let below = self.literals.values_mut();
        for node in below.chain(self.param.as_deref_mut()) {
            node.index(predicates);
        }
    }

    /// Visits all that match `path`, which begins with `/`.
    #[inline]
    pub(super) fn each(&self, path: &str, visit: &mut impl Visit) {
        self.walk(path, path.strip_prefix('/'), visit);
    }

    /// `left` is what follows the slash after this node's segment; none where the path ends with it.
    fn walk(&self, path: &str, left: Option<&str>, visit: &mut impl Visit) {
        visit.leaf(&self.rest);
        if let Some(expressions) = &self.expressions {
            expressions.each(path, left.unwrap_or_default(), visit);
        }
        let Some(left) = left else {
            visit.leaf(&self.here);
            return;
        };
        if self.literals.is_empty() && self.param.is_none() {
            return;
        }
        let (segment, left) = match memchr::memchr(b'/', left.as_bytes()) {
            Some(slash) => (&left[..slash], Some(&left[slash + 1..])),
            None => (left, None),
        };
        if let Some(node) = self.literals.get(segment) {
            node.walk(path, left, visit);
        }
        if let Some(node) = &self.param
            && !segment.is_empty()
        {
            node.walk(path, left, visit);
        }
    }
}
