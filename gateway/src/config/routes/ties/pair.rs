//! A host of a route with a path of it, which rank together.

use super::super::super::model::{HostPattern, PathPattern, Predicates, Route, Segment};
use super::super::super::rank::{self, Expression, Rank};
use crate::thread::priority::gently;

/// One host of a route with one of its paths.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    /// The route's index.
    pub(super) index: usize,
    pub(super) route: &'a Route,
    pub(super) rank: Rank,
    pub(super) host: Option<&'a HostPattern>,
    pub(super) path: &'a PathPattern,
    /// What is known of a path that is a regular expression.
    pub(super) expression: Option<&'a Expression>,
    /// How many comparisons one of it counts for: more than one where its lists are long.
    pub(super) weight: usize,
}

/// The items of a list that a comparison looks at in the time of one that has no lists.
const ITEMS: usize = 32;

fn weight(route: &Route) -> usize {
    let Predicates {
        methods,
        headers,
        cookies,
        query,
        client,
        ..
    } = &route.matcher.predicates;
    let named = headers.len() + cookies.len() + query.len();
    let each_with_each = named + methods.len() + route.listeners.len();
    1 + (client.len() + each_with_each.pow(2)) / ITEMS
}

/// All pairs of the routes that could be read.
pub(super) fn all(routes: &[Option<Route>]) -> Vec<Pair<'_>> {
    let sound = routes.iter().enumerate();
    let sound = sound.filter_map(|(index, route)| Some((index, route.as_ref()?)));
    gently(sound)
        .flat_map(|(index, route)| {
            let weight = weight(route);
            let pair = move |(host, path)| Pair {
                index,
                route,
                rank: Rank::new(&route.matcher, host, path),
                host,
                path,
                expression: match path {
                    PathPattern::Regex(regex) => Some(regex.known()),
                    _ => None,
                },
                weight,
            };
            rank::pairs(&route.matcher).map(pair)
        })
        .collect()
}

/// The text of a segment; none of a parameter.
pub(in crate::config) fn literal(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(text) => Some(text),
        Segment::Param(_) => None,
    }
}
