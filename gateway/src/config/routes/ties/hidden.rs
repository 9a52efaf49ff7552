//! Routes that hide others: nothing is left for a route, its policies are bypassed, or its `priority` turns the rank over.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use super::super::super::item::Item;
use super::super::super::model::{PathPattern, Route, RoutePlugin};
use super::budget::{self, Budget};
use super::covers::{self, Index, Node};
use super::meets::{self, Meeting};
use super::pair::Pair;
use crate::thread::priority::gently;

/// So many of the routes that one route hides are named.
const NAMED: usize = 3;

/// So many of them are counted.
const MOST: usize = 1_000;

/// Warns of every route that hides another; there are so many listeners.
pub(super) fn report(items: &[Item<'_>], pairs: &[Pair<'_>], listeners: usize) {
    let mut warnings = BTreeMap::new();
    let strong = strong(pairs);
    let dead = unreachable(&strong, items, pairs, &mut warnings);
    let turned = overturned(&strong, pairs, &dead, listeners);
    turned.tell(items, &mut warnings, |_, _| String::new(), turned_over);
    let are_compared = bypassed(items, pairs, &mut warnings);
    if let Some(pair) = pairs.first()
        && (strong.budget().is_spent() || !are_compared)
    {
        budget::warn(&items[pair.index]);
    }
    for (index, messages) in warnings {
        for message in messages {
            items[index].warn(message);
        }
    }
}

/// What is said of each route.
type Warnings = BTreeMap<usize, Vec<String>>;

/// The name and the place of another route.
fn named(item: &Item<'_>) -> (String, String) {
    let name = item.named().map_or(String::new(), |name| name.quoted());
    (name, item.scope.show(item.node.at))
}

