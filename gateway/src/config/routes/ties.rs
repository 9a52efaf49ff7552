//! Routes that tie: nothing says which of them a request is for, which is a mistake and no matter of order.
//!
//! Regular expressions tie only where their text is the same. Whether two others have a path in common is not asked
//! for: between those the order of the files decides, unless `match.priority` does.

use std::collections::HashMap;

use super::super::item::Item;
use super::super::model::{
    HostPattern, Match, PathPattern, Predicates, Route, Segment, ValuePattern,
};

/// Reports every route that ties with an earlier one, once per pair.
pub(super) fn report(items: &[Item<'_>], routes: &[Option<Route>], listeners: usize) {
    let mut seen: HashMap<String, (&Item<'_>, &Route)> = HashMap::new();
    for (item, route) in items.iter().zip(routes) {
        let Some(route) = route else { continue };
        let mut told: Vec<&str> = Vec::new();
        for key in keys(route, listeners) {
            match seen.get(&key) {
                Some((of_first, first)) if first.place != route.place => {
                    if told.contains(&first.place.as_str()) {
                        continue;
                    }
                    told.push(&first.place);
                    let quoted =
                        |item: &Item<'_>| item.named().map_or(String::new(), |name| name.quoted());
                    item.fault(format!(
                        "{} matches what {} in {} matches, and nothing says which is meant; make one more specific, or set `match.priority`",
                        quoted(item),
                        quoted(of_first),
                        first.place
                    ));
                }
                _ => {
                    seen.insert(key, (item, route));
                }
            }
        }
    }
}

/// What a route competes for: one key for each host and method of it.
fn keys(route: &Route, listeners: usize) -> Vec<String> {
    let Match {
        hosts,
        paths,
        predicates,
        priority,
    } = &route.matcher;
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
    } = predicates;
    let mut scope = route.listeners.clone();
    if scope.is_empty() {
        scope = (0..listeners).collect();
    }
    scope.sort_unstable();
    let mut headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}={}", self::value(value)))
        .collect();
    headers.sort();
    let mut query: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("{name:?}={}", self::value(value)))
        .collect();
    query.sort();
    let mut cookies: Vec<_> = cookies
        .iter()
        .map(|(name, value)| format!("{name:?}={}", self::value(value)))
        .collect();
    cookies.sort();
    let mut client = client.clone();
    client.sort();
    let others = format!("{cookies:?} {client:?} {after:?} {before:?} {version:?}");
    let shapes: Vec<_> = paths.iter().map(shape).collect();
    let hosts: Vec<_> = match hosts.as_slice() {
        [] => vec![None],
        hosts => hosts
            .iter()
            .map(Some)
            .collect::<Vec<Option<&HostPattern>>>(),
    };
    let methods: Vec<_> = match methods.as_slice() {
        [] => vec!["any"],
        methods => methods.iter().map(http::Method::as_str).collect(),
    };
    let mut keys = Vec::new();
    for host in &hosts {
        for shape in &shapes {
            for method in &methods {
                keys.push(format!(
                    "{scope:?} {host:?} {shape} {method} {headers:?} {query:?} {others} {priority}"
                ));
            }
        }
    }
    keys
}

/// A path pattern without the names of its parameters, which do not tell two paths apart.
pub(super) fn shape(path: &PathPattern) -> String {
    match path {
        PathPattern::Any => "prefix \"\"".to_owned(),
        PathPattern::Exact(path) => format!("exact {path:?}"),
        PathPattern::Prefix(path) => format!("prefix {path:?}"),
        PathPattern::Template { segments, rest } => {
            let segments: Vec<_> = segments
                .iter()
                .map(|segment| match segment {
                    Segment::Literal(text) => Some(text),
                    Segment::Param(_) => None,
                })
                .collect();
            format!("template {segments:?} {rest}")
        }
        PathPattern::Regex(regex) => format!("regex {:?}", regex.as_str()),
    }
}

fn value(pattern: &ValuePattern) -> String {
    match pattern {
        ValuePattern::Equals(text) => format!("equals {text:?}"),
        ValuePattern::Regex(regex) => format!("regex {:?}", regex.as_str()),
        ValuePattern::Present(present) => format!("present {present}"),
        ValuePattern::Not(pattern) => format!("not {}", self::value(pattern)),
    }
}
