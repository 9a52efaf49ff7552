//! Which arm a request gets, over many requests.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::super::subject::Moment;
use super::*;
use crate::config::{Arm, ClientKey, Predicates, UpstreamId, ValuePattern};

const KEYS: usize = 100_000;

fn arms(weights: &[(&str, u32)]) -> Vec<Arm> {
    let arm = |(name, weight): &(&str, u32)| Arm {
        name: Arc::from(*name),
        upstream: UpstreamId(0),
        weight: *weight,
        matcher: None,
        plugins: Vec::new(),
        rewrite: None,
    };
    weights.iter().map(arm).collect()
}

fn split(weights: &[(&str, u32)], on: Option<ClientKey>) -> Split {
    let arms = arms(weights);
    Split::new("checkout", config::Split { arms, on }, 1)
}

fn with_headers<T>(fields: &[(&str, &str)], query: &str, ask: impl FnOnce(Subject<'_>) -> T) -> T {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::try_from(*name).unwrap();
        headers.append(name, HeaderValue::try_from(*value).unwrap());
    }
    ask(Subject {
        listener: 0,
        host: "a",
        path: "/",
        query,
        method: &Method::GET,
        headers: &headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
        moment: &Moment::default(),
        params: &[],
    })
}

/// The name of the arm of each of many clients.
fn sides(route: &str, weights: &[(&'static str, u32)]) -> Vec<&'static str> {
    let keyed = Keyed::new(route, weights.iter().copied());
    let side = |client: usize| weights[keyed.arm(format!("client-{client}").as_bytes())].0;
    (0..KEYS).map(side).collect()
}

fn count(sides: &[&str], name: &str) -> usize {
    sides.iter().filter(|side| **side == name).count()
}

fn moved(before: &[&str], after: &[&str]) -> usize {
    let pairs = before.iter().zip(after);
    pairs.filter(|(before, after)| before != after).count()
}

/// The fewest clients that can move so that as many are on each side as now are.
fn must_move(before: &[&str], after: &[&str], names: &[&str]) -> usize {
    let fewer = |name: &&str| count(before, name).saturating_sub(count(after, name));
    names.iter().map(fewer).sum()
}

/// Arms by name, with their weights.
type Weights<'a> = &'a [(&'a str, u32)];

#[test]
fn weights_hold_within_one_per_cent_over_a_hundred_thousand_keys_and_turns() {
    for weights in [
        &[("v1", 95), ("v2", 5)][..],
        &[("v1", 1), ("v2", 1), ("v3", 1)],
        &[("off", 0), ("v1", 7), ("v2", 1), ("none", 0)],
        &[("v1", 1_000_000), ("v2", 1)],
    ] {
        let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
        let by_key = sides("checkout", weights);
        let turns = split(weights, None);
        let by_turn: Vec<_> = (0..KEYS)
            .map(|_| weights[with_headers(&[], "", |it| turns.choose(it))].0)
            .collect();
        for (name, weight) in weights {
            let share = f64::from(*weight) / f64::from(total) * KEYS as f64;
            for (how, sides, within) in [("key", &by_key, 0.005), ("turn", &by_turn, 0.0001)] {
                let off = (count(sides, name) as f64 - share).abs() / KEYS as f64;
                assert!(
                    off <= within,
                    "{name} of {weights:?} by {how}: off by {off}"
                );
            }
        }
    }
}

#[test]
fn turns_keep_to_the_weights_in_short_runs_and_in_every_rhythm() {
    let weights = [("v1", 95), ("v2", 5)];
    // Clients that send so many requests at once, of which one in each round is looked at.
    for rhythm in 1..=40 {
        let turns = split(&weights, None);
        let next = || with_headers(&[], "", |it| turns.choose(it));
        let looked_at = (0..2_000).map(|_| {
            let arm = next();
            (1..rhythm).for_each(|_| assert!(next() < 2));
            arm
        });
        let canary = looked_at.filter(|arm| *arm == 1).count();
        assert!((60..=140).contains(&canary), "one in {rhythm}: {canary}");
    }
    for start in 0..200 {
        let turns = split(&weights, None);
        let arms = (0..100).map(|_| with_headers(&[], "", |it| turns.choose(it)));
        let canary = arms.filter(|arm| *arm == 1).count();
        assert!((3..=7).contains(&canary), "{start}: {canary} of 100");
    }
}

#[test]
fn a_weight_that_changes_moves_exactly_the_clients_that_must() {
    let changes: [(Weights<'_>, Weights<'_>); 8] = [
        (&[("v1", 95), ("v2", 5)], &[("v1", 90), ("v2", 10)]),
        (&[("v1", 90), ("v2", 10)], &[("v1", 0), ("v2", 100)]),
        (&[("v1", 50), ("v2", 50)], &[("v1", 100), ("v2", 0)]),
        // The same shares in other numbers, and in another order.
        (&[("v1", 95), ("v2", 5)], &[("v2", 50), ("v1", 950)]),
        // One arm against the others.
        (
            &[("a", 2), ("b", 1), ("c", 1)],
            &[("a", 2), ("b", 7), ("c", 1)],
        ),
        (&[("a", 2), ("b", 1), ("c", 1)], &[("a", 2), ("c", 1)]),
        (&[("a", 2), ("b", 1)], &[("new", 3), ("a", 2), ("b", 1)]),
        (
            &[("a", 80), ("b", 10), ("c", 10)],
            &[("a", 40), ("b", 30), ("c", 30)],
        ),
    ];
    for (before, after) in changes {
        let names: Vec<_> = before.iter().map(|(name, _)| *name).collect();
        let (before, after) = (sides("checkout", before), sides("checkout", after));
        let (moved, least) = (moved(&before, &after), must_move(&before, &after, &names));
        assert_eq!(moved, least, "of {names:?}");
    }
    let shares = [
        sides("checkout", &[("v1", 95), ("v2", 5)]),
        sides("checkout", &[("v1", 90), ("v2", 10)]),
    ];
    let part = moved(&shares[0], &shares[1]) as f64 / KEYS as f64;
    assert!((0.045..0.055).contains(&part), "{part}");
}

#[test]
fn arms_that_all_change_against_each_other_move_no_more_than_the_bound() {
    let (before, after) = (
        [("a", 1), ("b", 1), ("c", 1)],
        [("a", 4), ("b", 2), ("c", 1)],
    );
    let (before, after) = (sides("checkout", &before), sides("checkout", &after));
    let least = must_move(&before, &after, &["a", "b", "c"]) as f64 / KEYS as f64;
    let moved = moved(&before, &after) as f64 / KEYS as f64;
    assert!(
        moved > least && moved <= 2.0 * least / (1.0 + least),
        "{moved}, of at least {least}"
    );
}

#[test]
fn two_routes_put_the_same_clients_on_different_sides() {
    let weights = [("v1", 50), ("v2", 50)];
    let (one, other) = (sides("checkout", &weights), sides("cart", &weights));
    let part = moved(&one, &other) as f64 / KEYS as f64;
    assert!((0.49..0.51).contains(&part), "{part}");
}

/// What this gateway says, every other one of the fleet says, and the next version too.
#[test]
fn the_sides_of_clients_are_those_of_every_gateway() {
    let sides = sides("checkout", &[("v1", 70), ("v2", 30)]);
    let canary = (0..20).filter(|client| sides[*client] == "v2");
    assert_eq!(canary.collect::<Vec<_>>(), [2, 3, 8, 10, 17, 18]);
}

#[test]
fn the_key_is_the_first_value_of_its_name_and_an_empty_one_is_none() {
    let weights = [("v1", 1), ("v2", 1)];
    let decide = |on: &ClientKey, fields: &[(&str, &str)], query: &str| {
        let split = split(&weights, Some(on.clone()));
        with_headers(fields, query, |it| split.decide(it))
    };
    let keyed = Keyed::new("checkout", weights.into_iter());
    let of = |key: &str| Decision::Key(keyed.arm(key.as_bytes()));
    for user in ["a", "b", "c", "d", "e", "f"] {
        let cookies = format!("x=1; uid={user}; uid=z");
        let cookie = ClientKey::Cookie("uid".into());
        assert_eq!(
            decide(&cookie, &[(COOKIE.as_str(), &cookies)], ""),
            of(user)
        );
        let header = ClientKey::Header(HeaderName::from_static("x-user"));
        let fields = [("x-user", user), ("x-user", "z")];
        assert_eq!(decide(&header, &fields, ""), of(user));
        let query = ClientKey::Query("u d".into());
        assert_eq!(decide(&query, &[], &format!("u+d={user}&u+d=z")), of(user));
    }
    let cookie = ClientKey::Cookie("uid".into());
    for fields in [&[("cookie", "uid=")][..], &[("cookie", "id=a")], &[]] {
        assert_eq!(decide(&cookie, fields, "uid=a"), Decision::Turn);
    }
}

#[test]
fn the_first_override_that_holds_goes_before_key_and_weights() {
    let canary = |value: ValuePattern| {
        let headers = vec![(HeaderName::from_static("x-canary"), value)];
        Some(Predicates {
            headers,
            ..Predicates::default()
        })
    };
    let mut arms = arms(&[("v1", 1), ("v2", 0), ("v3", 0)]);
    arms[1].matcher = canary(ValuePattern::Equals("1".into()));
    arms[2].matcher = canary(ValuePattern::Present(true));
    let on = Some(ClientKey::Cookie("uid".into()));
    let split = Split::new("checkout", config::Split { arms, on }, 1);
    let decide = |fields: &[(&str, &str)]| with_headers(fields, "", |it| split.decide(it));
    assert_eq!(
        decide(&[("x-canary", "1"), ("cookie", "uid=a")]),
        Decision::Override(1)
    );
    assert_eq!(decide(&[("x-canary", "2")]), Decision::Override(2));
    assert_eq!(decide(&[("cookie", "uid=a")]), Decision::Key(0));
    assert_eq!(decide(&[]), Decision::Turn);
}
