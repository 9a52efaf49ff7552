//! `routes.split` and `routes.split_on`.

use std::sync::Arc;

use serde_json::Value as Json;

use super::super::chain::{self, Defaults};
use super::super::client_key;
use super::super::description::Words;
use super::super::item::Item;
use super::super::model::{Arm, ClientKey, Predicates, RoutePlugin, Split, UpstreamId};
use super::super::reason::Reason;
use super::super::sections::Names;
use super::super::suggest;
use super::super::table::{Default, Table};
use super::{matcher, rewrite, target};
use crate::message::path::PathRules;

/// The largest weight: shares of a millionth can be written.
const HEAVIEST: i64 = 1_000_000;

/// What `split_on` may be.
const SOURCES: [&str; 4] = ["cookie:NAME", "header:NAME", "query:NAME", "client_address"];

static WORDS: Words = Words {
    about: "One arm of a split. A request goes to the first arm whose `match` holds; where none does, the weights of all \
            arms decide. docs/canary.md shows how a new version is brought in.",
    keys: &[
        (
            "name",
            "What the access log (`arm`) and metrics call it. Unless given, the name of its upstream.",
        ),
        ("upstream", "The upstream that its requests go to."),
        (
            "weight",
            "Its part of the sum of all weights. `0`: it gets what its `match` takes, and nothing else.",
        ),
        (
            "match",
            "An override: a request for which it holds goes to this arm, whatever the weights.",
        ),
        ("plugins", "Its own plugins, after all those of the route."),
        (
            "rewrite",
            "What changes on the way to its upstream, in place of the `rewrite` of the route.",
        ),
    ],
    example: "",
};

static OVERRIDE: Words = Words {
    about: "Which requests go to an arm whatever the weights: those for which all that is given holds.",
    keys: &[
        ("methods", "The methods. Unless given, any."),
        ("headers", "Header fields, by name; all must hold."),
        ("cookies", "Cookies, by name; all must hold."),
        (
            "query",
            "Parameters of the query, by decoded name; all must hold.",
        ),
        (
            "client",
            "The networks that the client is in; `unix:` for one of a unix socket, which is in none. Unless given, any.",
        ),
        ("after", "The time from which on it holds (RFC 3339)."),
        ("before", "The time from which on it holds no more."),
        ("version", "The version of the API that is asked for."),
    ],
    example: "",
};

/// What is known of the route around a split.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) names: &'a Names,
    pub(super) defaults: Defaults<'a>,
    /// The parameters of the route.
    pub(super) params: &'a [Arc<str>],
    /// How many plugins its chain has.
    pub(super) before: usize,
    /// What it keeps in paths.
    pub(super) paths: PathRules,
}

/// `split` and `split_on`. The plugins of arms that could not be read go to `chained`.
pub(super) fn split(
    table: &mut Table<'_>,
    around: Around<'_>,
    chained: &mut Vec<RoutePlugin>,
) -> Option<Split> {
    let given = table.item_unshown("split");
    let on = table.item("split_on");
    if let (None, Some(on)) = (&given, &on) {
        on.fault("chooses between the arms of `split`, and the route has none; leave it out");
    }
    let on = on.map(|item| key(&item));
    let given = given?;
    let expected =
        "a list such as [{ upstream = \"v1\", weight = 95 }, { upstream = \"v2\", weight = 5 }]";
    let items = given.items(expected)?;
    let (mut arms, mut shown) = (Vec::new(), Vec::new());
    for item in &items {
        let (arm, json) = read_arm(item, around, chained);
        arms.push(arm);
        shown.push(json);
    }
    table.show("split", Json::Array(shown));
    check_together(&given, &items, &arms);
    let all_are_sound = arms.iter().all(Option::is_some);
    let arms: Vec<_> = arms.into_iter().flatten().collect();
    match on {
        None if all_are_sound => Some(Split { arms, on: None }),
        Some(Some(on)) if all_are_sound => Some(Split { arms, on: Some(on) }),
        _ => {
            chained.extend(arms.into_iter().flat_map(|arm| arm.plugins));
            None
        }
    }
}

fn read_arm(
    item: &Item<'_>,
    around: Around<'_>,
    chained: &mut Vec<RoutePlugin>,
) -> (Option<Arm>, Json) {
    let expected = "an arm such as { upstream = \"v1\", weight = 95 }";
    let read = item.table(expected, |table| arm(table, around, chained));
    read.unwrap_or((None, Json::Null))
}

