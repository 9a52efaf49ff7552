//! From a request to its route: the most specific match wins, whatever the order of the files.
//!
//! One index, not a scan: hosts and exact paths are hash look-ups, templates and prefixes one walk down a
//! trie of segments. Every route has a rank by its specificity; the look-up keeps the best rank it meets.

pub mod links;
mod listed;
pub mod matcher;
mod params;
mod rank;
pub mod rewrite;
mod split;
mod subject;
mod templates;
mod trie;
mod unmet;

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{self, HostPattern, Match, PathPattern};

use templates::Hosts;
use trie::Node;

pub use listed::Listed;
pub use matcher::all_hold;
pub use params::params;
pub use split::{Decision, Split};
pub use subject::{Moment, Subject};
pub use unmet::Unmet;

/// The index over routes, or over whatever else has the configuration of one.
#[derive(Debug)]
pub struct Router<R> {
    /// Best rank first.
    routes: Vec<Arc<R>>,
    exact_hosts: HashMap<Box<str>, Paths, foldhash::fast::RandomState>,
    /// By suffix with its leading dot.
    suffix_hosts: HashMap<Box<str>, Paths, foldhash::fast::RandomState>,
    template_hosts: Hosts<Paths>,
    any_host: Paths,
}

/// The paths of one host pattern; routes stand for their rank.
#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<Box<str>, Vec<u32>, foldhash::fast::RandomState>,
    segments: Node,
    regex: Vec<(regex::Regex, u32)>,
    any: Vec<u32>,
}

/// SHIM
#[derive(Debug)]
pub struct Candidate<'a, R> {
    /// SHIM
    pub route: &'a Arc<R>,
}

impl<R: AsRef<config::Route>> Router<R> {
    /// Builds the index.
    pub fn new(mut routes: Vec<Arc<R>>) -> Self {
        routes.sort_by(|a, b| rank::compare(&config(b).matcher, &config(a).matcher));
        let mut router = Self {
            routes: Vec::new(),
            exact_hosts: HashMap::default(),
            suffix_hosts: HashMap::default(),
            template_hosts: Hosts::default(),
            any_host: Paths::default(),
        };
        for (rank, route) in routes.iter().enumerate() {
            let rank = u32::try_from(rank).expect("fewer than 2^32 routes");
            let matcher = &config(route).matcher;
            if matcher.hosts.is_empty() {
                router.any_host.insert(matcher, rank);
            }
            for host in &matcher.hosts {
                let paths = match host {
                    HostPattern::Exact(host) => {
                        router.exact_hosts.entry(host.as_str().into()).or_default()
                    }
                    HostPattern::Suffix(suffix) => router
                        .suffix_hosts
                        .entry(suffix.as_str().into())
                        .or_default(),
                    HostPattern::Template(labels) => router.template_hosts.entry(labels),
                };
                paths.insert(matcher, rank);
            }
        }
        router.routes = routes;
        router
    }

    /// Every route, best rank first.
    pub fn routes(&self) -> &[Arc<R>] {
        &self.routes
    }

    /// SHIM
    pub fn candidates(&self, subject: Subject<'_>) -> Vec<Candidate<'_, R>> {
        let mut ranks = Vec::new();
        let mut consider = |rank: u32| ranks.push(rank);
        if let Some(paths) = self.exact_hosts.get(subject.host) {
            paths.each(subject.path, &mut consider);
        }
        for (dot, _) in subject.host.match_indices('.').filter(|(dot, _)| *dot > 0) {
            if let Some(paths) = self.suffix_hosts.get(&subject.host[dot..]) {
                paths.each(subject.path, &mut consider);
            }
        }
        self.template_hosts
            .each(subject.host, &mut |paths: &Paths| {
                paths.each(subject.path, &mut consider)
            });
        self.any_host.each(subject.path, &mut consider);
        ranks.sort_unstable();
        ranks.dedup();
        ranks
            .into_iter()
            .map(|rank| Candidate {
                route: &self.routes[rank as usize],
            })
            .collect()
    }

    /// The route of a request.
    pub fn find(&self, subject: Subject<'_>) -> Option<&Arc<R>> {
        let mut best = u32::MAX;
        let mut consider = |rank: u32| {
            if rank < best && matcher::holds(config(&self.routes[rank as usize]), subject) {
                best = rank;
            }
        };
        if !self.exact_hosts.is_empty()
            && let Some(paths) = self.exact_hosts.get(subject.host)
        {
            paths.each(subject.path, &mut consider);
        }
        if !self.suffix_hosts.is_empty() {
            for (dot, _) in subject.host.match_indices('.').filter(|(dot, _)| *dot > 0) {
                if let Some(paths) = self.suffix_hosts.get(&subject.host[dot..]) {
                    paths.each(subject.path, &mut consider);
                }
            }
        }
        let host = &mut |paths: &Paths| paths.each(subject.path, &mut consider);
        self.template_hosts.each(subject.host, host);
        self.any_host.each(subject.path, &mut consider);
        self.routes.get(best as usize)
    }
}

fn config<R: AsRef<config::Route>>(route: &Arc<R>) -> &config::Route {
    (**route).as_ref()
}

impl Paths {
    fn insert(&mut self, matcher: &Match, rank: u32) {
        for path in &matcher.paths {
            self.insert_path(path, rank);
        }
    }

    fn insert_path(&mut self, path: &PathPattern, rank: u32) {
        match path {
            PathPattern::Any => self.any.push(rank),
            PathPattern::Exact(path) => self
                .exact
                .entry(path.as_str().into())
                .or_default()
                .push(rank),
            PathPattern::Prefix(prefix) => self.segments.insert_prefix(prefix, rank),
            PathPattern::Template { segments, rest } => {
                self.segments.insert_template(segments, *rest, rank)
            }
            PathPattern::Regex(regex) => self.regex.push((regex.clone(), rank)),
        }
    }

    /// Calls `consider` with the rank of every route whose path matches.
    fn each(&self, path: &str, consider: &mut impl FnMut(u32)) {
        if let Some(ranks) = self.exact.get(path) {
            ranks.iter().copied().for_each(&mut *consider);
        }
        self.segments.each(path, consider);
        for (regex, rank) in &self.regex {
            if regex.is_match(path) {
                consider(*rank);
            }
        }
        self.any.iter().copied().for_each(consider);
    }
}
