//! Parameters of hosts and paths: a route has the same ones, by whichever of its patterns a request came.

use std::sync::Arc;

use super::super::super::item::{Form, Item};
use super::super::super::model::{HostPattern, Match, PathPattern, Segment};

/// The names of a template's parameters.
pub(super) fn of(pattern: &[Segment]) -> Vec<Arc<str>> {
    pattern.iter().filter_map(Segment::param).cloned().collect()
}

/// Reports a parameter that one pattern of a list lacks, and one that host and path have.
pub(super) fn report(host: Option<&Item<'_>>, path: Option<&Item<'_>>, matcher: &Match) {
    let hosts: Vec<_> = matcher
        .hosts
        .iter()
        .map(HostPattern::labels)
        .map(of)
        .collect();
    let paths: Vec<_> = matcher
        .paths
        .iter()
        .map(PathPattern::segments)
        .map(of)
        .collect();
    same(host, "host", &hosts);
    same(path, "path", &paths);
    let of_path = || paths.iter().flatten();
    let shared = hosts
        .iter()
        .flatten()
        .find(|name| of_path().any(|other| other == *name));
    if let (Some(name), Some(path)) = (shared, path) {
        path.fault(format!(
            "`{{{name}}}` is a parameter of the host, too; give each its own name"
        ));
    }
}

/// Reports every pattern that lacks a parameter of another one.
fn same(item: Option<&Item<'_>>, what: &str, patterns: &[Vec<Arc<str>>]) {
    let Some(item) = item else { return };
    let items = match item.by_form(|form| form) {
        Form::List => item.elements(),
        _ => return,
    };
    // A list with a faulty pattern has another length, and its own fault.
    if items.len() != patterns.len() {
        return;
    }
    for (item, own) in items.iter().zip(patterns) {
        let lacking = patterns.iter().flatten().find(|name| !own.contains(name));
        if let Some(name) = lacking {
            item.fault(format!(
                "lacks the parameter `{{{name}}}` of another {what}: every {what} of a route has the same"
            ));
        }
    }
}