fn arm(table: &mut Table<'_>, around: Around<'_>, chained: &mut Vec<RoutePlugin>) -> Option<Arm> {
    table.words(&WORDS);
    let name = table.item("name").map(|item| item.name());
    let example = match &around.names.upstreams[..] {
        [] => "`upstream`, the name of one".to_owned(),
        known => format!("`upstream`, such as {}", suggest::list(&some(known), "or")),
    };
    let upstream = table.required("upstream", &example, |item| {
        item.reference("an upstream", &around.names.upstreams)
    });
    let weight = table.or("weight", Default::Integer(1), |item| {
        u32::try_from(item.integer(0..=HEAVIEST)?).ok()
    });
    let matcher = table.optional_sub("match", |table| overriding(table, around.params));
    let plugins = match table.item_unshown("plugins") {
        Some(item) => {
            let (plugins, shown) =
                chain::of_arm(&item, around.names, around.before, around.defaults);
            table.show("plugins", shown);
            plugins
        }
        None => Vec::new(),
    };
    let rewrite = table.optional_sub("rewrite", |table| rewrite::rewrite(table, around.paths));
    let name = match name {
        Some(name) => name,
        None => upstream.clone(),
    };
    let index = upstream.and_then(|name| target::unique_index(around.names, &name));
    let (Some(name), Some(index)) = (name, index) else {
        chained.extend(plugins);
        return None;
    };
    Some(Arm {
        name,
        upstream: UpstreamId(index),
        weight,
        matcher,
        plugins,
        rewrite,
    })
}

/// As many as an example needs.
fn some(names: &[Arc<str>]) -> Vec<&str> {
    names.iter().take(3).map(|name| &**name).collect()
}

fn overriding(table: &mut Table<'_>, params: &[Arc<str>]) -> Predicates {
    table.words(&OVERRIDE);
    if table.is_empty() {
        table.fault_here("is empty, so that every request would go to this arm; leave it out");
    }
    table.misplaced(
        &["path", "host"],
        "may not stand here: the route has taken the request by its host and path, and an arm is chosen by the rest; write it into `match` of the route, or write another route",
    );
    let predicates = matcher::predicates(table);
    matcher::check_version(table, &predicates, params);
    predicates
}

/// What one arm cannot know of the others.
fn check_together(split: &Item<'_>, items: &[Item<'_>], arms: &[Option<Arm>]) {
    match items {
        [] => split.fault(
            "is empty; write two arms or more, such as [{ upstream = \"v1\", weight = 95 }, { upstream = \"v2\", weight = 5 }]",
        ),
        [_] => split.fault(
            "has one arm, which would take all requests; add another one, or write `upstream` in place of `split`",
        ),
        _ => {}
    }
    let known = arms.iter().flatten();
    if known.clone().count() == items.len()
        && items.len() > 1
        && known.clone().all(|arm| arm.weight == 0)
        && !items.iter().any(|item| item.has_unset("weight"))
    {
        split.fault(
            "has no arm with a weight above 0, so that a request without an override would go nowhere; give one arm a `weight`",
        );
    }
    let mut seen: Vec<(&Arc<str>, &Item<'_>)> = Vec::new();
    for (item, arm) in items.iter().zip(arms) {
        let Some(arm) = arm else { continue };
        match seen.iter().find(|(name, _)| **name == arm.name) {
            Some((_, first)) if is_named_by_unset(item) || is_named_by_unset(first) => {}
            Some((_, first)) => duplicate(item, first),
            None => seen.push((&arm.name, item)),
        }
    }
}

/// Whether the name of an arm, or of its upstream where it has none, is not set.
fn is_named_by_unset(item: &Item<'_>) -> bool {
    let key = item.named().map_or("upstream", |_| "name");
    item.has_unset(key)
}

fn duplicate(item: &Item<'_>, first: &Item<'_>) {
    let place = item.scope.show(first.node.at);
    match item.named() {
        Some(name) => name.fault(format!(
            "another arm has the name {} already, in {place}",
            name.quoted()
        )),
        None => item.fault(format!(
            "has the name of another arm, in {place}, since an arm without a `name` is called like its upstream; give it a `name`"
        )),
    }
}

/// What `split_on` names.
fn key(item: &Item<'_>) -> Option<ClientKey> {
    let sources = suggest::list(&SOURCES, "or");
    let no_attributes = |_: &str| {
        Err(Reason::own(format!(
            "the arm is chosen before any plugin runs, so that there are no attributes yet; write {sources}"
        )))
    };
    client_key::read(item, &SOURCES, |key| key, no_attributes)
}
