//! Settings that change nothing, whatever is asked for.

use super::item::Item;
use super::model::{Config, PathPattern, PathRewrite, Route, Target};
use super::rank::prefix_segments;
use super::routes::literal;

/// Warns of those of one route.
pub(super) fn report(item: &Item<'_>, route: &Route, config: &Config) {
    timeouts(item, route, config);
    if item.has_unset("match") {
        return;
    }
    if let Some(rewrite) = item.field("rewrite") {
        strip(&rewrite, route, &route.rewrite.path);
    }
    let Target::Split(split) = &route.target else {
        return;
    };
    let items = item
        .field("split")
        .map_or(Vec::new(), |split| split.elements());
    for (item, arm) in items.iter().zip(&split.arms) {
        if let (Some(item), Some(rewrite), []) =
            (item.field("rewrite"), &arm.rewrite, &arm.plugins[..])
        {
            strip(&item, route, &rewrite.path);
        }
    }
    for (at, (item, arm)) in items.iter().zip(&split.arms).enumerate() {
        let earlier = split.arms[..at].iter().zip(&items).find(|(earlier, item)| {
            let matchers = earlier.matcher.as_ref().zip(arm.matcher.as_ref());
            !item.has_unset("match")
                && matchers.is_some_and(|(earlier, own)| super::routes::implied(earlier, own))
        });
        if let (Some((earlier, _)), Some(own)) = (earlier, item.field("match"))
            && !own.is_unset()
        {
            let name = &earlier.name;
            own.warn(format!(
                "takes nothing: the `match` of the arm `{name}` before it holds wherever this does; narrow that one, or remove this"
            ));
        }
    }
}

/// `timeouts` of a route that waits for no endpoint.
fn timeouts(item: &Item<'_>, route: &Route, config: &Config) {
    let key = match &route.target {
        Target::Respond(_) => "respond",
        Target::Redirect(_) => "redirect",
        Target::Upstream(_) | Target::Split(_) | Target::Plugins => return,
    };
    let leads_elsewhere = route.plugins.iter().any(|link| {
        let plugin = config.plugins.get(&link.plugin);
        plugin.is_none_or(|plugin| !plugin.grants.upstreams.is_empty())
    });
    if let Some(item) = item.field("timeouts")
        && route.overrides.timeouts.is_some()
        && !leads_elsewhere
    {
        item.warn(format!(
            "changes nothing: the route has `{key}`, and no plugin of it may lead to an upstream; remove it"
        ));
    }
}

/// `strip_prefix` that no path of the route begins with. Plugins may change the path before.
fn strip(rewrite: &Item<'_>, route: &Route, path: &PathRewrite) {
    let PathRewrite::Strip { strip, .. } = path else {
        return;
    };
    let mut paths = route.matcher.paths.iter();
    if strip.is_empty() || !route.plugins.is_empty() || paths.any(|path| may_begin(path, strip)) {
        return;
    }
    if let Some(item) = rewrite.field("strip_prefix")
        && !item.is_unset()
    {
        item.warn(format!(
            "{} takes nothing off: no path that the route matches begins with it",
            item.quoted()
        ));
    }
}

/// Whether a path of this pattern may begin with these segments.
fn may_begin(pattern: &PathPattern, prefix: &str) -> bool {
    let (segments, has_more): (Vec<_>, _) = match pattern {
        PathPattern::Any | PathPattern::Regex(_) => return true,
        PathPattern::Exact(path) => (prefix_segments(path).map(Some).collect(), false),
        PathPattern::Prefix(path) => (prefix_segments(path).map(Some).collect(), true),
        PathPattern::Template { segments, rest } => (segments.iter().map(literal).collect(), *rest),
    };
    let prefix: Vec<_> = prefix_segments(prefix).collect();
    let mut both = segments.iter().zip(&prefix);
    both.all(|(one, other)| one.is_none_or(|one| one == *other))
        && (has_more || prefix.len() <= segments.len())
}
