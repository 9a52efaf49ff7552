//! Escaped slashes: patterns that match only where a route keeps them, and plugins that do not see the paths of one.

use super::super::item::Item;
use super::super::model::{PathPattern, Route, RoutePlugin, Segment};
use super::super::tree::{self, Value};
use crate::message::path::{self, EncodedSlashes};

/// Reports every pattern with an escaped slash that never arrives.
pub(super) fn report(items: &[Item<'_>], routes: &[Option<Route>]) {
    for (item, route) in items.iter().zip(routes) {
        let Some(route) = route else { continue };
        for (index, pattern) in route.matcher.paths.iter().enumerate() {
            if let Some(reason) = never_arrives(pattern, route.overrides.encoded_slashes) {
                let item = written(item, index).unwrap_or_else(|| item.clone());
                item.fault(format!("{}: {reason}", item.quoted()));
            }
        }
    }
}

/// Warns of each route that keeps escaped slashes and takes a path such as `/admin%2Fx`, while `/admin/x` goes through
/// more plugins: a server that decodes the slash sees no difference.
pub(super) fn warn_of_ways_around(items: &[Item<'_>], routes: &[Option<Route>]) {
    for (item, route) in items.iter().zip(routes) {
        let keeps = |route: &&Route| route.overrides.encoded_slashes == EncodedSlashes::Keep;
        let Some(wide) = route.as_ref().filter(keeps) else {
            continue;
        };
        let mut narrower = routes.iter().flatten();
        let around = narrower.find_map(|narrow| Some((narrow, way_around(narrow, wide)?)));
        if let (Some((narrow, path)), Some(item)) = (around, field(item, "encoded_slashes")) {
            item.warn(format!(
                "this route takes `{path}%2F..`, of which the plugins of `{}` for `{path}/..` see nothing; keep slashes only before an upstream that does not decode them",
                narrow.name
            ));
        }
    }
}

/// The place of a route with more plugins, below that of a wider one.
fn way_around<'a>(narrow: &'a Route, wide: &Route) -> Option<&'a str> {
    let has = |plugin: &RoutePlugin| wide.plugins.iter().any(|it| it.plugin == plugin.plugin);
    let hosts = |one: &Route, other: &Route| {
        let (one, other) = (&one.matcher.hosts, &other.matcher.hosts);
        other.is_empty() || one.iter().any(|host| other.contains(host))
    };
    if narrow.plugins.iter().all(has) || !(hosts(narrow, wide) || hosts(wide, narrow)) {
        return None;
    }
    let wide = wide.matcher.paths.iter().filter_map(|path| match path {
        PathPattern::Any => Some(""),
        PathPattern::Prefix(prefix) => Some(prefix.as_str()),
        _ => None,
    });
    let wide: Vec<_> = wide.collect();
    let mut narrow = narrow.matcher.paths.iter().filter_map(|path| match path {
        PathPattern::Prefix(prefix) => Some(prefix.as_str()),
        _ => None,
    });
    narrow.find(|narrow| {
        let is_below = |wide: &&str| {
            let rest = narrow.strip_prefix(wide);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        wide.iter().any(is_below)
    })
}

/// Why a pattern matches nothing, if it does.
fn never_arrives(pattern: &PathPattern, slashes: EncodedSlashes) -> Option<String> {
    let text = match pattern {
        PathPattern::Exact(path) | PathPattern::Prefix(path) => path.clone(),
        PathPattern::Template { segments, .. } => {
            let literal = |segment: &Segment| match segment {
                Segment::Literal(text) => format!("/{text}"),
                Segment::Param(_) => "/p".to_owned(),
            };
            segments.iter().map(literal).collect()
        }
        PathPattern::Any | PathPattern::Regex(_) => return None,
    };
    if !text.contains("%2F") {
        return None;
    }
    match slashes {
        EncodedSlashes::Refuse => Some(
            "`%2F` never arrives: the gateway refuses such a path, unless the route says `encoded_slashes = \"keep\"`"
                .to_owned(),
        ),
        EncodedSlashes::Keep => {
            let unfit = path::rewritten(&text, None, slashes).err()?;
            Some(format!("never arrives: {unfit}"))
        }
    }
}

/// Where a route has one of its paths.
fn written<'a>(route: &Item<'a>, index: usize) -> Option<Item<'a>> {
    let path = field(&field(route, "match")?, "path")?;
    let path = match path.node.value {
        Value::List(_) => path.elements().into_iter().nth(index)?,
        _ => path,
    };
    Some(field(&path, "exact").unwrap_or(path))
}

fn field<'a>(table: &Item<'a>, key: &str) -> Option<Item<'a>> {
    let Value::Table(entries) = &table.node.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == key)?;
    Some(Item {
        scope: table.scope,
        node: &entry.node,
        key: tree::join(&table.key, key),
    })
}
