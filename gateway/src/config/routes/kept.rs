//! Escaped slashes and parameters in paths: patterns that match only where a route keeps them, and plugins that do not
//! see the paths of one.

use super::super::item::Item;
use super::super::model::{PathPattern, Route, RoutePlugin, Segment};
use super::super::rank::prefix_segments;
use super::super::tree::Value;
use super::ties::literal;
use crate::message::path::{self, EncodedSlashes, PathParameters, PathRules, Special};
use crate::thread::priority::gently;

/// What a route may keep, though some servers see a place below in it.
#[derive(Debug)]
struct Kept {
    /// The key that says so.
    key: &'static str,
    /// As it stands in a path.
    written: &'static str,
    special: Special,
    remedy: &'static str,
}

static KEPT: [Kept; 2] = [
    Kept {
        key: "encoded_slashes",
        written: "%2F",
        special: Special {
            slash: true,
            parameter: false,
        },
        remedy: "keep slashes only before an upstream that does not decode them",
    },
    Kept {
        key: "path_parameters",
        written: ";",
        special: Special {
            slash: false,
            parameter: true,
        },
        remedy: "keep parameters only before an upstream that does not cut them off",
    },
];

impl Kept {
    /// Whether a route keeps it.
    fn by(&self, rules: PathRules) -> bool {
        rules.take(self.special).is_ok()
    }

    /// Whether a path that stands behind what this is would be a way around the pattern. A slash begins a place below,
    /// so that the pattern has to take those.
    fn leads_around(&self, pattern: &PathPattern) -> bool {
        match pattern {
            PathPattern::Prefix(_) | PathPattern::Template { rest: true, .. } => true,
            PathPattern::Exact(_) | PathPattern::Template { rest: false, .. } => {
                self.special.parameter
            }
            PathPattern::Any | PathPattern::Regex(_) => false,
        }
    }
}

/// Reports every pattern with an escaped slash or a parameter that never arrives.
pub(super) fn report(items: &[Item<'_>], routes: &[Option<Route>]) {
    for (item, route) in gently(items.iter().zip(routes)) {
        let Some(route) = route else { continue };
        for (index, pattern) in route.matcher.paths.iter().enumerate() {
            if let Some(reason) = never_arrives(pattern, route.overrides.paths) {
                let item = written(item, index).unwrap_or_else(|| item.clone());
                item.fault(format!("{}: {reason}", item.quoted()));
            }
        }
    }
}

/// Warns of each route that takes a path such as `/admin%2Fx` or `/admin;x/y`, while `/admin/x` goes through more plugins:
/// a server that decodes the slash or cuts the parameter off sees no difference.
pub(super) fn warn_of_ways_around(items: &[Item<'_>], routes: &[Option<Route>]) {
    for (item, route) in gently(items.iter().zip(routes)) {
        let Some(wide) = route else { continue };
        for kept in KEPT.iter().filter(|kept| kept.by(wide.overrides.paths)) {
            let mut narrower = routes.iter().flatten();
            let around =
                narrower.find_map(|narrow| Some((narrow, way_around(narrow, wide, kept)?)));
            if let (Some((narrow, pattern)), Some(item)) = (around, item.field(kept.key)) {
                let (path, name) = (shown(pattern), &narrow.name);
                let below = match pattern {
                    PathPattern::Exact(_) | PathPattern::Template { rest: false, .. } => "",
                    _ => "/..",
                };
                item.warn(format!(
                    "this route takes `{path}{}..`, of which the plugins of `{name}` for `{path}{below}` see nothing; {}",
                    kept.written, kept.remedy
                ));
            }
        }
    }
}

/// The place of a route with more plugins, below that of a wider one.
fn way_around<'a>(narrow: &'a Route, wide: &Route, kept: &Kept) -> Option<&'a PathPattern> {
    let has = |plugin: &RoutePlugin| wide.plugins.iter().any(|it| it.plugin == plugin.plugin);
    let hosts = |one: &Route, other: &Route| {
        let (one, other) = (&one.matcher.hosts, &other.matcher.hosts);
        other.is_empty() || one.iter().any(|host| other.contains(host))
    };
    if narrow.plugins.iter().all(has) || !(hosts(narrow, wide) || hosts(wide, narrow)) {
        return None;
    }
    let wide: Vec<_> = wide.matcher.paths.iter().filter_map(all_below).collect();
    let mut narrow = narrow.matcher.paths.iter();
    narrow.find(|narrow| {
        let is_below = |wide: &Vec<Option<&str>>| is_below(&segments(narrow), wide);
        kept.leads_around(narrow) && wide.iter().any(is_below)
    })
}

