//! From a request to its route: the most specific match wins, whatever the order of the files.
//!
//! One index, not a scan: hosts, exact paths and segments are hash look-ups on one walk down a trie. Each host of a route
//! with each of its paths has a rank of its own (`config::rank`); the look-up keeps the best that it meets.

mod expressions;
mod hosts;
mod leaf;
pub mod links;
mod listed;
pub mod matcher;
mod needles;
mod params;
#[cfg(test)]
mod properties;
pub mod rewrite;
mod split;
mod subject;
mod templates;
mod trie;
mod unmet;

use std::sync::Arc;

use crate::config::rank::{self, Rank};
use crate::config::{self, HostPattern, PathPattern};

use crate::thread::priority::gently;
use hosts::Hosts;
use leaf::{Leaf, Visit};

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
    /// Best rank first; the index knows them by their place here.
    pairs: Vec<Pair>,
    hosts: Hosts,
}

/// One host of a route with one of its paths, by index.
#[derive(Debug, Clone, Copy)]
struct Pair {
    route: u32,
    /// None where the route has no host.
    host: Option<u32>,
    path: u32,
}

impl<R: AsRef<config::Route>> Router<R> {
    /// Builds the index.
    pub fn new(routes: Vec<Arc<R>>) -> Self {
        let pairs = ranked(&routes);
        let (routes, pairs) = numbered(&routes, pairs);
        let mut router = Self {
            routes,
            pairs,
            hosts: Hosts::default(),
        };
        let mut hosts = Hosts::default();
        for (rank, pair) in gently((0..).zip(&router.pairs)) {
            let (host, path) = router.patterns(*pair);
            hosts.insert(host, path, rank);
        }
        hosts.index(&|rank| &router.config(rank).matcher.predicates);
        router.hosts = hosts;
        router
    }

    /// Every route, best rank first.
    pub fn routes(&self) -> &[Arc<R>] {
        &self.routes
    }

    /// The route of a request.
    pub fn find(&self, subject: Subject<'_>) -> Option<&Arc<R>> {
        let pair = self.pairs.get(self.best(subject) as usize)?;
        Some(&self.routes[pair.route as usize])
    }

    /// Every route whose host and path match, best rank first, each once. The first that serves on the subject's listener
    /// and whose predicates hold is the one that is [found](Self::find).
    pub fn candidates(&self, subject: Subject<'_>) -> Vec<&Arc<R>> {
        let mut all = All::default();
        self.hosts.each(subject.host, subject.path, &mut all);
        all.0.sort_unstable();
        let mut seen = std::collections::HashSet::new();
        let pairs = all.0.into_iter().map(|rank| self.pairs[rank as usize]);
        pairs
            .filter(|pair| seen.insert(pair.route))
            .map(|pair| &self.routes[pair.route as usize])
            .collect()
    }

    /// The best rank of those that match, or one that no pair has.
    fn best(&self, subject: Subject<'_>) -> u32 {
        let mut search = Search {
            subject,
            holds: |rank: u32| matcher::holds(self.config(rank), subject),
            best: u32::MAX,
        };
        self.hosts.each(subject.host, subject.path, &mut search);
        search.best
    }

    fn config(&self, rank: u32) -> &config::Route {
        config(&self.routes[self.pairs[rank as usize].route as usize])
    }

    fn patterns(&self, pair: Pair) -> (Option<&HostPattern>, &PathPattern) {
        let matcher = &config(&self.routes[pair.route as usize]).matcher;
        let host = pair.host.map(|host| &matcher.hosts[host as usize]);
        (host, &matcher.paths[pair.path as usize])
    }
}

fn config<R: AsRef<config::Route>>(route: &Arc<R>) -> &config::Route {
    (**route).as_ref()
}

/// Every pair, best rank first. Of those that rank alike the name of the route decides, never its place.
fn ranked<R: AsRef<config::Route>>(routes: &[Arc<R>]) -> Vec<Pair> {
    let number = |index: usize| u32::try_from(index).expect("fewer than 2^32 of them");
    let mut pairs = Vec::with_capacity(routes.len());
    for (index, route) in gently(routes.iter().enumerate()) {
        let config = config(route);
        let paths = config.matcher.paths.len();
        for (place, (host, path)) in rank::pairs(&config.matcher).enumerate() {
            let pair = Pair {
                route: number(index),
                host: host.map(|_| number(place / paths)),
                path: number(place % paths),
            };
            pairs.push((Rank::new(&config.matcher, host, path), &config.name, pair));
        }
    }
    let place = |pair: &Pair| (pair.host, pair.path);
    pairs.sort_by(|(a, name, pair), (b, other_name, other)| {
        let by_rank = b.cmp(a).then_with(|| name.cmp(other_name));
        by_rank.then_with(|| place(pair).cmp(&place(other)))
    });
    pairs.into_iter().map(|(_, _, pair)| pair).collect()
}

/// The routes in the order of their best pairs, and the pairs by the new numbers of routes.
fn numbered<R>(routes: &[Arc<R>], mut pairs: Vec<Pair>) -> (Vec<Arc<R>>, Vec<Pair>) {
    let mut sorted: Vec<Arc<R>> = Vec::with_capacity(routes.len());
    let mut numbers = vec![None; routes.len()];
    for pair in &mut pairs {
        let index = pair.route as usize;
        pair.route = *numbers[index].get_or_insert_with(|| {
            sorted.push(routes[index].clone());
            u32::try_from(sorted.len() - 1).expect("fewer than 2^32 of them")
        });
    }
    (sorted, pairs)
}

/// Looks for the best rank whose predicates hold.
struct Search<'a, H> {
    subject: Subject<'a>,
    /// Whether the predicates of a rank hold.
    holds: H,
    best: u32,
}

impl<H: Fn(u32) -> bool> Visit for Search<'_, H> {
    #[inline]
    fn wants(&self, rank: u32) -> bool {
        rank < self.best
    }

    #[inline]
    fn leaf(&mut self, leaf: &Leaf) {
        self.best = leaf.best(self.subject, self.best, &self.holds);
    }
}

/// Collects the ranks of all whose host and path match.
#[derive(Default)]
struct All(Vec<u32>);

impl Visit for All {
    fn wants(&self, _: u32) -> bool {
        true
    }

    fn leaf(&mut self, leaf: &Leaf) {
        self.0.extend(leaf.all());
    }
}
