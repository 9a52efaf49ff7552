//! The index by host.

use std::collections::HashMap;

use super::leaf::{Leaf, NONE, Visit};
use super::templates;
use super::trie::Node;
use crate::config::{HostPattern, PathPattern, Predicates};

/// Paths by host.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: HashMap<Box<str>, Paths, foldhash::fast::RandomState>,
    /// By suffix with its leading dot.
    suffixes: HashMap<Box<str>, Paths, foldhash::fast::RandomState>,
    templates: templates::Hosts<Paths>,
    any: Paths,
}

/// The paths of one host pattern; pairs stand for their rank.
#[derive(Debug)]
struct Paths {
    /// The best rank of all of them.
    best: u32,
    exact: HashMap<Box<str>, Leaf, foldhash::fast::RandomState>,
    segments: Node,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            best: NONE,
            exact: HashMap::default(),
            segments: Node::default(),
        }
    }
}

impl Hosts {
    /// Adds a pair; they come best rank first.
    pub(super) fn insert(&mut self, host: Option<&HostPattern>, path: &PathPattern, rank: u32) {
        let paths = match host {
            Some(HostPattern::Exact(host)) => self.exact.entry(host.as_str().into()).or_default(),
            Some(HostPattern::Suffix(suffix)) => {
                self.suffixes.entry(suffix.as_str().into()).or_default()
            }
            Some(HostPattern::Template(labels)) => self.templates.entry(labels),
            None => &mut self.any,
        };
        paths.best = paths.best.min(rank);
        paths.insert(path, rank);
    }

    /// Prepares what has many pairs for the look-up.
    pub(super) fn index<'a>(&mut self, predicates: &impl Fn(u32) -> &'a Predicates) {
        let hosts = self.exact.values_mut().chain(self.suffixes.values_mut());
        for paths in hosts.chain([&mut self.any]) {
            paths.index(predicates);
        }
        self.templates
            .each_mut(&mut |paths| paths.index(predicates));
    }

    /// Visits all that match this host and path.
    #[inline]
    pub(super) fn each(&self, host: &str, path: &str, visit: &mut impl Visit) {
        if !self.exact.is_empty()
            && let Some(paths) = self.exact.get(host)
        {
            paths.each(path, visit);
        }
        if !self.suffixes.is_empty() {
            for (dot, _) in host.match_indices('.').filter(|(dot, _)| *dot > 0) {
                if let Some(paths) = self.suffixes.get(&host[dot..]) {
                    paths.each(path, visit);
                }
            }
        }
        self.templates
            .each(host, &mut |paths| paths.each(path, visit));
        self.any.each(path, visit);
    }
}

impl Paths {
    fn insert(&mut self, path: &PathPattern, rank: u32) {
        match path {
            PathPattern::Any => self.segments.insert_prefix("", rank),
            PathPattern::Exact(path) => {
                let leaf = self.exact.entry(path.as_str().into()).or_default();
                leaf.push(rank);
            }
            PathPattern::Prefix(prefix) => self.segments.insert_prefix(prefix, rank),
            PathPattern::Template { segments, rest } => {
                self.segments.insert_template(segments, *rest, rank)
            }
            PathPattern::Regex(regex) => self.segments.insert_regex(regex, rank),
        }
    }

    fn index<'a>(&mut self, predicates: &impl Fn(u32) -> &'a Predicates) {
        for leaf in self.exact.values_mut() {
            leaf.index(predicates);
        }
        self.segments.index(predicates);
    }

    /// Visits all whose path matches.
    #[inline]
    fn each(&self, path: &str, visit: &mut impl Visit) {
        if !visit.wants(self.best) {
            return;
        }
        if !self.exact.is_empty()
            && let Some(leaf) = self.exact.get(path)
        {
            visit.leaf(leaf);
        }
        self.segments.each(path, visit);
    }
}
