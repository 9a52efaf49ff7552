//! Chains: the configuration-wide one, those with a name (`named`), and what a route makes of them.

mod named;
mod step;
mod when;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::description::Words;
use super::item::{Form, Item};
use super::model::{LONGEST_CHAIN, Plugin, RoutePlugin};
use super::sections::{Names, Sections};
use super::suggest;
use super::table::Table;
use super::tree::Entry;
use super::written::Written;

use step::{Asked, pieces};

pub(super) use named::{Chains, chain};
pub(super) use step::Step;

/// What stands for what a route or a step does not say itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults<'a> {
    /// Plugins by name, as far as they could be read.
    pub(super) plugins: &'a IndexMap<Arc<str>, Plugin>,
    /// Where they stand.
    pub(super) places: &'a BTreeMap<Arc<str>, Written>,
    /// `[chains]`.
    pub(super) chains: &'a Chains,
    /// `[defaults]`: what stands for keys of routes.
    pub(super) of_routes: &'a [&'a Entry],
}

/// `chain`: what every route starts with.
pub(super) fn global(sections: &mut Sections<'_>, names: &Names, chains: &Chains) -> Vec<Step> {
    let Some(item) = sections.given("chain").first().cloned() else {
        sections.show("chain", Json::Array(Vec::new()));
        return Vec::new();
    };
    let (pieces, shown) = pieces(&item, names);
    sections.show("chain", shown);
    let steps = chains.steps(pieces);
    expect_short(&item, steps.len());
    expect_plugin_before(&item, &steps);
    steps
}

/// `routes[].plugins`: a list that follows the configuration-wide chain, or `{ skip, then }`. The chain, how
/// it is shown, and whether the route names a plugin itself.
pub(super) fn of_route(
    item: Option<&Item<'_>>,
    names: &Names,
    global: &[Step],
    defaults: Defaults<'_>,
) -> (Vec<RoutePlugin>, Json) {
    let Some(item) = item else {
        return (resolve(global.to_vec(), defaults), Json::Array(Vec::new()));
    };
    let mut chain = global.to_vec();
    let shown = item.by_form(|form| {
        if form == Form::Table {
            let expected = "{ skip = [\"auth\"], then = [..] }";
            let read = item.table(expected, |table| {
                skip_then(table, names, global, defaults.chains, &mut chain)
            });
            return read.map_or(Json::Null, |((), shown)| shown);
        }
        let (own, shown) = pieces(item, names);
        chain.extend(defaults.chains.steps(own));
        shown
    });
    expect_short(item, chain.len());
    expect_plugin_before(item, &chain);
    (resolve(chain, defaults), shown)
}

/// `plugins` of an arm of a split: a list that follows the chain of its route, which has `before` plugins.
pub(super) fn of_arm(
    item: &Item<'_>,
    names: &Names,
    before: usize,
    defaults: Defaults<'_>,
) -> (Vec<RoutePlugin>, Json) {
    let (own, shown) = pieces(item, names);
    let own = defaults.chains.steps(own);
    expect_short(item, before + own.len());
    if before == 0 {
        expect_plugin_before(item, &own);
    }
    (resolve(own, defaults), shown)
}

fn expect_short(item: &Item<'_>, length: usize) {
    if length > LONGEST_CHAIN {
        item.fault(format!(
            "makes a chain of more than {LONGEST_CHAIN} plugins, the most that one may have"
        ));
    }
}

/// Warns of a first plugin whose `when` asks for what only plugins set.
fn expect_plugin_before(item: &Item<'_>, steps: &[Step]) {
    if let Some(Asked { at, key }) = steps.first().and_then(|step| step.attributes.as_ref()) {
        let message = "no plugin stands before this one in the chain, so that no attribute is set when it is decided; \
                       move the plugin behind the one that sets it";
        item.scope.warn(*at, key, message);
    }
}

static SKIP_THEN: Words = Words {
    about: "A chain of a route that does not begin with all of the top-level `chain`.",
    keys: &[
        (
            "skip",
            "Plugins of the top-level `chain` that it leaves out.",
        ),
        ("then", "What follows the rest."),
    ],
    example: "",
};

fn skip_then(
    table: &mut Table<'_>,
    names: &Names,
    global: &[Step],
    chains: &Chains,
    chain: &mut Vec<Step>,
) {
    table.words(&SKIP_THEN);
    if let Some(skip) = table.item("skip") {
        for item in skip.items("a list of names").unwrap_or_default() {
            skipped(&item, names, global, chain);
        }
    }
    if let Some(then) = table.item_unshown("then") {
        let (own, shown) = pieces(&then, names);
        chain.extend(chains.steps(own));
        table.show("then", shown);
    }
}

fn skipped(item: &Item<'_>, names: &Names, global: &[Step], chain: &mut Vec<Step>) {
    let Some(name) = item.reference("a plugin", &names.plugins) else {
        return;
    };
    if !global.iter().any(|step| step.plugin == name) {
        let there = global.iter().map(|step| &*step.plugin);
        let remedy = suggest::remedy(&name, there, "the chain is");
        item.fault(format!(
            "{} is not in the top-level `chain`, so there is nothing to skip{remedy}",
            item.quoted()
        ));
    }
    chain.retain(|step| step.plugin != name);
}

fn resolve(chain: Vec<Step>, defaults: Defaults<'_>) -> Vec<RoutePlugin> {
    let resolved = chain.into_iter().map(|step| {
        let (config, place) = match step.config {
            Some(config) => (config, step.place),
            None => {
                let plugin = defaults.plugins.get(&step.plugin);
                let config =
                    plugin.map_or(Json::Object(Map::new()), |plugin| plugin.config.clone());
                match defaults.places.get(&step.plugin) {
                    Some(default) => (config, step.place.with_table_of(default)),
                    None => (config, step.place),
                }
            }
        };
        RoutePlugin {
            plugin: step.plugin,
            config,
            when: step.when,
            place,
        }
    });
    resolved.collect()
}