/// The pairs that go before some that they cover: otherwise, what is wider ranks lower.
fn strong<'a>(pairs: &'a [Pair<'a>]) -> Index<'a> {
    let lowest = pairs.iter().map(|pair| pair.rank.priority()).min();
    let mut index = Index::default();
    for pair in gently(pairs) {
        if pair.expression.is_some() || Some(pair.rank.priority()) > lowest {
            index.add(pair);
        }
    }
    index
}

/// The routes all of whose pairs others take; and by which.
fn unreachable(
    strong: &Index<'_>,
    items: &[Item<'_>],
    pairs: &[Pair<'_>],
    warnings: &mut Warnings,
) -> BTreeMap<usize, usize> {
    let takes_all = |pair: &Pair<'_>, other: &Pair<'_>| {
        other.index != pair.index
            && meets::within(&pair.route.listeners, &other.route.listeners)
            && meets::implied(
                &other.route.matcher.predicates,
                &pair.route.matcher.predicates,
            )
    };
    let (mut dead, mut alone) = (BTreeMap::new(), BTreeSet::new());
    let mut by_taker = Hidden::default();
    for pairs in gently(pairs.chunk_by(|a, b| a.index == b.index)) {
        let takers = pairs.iter().map(|pair| {
            let mut taker = None;
            let _done = strong.covering(pair.host, pair, &pair.rank, &mut |other| {
                if !takes_all(pair, other) {
                    return ControlFlow::Continue(());
                }
                taker = Some(other.index);
                ControlFlow::Break(())
            });
            taker
        });
        let Some(takers) = takers.collect::<Option<Vec<_>>>() else {
            continue;
        };
        let (index, taker) = (pairs[0].index, takers[0]);
        dead.insert(index, taker);
        by_taker.add(taker, index);
        if takers.iter().all(|other| *other == taker) {
            alone.insert(index);
        }
    }
    for (taker, of) in by_taker.0 {
        if let (1, Some(&index)) = (of.0.len(), of.0.first()) {
            let (name, place) = named(&items[taker]);
            let own = named(&items[index]).0;
            let others = if alone.contains(&index) {
                ""
            } else {
                " and others"
            };
            warnings.entry(index).or_default().push(format!(
                "{own} can never be reached: {name} in {place}{others} goes before it and matches all that it matches; remove {own}, narrow {name}, or set `match.priority`"
            ));
            continue;
        }
        let name = named(&items[taker]).0;
        let others = match of.0.iter().all(|index| alone.contains(index)) {
            true => "",
            false => ", some of it with others,",
        };
        let hidden = of.named(items, |_| String::new());
        warnings.entry(taker).or_default().push(format!(
            "{name} goes before {hidden}, which can never be reached: it matches all that they match{others}; remove them, narrow {name}, or set their `match.priority`"
        ));
    }
    dead
}

/// Routes that `priority` puts before narrower ones. One that serves on some of the other's listeners alone is meant to take
/// from it there, as where all that comes without TLS is redirected.
fn overturned(
    strong: &Index<'_>,
    pairs: &[Pair<'_>],
    dead: &BTreeMap<usize, usize>,
    listeners: usize,
) -> Hidden {
    let mut hidden = Hidden::default();
    for pair in pairs.iter().filter(|pair| !dead.contains_key(&pair.index)) {
        let _done = strong.covering(pair.host, pair, &pair.rank, &mut |other| {
            if other.index != pair.index
                && other.rank.priority() > pair.rank.priority()
                && other.rank.specificity() < pair.rank.specificity()
                && !hidden.is_full(other.index)
                && can_meet(other, pair)
                && !serves_on_fewer(other.route, pair.route, listeners)
            {
                hidden.add(other.index, pair.index);
            }
            ControlFlow::Continue(())
        });
    }
    hidden
}

/// What is said of a route that `priority` puts before others.
fn turned_over(own: &str, hidden: &str, several: bool) -> String {
    match several {
        false => format!(
            "the `match.priority` of {own} puts it before {hidden}, which is narrower; lower it, narrow {own}, or raise that of the other"
        ),
        true => format!(
            "the `match.priority` of {own} puts it before {hidden}, which are narrower; lower it, narrow {own}, or raise those of the others"
        ),
    }
}

/// Whether a route serves on some of another's listeners, and nowhere else.
fn serves_on_fewer(route: &Route, other: &Route, listeners: usize) -> bool {
    let are_its = (0..listeners).all(|at| !route.serves_on(at) || other.serves_on(at));
    are_its && (0..listeners).any(|at| other.serves_on(at) && !route.serves_on(at))
}

fn can_meet(a: &Pair<'_>, b: &Pair<'_>) -> bool {
    let (a, b) = (a.route, b.route);
    meets::lists(&a.listeners, &b.listeners) != Meeting::Never
        && meets::predicates(&a.matcher.predicates, &b.matcher.predicates) != Meeting::Never
}

/// Routes that take, for their hosts, what a route of less of a host has plugins for that they lack. Whether all could be
/// compared.
fn bypassed(items: &[Item<'_>], pairs: &[Pair<'_>], warnings: &mut Warnings) -> bool {
    let budget = Budget::default();
    let chains = Chains::of(pairs);
    let (mut of_hosts, mut all) = (Node::default(), Index::default());
    for pair in gently(pairs) {
        all.add(pair);
        if pair.host.is_some() {
            of_hosts.add(pair);
        }
    }
    let mut hidden = Hidden::default();
    for pair in gently(pairs) {
        if pair.route.plugins.is_empty() || is_catch_all(pair.path) {
            continue;
        }
        let _done = of_hosts.covering(pair, &budget, &mut |other| {
            if other.index != pair.index
                && other.host != pair.host
                && !hidden.is_full(other.index)
                && covers::host(pair.host, other.host)
                && chains.lacks(other.index, pair.index)
                && can_meet(other, pair)
                && !is_taken_before(other, pair, &all, &chains)
            {
                hidden.add(other.index, pair.index);
            }
            ControlFlow::Continue(())
        });
    }
    let lacking = |own, hidden| {
        let lacking = chains.lacking(own, hidden).join(", ");
        format!(" (without {lacking})")
    };
    hidden.tell(items, warnings, lacking, |own, hidden, _| {
        format!(
            "{own} takes on its hosts what matches {hidden}, since a host ranks before a path: plugins of those chains are passed by; add the same here, or set `match.priority` there"
        )
    });
    !budget.is_spent() && !all.budget().is_spent()
}

fn is_catch_all(path: &PathPattern) -> bool {
    match path {
        PathPattern::Any => true,
        PathPattern::Prefix(prefix) => prefix.is_empty(),
        _ => false,
    }
}

/// Whether, on the hosts of `wide`, a still nearer route with the same plugins takes what `hidden` matches.
fn is_taken_before(
    wide: &Pair<'_>,
    hidden: &Pair<'_>,
    all: &Index<'_>,
    chains: &Chains<'_>,
) -> bool {
    all.covering(wide.host, hidden, &wide.rank, &mut |other| {
        let (route, of) = (other.route, hidden.route);
        let takes = !chains.lacks(other.index, hidden.index)
            && meets::within(&of.listeners, &route.listeners)
            && meets::implied(&route.matcher.predicates, &of.matcher.predicates);
        match takes {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })
    .is_break()
}

/// The chains of routes, by index.
#[derive(Debug)]
struct Chains<'a> {
    of: HashMap<usize, &'a [RoutePlugin]>,
}

impl<'a> Chains<'a> {
    fn of(pairs: &'a [Pair<'a>]) -> Self {
        let chains = pairs
            .iter()
            .map(|pair| (pair.index, &pair.route.plugins[..]));
        Self {
            of: chains.collect(),
        }
    }

    fn lacks(&self, route: usize, other: usize) -> bool {
        self.missing(route, other).next().is_some()
    }

    /// The names of what one route lacks of another's chain, as a message has them.
    fn lacking(&self, route: usize, other: usize) -> Vec<String> {
        let missing = self.missing(route, other);
        missing.map(|link| format!("`{}`", link.plugin)).collect()
    }

    /// The links of another route's chain that one does not have, or has with another configuration or condition.
    fn missing(&self, route: usize, other: usize) -> impl Iterator<Item = &'a RoutePlugin> {
        let own = self.of[&route];
        let is_there = |link: &RoutePlugin| own.iter().any(|own| is_as_strict(own, link));
        self.of[&other].iter().filter(move |link| !is_there(link))
    }
}

/// Whether a link has its turn with the same configuration whenever another has.
fn is_as_strict(own: &RoutePlugin, link: &RoutePlugin) -> bool {
    let written = |link: &RoutePlugin| link.when.as_ref().map(|when| when.written.clone());
    let has_its_turn = own.when.is_none() || written(own) == written(link);
    own.plugin == link.plugin && own.config == link.config && has_its_turn
}

/// Which routes each route hides, in the order they were found.
#[derive(Debug, Default)]
struct Hidden(BTreeMap<usize, Few>);

/// Routes of which the first are named.
#[derive(Debug, Default)]
struct Few(BTreeSet<usize>);

impl Hidden {
    fn is_full(&self, route: usize) -> bool {
        self.0.get(&route).is_some_and(|of| of.0.len() >= MOST)
    }

    fn add(&mut self, route: usize, hides: usize) {
        self.0.entry(route).or_default().0.insert(hides);
    }

    /// Words what is said of each: its name, the hidden routes as a message has them, and whether those are several.
    fn tell(
        &self,
        items: &[Item<'_>],
        warnings: &mut Warnings,
        with: impl Fn(usize, usize) -> String,
        words: impl Fn(&str, &str, bool) -> String,
    ) {
        for (&route, of) in &self.0 {
            let own = named(&items[route]).0;
            let hidden = of.named(items, |hides| with(route, hides));
            let message = words(&own, &hidden, of.0.len() > 1);
            warnings.entry(route).or_default().push(message);
        }
    }
}

impl Few {
    /// The first with their places, each with what is said of it, and how many more there are.
    fn named(&self, items: &[Item<'_>], with: impl Fn(usize) -> String) -> String {
        let first = self.0.iter().take(NAMED).map(|&index| {
            let (name, place) = named(&items[index]);
            format!("{name} in {place}{}", with(index))
        });
        let first: Vec<_> = first.collect();
        match self.0.len() - first.len() {
            0 => list(&first),
            more if self.0.len() >= MOST => {
                format!("{} and {more} more or above", first.join(", "))
            }
            more => format!("{} and {more} more", first.join(", ")),
        }
    }
}

/// `a, b and c`.
fn list(texts: &[String]) -> String {
    match texts {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => texts.concat(),
    }
}
