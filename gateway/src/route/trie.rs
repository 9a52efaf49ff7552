//! Prefixes and templates as a trie of path segments.

use std::collections::HashMap;

use crate::config::Segment;

/// One segment's place; routes stand for their rank.
#[derive(Debug, Default)]
pub(super) struct Node {
    literals: HashMap<Box<str>, Node, foldhash::fast::RandomState>,
    param: Option<Box<Node>>,
    /// Routes whose pattern ends here.
    here: Vec<u32>,
    /// Routes whose pattern ends here in `/**`.
    rest: Vec<u32>,
}

impl Node {
    /// Adds `/a/b/**`, given as `/a/b`; the empty prefix stands for `/**`.
    pub(super) fn insert_prefix(&mut self, prefix: &str, rank: u32) {
        let mut node = self;
        for segment in prefix
            .split('/')
            .skip(1)
            .filter(|segment| !segment.is_empty())
        {
            node = node.literals.entry(segment.into()).or_default();
        }
        node.rest.push(rank);
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

    /// Calls `consider` with every route that matches `path`, which begins with `/`.
    pub(super) fn each(&self, path: &str, consider: &mut impl FnMut(u32)) {
        self.walk(path.strip_prefix('/'), consider);
    }

    /// `left` is what follows the slash after this node's segment; none where the path ends with it.
    fn walk(&self, left: Option<&str>, consider: &mut impl FnMut(u32)) {
        self.rest.iter().copied().for_each(&mut *consider);
        let Some(left) = left else {
            self.here.iter().copied().for_each(consider);
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
            node.walk(left, consider);
        }
        if let Some(node) = &self.param
            && !segment.is_empty()
        {
            node.walk(left, consider);
        }
    }
}
