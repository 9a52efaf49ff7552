//! Chains: the configuration-wide one, and what a route makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::description::Words;
use super::item::{Form, Item};
use super::model::{Plugin, RoutePlugin};
use super::plugins;
use super::sections::{Names, Sections};
use super::suggest;
use super::table::Table;
use super::written::Written;

/// A plugin in a chain, before the default configuration is known to be sound.
#[derive(Debug, Clone)]
pub(super) struct Step {
    plugin: Arc<str>,
    config: Option<Json>,
    place: Written,
}

/// What a step has that gives no configuration of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults<'a> {
    /// Plugins by name, as far as they could be read.
    pub(super) plugins: &'a IndexMap<Arc<str>, Plugin>,
    /// Where they stand.
    pub(super) places: &'a BTreeMap<Arc<str>, Written>,
}

/// `chain`: what every route starts with.
pub(super) fn global(sections: &mut Sections<'_>, names: &Names) -> Vec<Step> {
    let Some(item) = sections.given("chain").first().cloned() else {
        sections.show("chain", Json::Array(Vec::new()));
        return Vec::new();
    };
    let (steps, shown) = steps(&item, names);
    sections.show("chain", shown);
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
                skip_then(table, names, global, &mut chain)
            });
            return read.map_or(Json::Null, |((), shown)| shown);
        }
        let (own, shown) = steps(item, names);
        chain.extend(own);
        shown
    });
    (resolve(chain, defaults), shown)
}

/// `plugins` of an arm of a split: a list that follows the chain of its route.
pub(super) fn of_arm(
    item: &Item<'_>,
    names: &Names,
    defaults: Defaults<'_>,
) -> (Vec<RoutePlugin>, Json) {
    let (own, shown) = steps(item, names);
    (resolve(own, defaults), shown)
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

static STEP: Words = Words {
    about: "A plugin in a chain.",
    keys: &[
        ("name", "A name of `[plugins]`."),
        (
            "config",
            "What the plugin is configured with here. Unless given, `config` of the plugin.",
        ),
    ],
    example: "",
};

fn skip_then(table: &mut Table<'_>, names: &Names, global: &[Step], chain: &mut Vec<Step>) {
    table.words(&SKIP_THEN);
    if let Some(skip) = table.item("skip") {
        for item in skip.items("a list of names").unwrap_or_default() {
            skipped(&item, names, global, chain);
        }
    }
    if let Some(then) = table.item_unshown("then") {
        let (own, shown) = steps(&then, names);
        chain.extend(own);
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

fn steps(item: &Item<'_>, names: &Names) -> (Vec<Step>, Json) {
    let expected = "a list such as [\"auth\", { name = \"transform\", config = { .. } }]";
    let items = item.items(expected).unwrap_or_default();
    let (mut steps, mut shown) = (Vec::new(), Vec::new());
    for item in items {
        let (step, json) = step(&item, names);
        steps.extend(step);
        shown.push(json);
    }
    (steps, Json::Array(shown))
}

fn step(item: &Item<'_>, names: &Names) -> (Option<Step>, Json) {
    item.by_form(|form| match form {
        Form::Text => {
            let plugin = item.reference("a plugin", &names.plugins);
            let step = plugin.map(|plugin| Step {
                plugin,
                config: None,
                place: Written::bare(item),
            });
            (step, item.node.masked())
        }
        _ => step_table(item, names),
    })
}

fn step_table(item: &Item<'_>, names: &Names) -> (Option<Step>, Json) {
    let read = item.table(
        "the name of a plugin, or { name = \"..\", config = { .. } }",
        |table| {
            table.words(&STEP);
            let plugin = table.required("name", "name = \"auth\"", |item| {
                item.reference("a plugin", &names.plugins)
            });
            let mut place = Written::bare(item);
            let config = match table.item_unshown("config") {
                Some(item) => {
                    let (config, written, shown) = plugins::config(&item, names);
                    place = written;
                    table.show("config", shown);
                    config
                }
                None => None,
            };
            Some(Step {
                plugin: plugin?,
                config,
                place,
            })
        },
    );
    read.unwrap_or((None, Json::Null))
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
            place,
        }
    });
    resolved.collect()
}
