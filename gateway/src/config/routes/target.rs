//! Where a route goes: `upstream`, `respond`, `redirect` or plugins alone. `split` has a reader of its own.

use std::sync::Arc;

use super::super::answers::respond;
use super::super::model::{Rewrite, Target, UpstreamId};
use super::super::sections::Names;
use super::super::suggest;
use super::super::table::Table;
use super::overrides;
use super::redirect::redirect;
use super::rewrite::rewrite;

/// The target, unless it is a split, and the rewriting on the way to it. `params` are those of the path.
pub(super) fn target(
    table: &mut Table<'_>,
    names: &Names,
    params: &[Arc<str>],
    has_plugins: bool,
) -> (Option<Target>, Rewrite) {
    let given: Vec<_> = ["upstream", "respond", "redirect", "split"]
        .into_iter()
        .filter(|key| table.has(key))
        .collect();
    if given.len() > 1 {
        let keys = suggest::list(&given, "and");
        table.fault_here(format!("has {keys}; a route has one of them"));
    } else if given.is_empty() && !has_plugins {
        table.fault_here(
            "goes nowhere; add `upstream = \"name\"`, `respond = { .. }`, `redirect = { .. }` or `plugins = [..]` that answer",
        );
    }
    let upstream = table.optional("upstream", |item| {
        let name = item.reference("an upstream", &names.upstreams)?;
        unique_index(names, &name).map(|index| Target::Upstream(UpstreamId(index)))
    });
    let respond = table.optional_sub("respond", |table| respond(table, params));
    let redirect = table.optional_sub("redirect", |table| redirect(table, params));
    if table.has("rewrite") && matches!(given.as_slice(), ["respond" | "redirect"]) {
        let message = format!(
            "changes nothing: the route has `{}` and goes to no upstream",
            given[0]
        );
        table.fault("rewrite", message);
    }
    let rules = overrides::paths(table);
    // Nothing is shown of what would change nothing.
    let rewrite = match given.as_slice() {
        ["respond" | "redirect"] => {
            let given = table.optional_sub("rewrite", |table| rewrite(table, rules));
            given.unwrap_or_default()
        }
        _ => table.sub("rewrite", |table| rewrite(table, rules)),
    };
    let target = match given.as_slice() {
        [] => Some(Target::Plugins),
        ["upstream"] => upstream,
        ["respond"] => respond.flatten().map(Target::Respond),
        ["redirect"] => redirect.flatten().map(Target::Redirect),
        _ => None,
    };
    (target, rewrite)
}

/// The index that the upstream has in the configuration: a name that is given twice (a fault) counts once.
pub(super) fn unique_index(names: &Names, name: &str) -> Option<usize> {
    names.upstreams.iter().position(|known| &**known == name)
}