/// The segments of a pattern that takes all below them; none for a parameter.
fn all_below(pattern: &PathPattern) -> Option<Vec<Option<&str>>> {
    match pattern {
        PathPattern::Any | PathPattern::Prefix(_) | PathPattern::Template { rest: true, .. } => {
            Some(segments(pattern))
        }
        _ => None,
    }
}

/// The segments of a pattern; none for a parameter.
fn segments(pattern: &PathPattern) -> Vec<Option<&str>> {
    match pattern {
        PathPattern::Exact(path) | PathPattern::Prefix(path) => {
            prefix_segments(path).map(Some).collect()
        }
        PathPattern::Template { segments, .. } => segments.iter().map(literal).collect(),
        PathPattern::Any | PathPattern::Regex(_) => Vec::new(),
    }
}

/// Whether some path of a pattern is below a wider one by a segment that the pattern names.
fn is_below(narrow: &[Option<&str>], wide: &[Option<&str>]) -> bool {
    let meet = |(narrow, wide): (&Option<&str>, &Option<&str>)| {
        narrow.is_none() || wide.is_none() || narrow == wide
    };
    let rest = narrow.get(wide.len()..).unwrap_or_default();
    narrow.iter().zip(wide).all(meet)
        && rest
            .iter()
            .any(|name| name.is_some_and(|name| !name.is_empty()))
}

/// A pattern without what stands for all below it.
fn shown(pattern: &PathPattern) -> String {
    match pattern {
        PathPattern::Exact(path) | PathPattern::Prefix(path) => path.clone(),
        PathPattern::Template { segments, .. } => {
            let segment = |segment: &Segment| match segment {
                Segment::Literal(text) => format!("/{text}"),
                Segment::Param(name) => format!("/{{{name}}}"),
            };
            segments.iter().map(segment).collect()
        }
        PathPattern::Any | PathPattern::Regex(_) => String::new(),
    }
}

/// Why a pattern matches nothing, if it does.
fn never_arrives(pattern: &PathPattern, rules: PathRules) -> Option<String> {
    let has = |written: &str| match pattern {
        PathPattern::Exact(path) | PathPattern::Prefix(path) => path.contains(written),
        PathPattern::Template { segments, .. } => {
            let mut literals = segments.iter().filter_map(literal);
            literals.any(|text| text.contains(written))
        }
        PathPattern::Any | PathPattern::Regex(_) => false,
    };
    let has_slash = has("%2F");
    let has_parameter = has(";") || has("%3B");
    let refused = |written: &str, key: &str| {
        Some(format!(
            "{written} never arrives: the gateway refuses such a path, unless the route says `{key} = \"keep\"`"
        ))
    };
    if has_slash && rules.slashes == EncodedSlashes::Refuse {
        return refused("`%2F`", "encoded_slashes");
    }
    if has_parameter && rules.parameters == PathParameters::Refuse {
        return refused("`;`", "path_parameters");
    }
    if !has_slash && !has_parameter {
        return None;
    }
    let text: String = match pattern {
        PathPattern::Exact(path) | PathPattern::Prefix(path) => path.clone(),
        _ => {
            let segments = segments(pattern).into_iter();
            segments
                .flat_map(|text| ["/", text.unwrap_or("p")])
                .collect()
        }
    };
    let unfit = path::rewritten(&text, None, rules).err()?;
    Some(format!("never arrives: {unfit}"))
}

/// Where a route has one of its paths.
fn written<'a>(route: &Item<'a>, index: usize) -> Option<Item<'a>> {
    let path = route.field("match")?.field("path")?;
    let path = match path.node.value {
        Value::List(_) => path.elements().into_iter().nth(index)?,
        _ => path,
    };
    Some(path.field("exact").unwrap_or(path))
}
