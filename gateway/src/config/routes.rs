//! `[[routes]]`.

mod matcher;
mod target;
mod ties;

use std::sync::Arc;

use serde_json::Value as Json;

use super::chain::{self, Defaults, Step};
use super::listeners;
use super::model::{Match, PathPattern, Route, RoutePlugin, Segment};
use super::scope::Scope;
use super::sections::{Names, Sections};
use super::table::{Item, Table};
use super::tree::Value;

/// Keys of the contract that are to come.
const LATER: [&str; 9] = [
    "retry", "hedge", "mirror", "cache", "compress", "cors", "split", "split_on", "fallback",
];

/// One route. The chain of one that could not be read goes to `chained`.
pub(super) fn route(
    item: &Item<'_>,
    names: &Names,
    global: &[Step],
    defaults: Defaults<'_>,
    chained: &mut Vec<RoutePlugin>,
) -> Option<(Option<Route>, Json)> {
    item.table("a [[routes]] table", |table| {
        let name = table.required("name", "name = \"products\"", Item::name);
        let listeners = scope(table, names);
        let matcher = table.sub("match", matcher::matcher);
        let given = table.item_unshown("plugins");
        let (chain, shown) = chain::of_route(given.as_ref(), names, global, defaults);
        table.show("plugins", shown);
        let params = matcher.as_ref().map_or_else(Vec::new, params);
        let has_plugins = given.as_ref().is_some_and(names_plugins);
        let (target, rewrite) = target::target(table, names, &params, has_plugins);
        let timeout = table.optional("timeout", Item::duration);
        table.later(&LATER);
        let (Some(name), Some(matcher), Some(target)) = (name, matcher, target) else {
            chained.extend(chain);
            return None;
        };
        Some(Route {
            name,
            listeners,
            matcher,
            plugins: chain,
            target,
            rewrite,
            timeout,
            place: item.scope.show(item.node.at),
        })
    })
}

/// The names of the path's parameters.
fn params(matcher: &Match) -> Vec<Arc<str>> {
    let PathPattern::Template { segments, .. } = &matcher.path else {
        return Vec::new();
    };
    let name = |segment: &Segment| match segment {
        Segment::Param(name) => Some(name.clone()),
        Segment::Literal(_) => None,
    };
    segments.iter().filter_map(name).collect()
}

/// Whether a route's `plugins` names one of its own: with those alone a route has somewhere to go.
fn names_plugins(item: &Item<'_>) -> bool {
    match &item.node.value {
        Value::List(items) => !items.is_empty(),
        Value::Table(fields) => fields.iter().any(|field| {
            field.key == "then"
                && matches!(&field.node.value, Value::List(items) if !items.is_empty())
        }),
        // Faulty, and reported: no second fault for having no target.
        _ => true,
    }
}

fn scope(table: &mut Table<'_>, names: &Names) -> Vec<usize> {
    let Some(item) = table.item("listeners") else {
        return Vec::new();
    };
    let Some(items) = item.items("a list of names of listeners") else {
        return Vec::new();
    };
    if items.is_empty() {
        item.fault("is empty, so that the route serves nowhere; leave it out for all listeners");
    }
    let mut indexes = Vec::new();
    for item in items {
        let Some(name) = item.reference("a listener", &names.listeners) else {
            continue;
        };
        let Some(index) = names.listeners.iter().position(|known| *known == name) else {
            continue;
        };
        if indexes.contains(&index) {
            item.fault(format!("`{name}` is listed twice"));
        } else {
            indexes.push(index);
        }
    }
    indexes
}

/// What one route cannot know of the others.
pub(super) fn check_together(
    scope: &Scope,
    sections: &Sections<'_>,
    routes: &[Option<Route>],
    listeners: usize,
) {
    let items = sections.items("routes");
    listeners::unique_names(scope, &items);
    ties::report(&items, routes, listeners);
}
