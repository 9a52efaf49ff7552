//! Every option, against an exchange in memory and a clock that stands still.

mod faults;

use std::time::{Duration, UNIX_EPOCH};

use gateway_plugin_sdk::Level;
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::test::{Exchange, Gateway, Harness};
use serde_json::{Value, json};

use crate::RateLimit;

/// At the beginning of a window, whichever of seconds, minutes or hours.
const NOON: u64 = 1_800_000_000;

fn rate_limit(config: Value) -> Harness<RateLimit> {
    Gateway::new()
        .now(UNIX_EPOCH + Duration::from_secs(NOON))
        .configure(config)
        .unwrap()
}

/// A limit of `limit` in ten seconds, with `more`.
fn ten_seconds(limit: u32, more: Value) -> Harness<RateLimit> {
    let mut config = json!({ "limit": limit, "window": "10s" });
    let Value::Object(more) = more else {
        panic!("not a table")
    };
    config.as_object_mut().unwrap().extend(more);
    rate_limit(config)
}

fn get() -> Exchange {
    Exchange::get("/")
}

fn passes(plugin: &Harness<RateLimit>, exchange: Exchange) -> bool {
    plugin.on_request(&mut { exchange }).unwrap() == Flow::Next
}

/// How many equal requests pass before the first that does not.
fn passing(plugin: &Harness<RateLimit>, exchange: impl Fn() -> Exchange) -> usize {
    (0..100).take_while(|_| passes(plugin, exchange())).count()
}

fn refusal(plugin: &Harness<RateLimit>, exchange: Exchange) -> Answer {
    match plugin.on_request(&mut { exchange }).unwrap() {
        Flow::Respond(answer) => answer,
        Flow::Next => panic!("the request passed"),
    }
}

fn retry_after(plugin: &Harness<RateLimit>) -> String {
    let answer = refusal(plugin, get());
    answer.value("retry-after").unwrap().to_owned()
}

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn a_token_bucket_allows_its_depth_at_once_and_then_one_per_share_of_the_window() {
    let plugin = ten_seconds(10, json!({ "burst": 2 }));
    assert_eq!(passing(&plugin, get), 2);
    assert_eq!(retry_after(&plugin), "1");
    plugin.advance(milliseconds(999));
    assert!(!passes(&plugin, get()));
    plugin.advance(milliseconds(1));
    assert_eq!(passing(&plugin, get), 1);
    plugin.advance(Duration::from_secs(3600));
    assert_eq!(passing(&plugin, get), 2);
}

#[test]
fn a_token_bucket_without_a_burst_is_as_deep_as_its_limit() {
    assert_eq!(passing(&ten_seconds(5, json!({})), get), 5);
    assert_eq!(passing(&ten_seconds(5, json!({ "burst": 0 })), get), 5);
    assert_eq!(passing(&ten_seconds(5, json!({ "burst": 8 })), get), 8);
}

#[test]
fn a_fixed_window_ends_with_the_clock() {
    let plugin = ten_seconds(2, json!({ "algorithm": "fixed_window" }));
    plugin.advance(milliseconds(8_500));
    assert_eq!(passing(&plugin, get), 2);
    assert_eq!(retry_after(&plugin), "2");
    plugin.advance(milliseconds(1_499));
    assert!(!passes(&plugin, get()));
    plugin.advance(milliseconds(1));
    assert_eq!(passing(&plugin, get), 2);
}

#[test]
fn a_sliding_window_forgets_the_last_one_by_and_by() {
    let plugin = ten_seconds(4, json!({ "algorithm": "sliding_window" }));
    plugin.advance(milliseconds(5_000));
    assert_eq!(passing(&plugin, get), 4);
    // One of four has faded when a quarter of the next window is over: at 12.5 s.
    assert_eq!(retry_after(&plugin), "8");
    plugin.advance(milliseconds(7_499));
    assert_eq!(retry_after(&plugin), "1");
    plugin.advance(milliseconds(1));
    assert_eq!(passing(&plugin, get), 1);
}

#[test]
fn a_request_takes_its_cost_and_a_refused_one_takes_nothing() {
    let plugin = ten_seconds(10, json!({ "cost": 4 }));
    let mut exchange = get();
    plugin.on_request(&mut exchange).unwrap();
    let remaining = exchange.response_header("x-ratelimit-remaining");
    assert_eq!(remaining.as_deref(), Some("6"));
    assert_eq!(passing(&plugin, get), 1);
    for _ in 0..3 {
        assert_eq!(retry_after(&plugin), "2");
    }
    plugin.advance(Duration::from_secs(2));
    assert_eq!(passing(&plugin, get), 1);
}

#[test]
fn clients_are_told_apart_by_their_address_unless_the_key_says_otherwise() {
    let plugin = ten_seconds(1, json!({}));
    let from = |address: &'static str| move || get().client_address(address);
    assert_eq!(passing(&plugin, from("192.0.2.1")), 1);
    assert_eq!(passing(&plugin, from("192.0.2.2")), 1);
    assert_eq!(passing(&plugin, from("2001:db8::1")), 1);

    let together = ten_seconds(1, json!({ "key": "route" }));
    assert_eq!(passing(&together, from("192.0.2.1")), 1);
    assert_eq!(passing(&together, from("192.0.2.2")), 0);
}

#[test]
fn a_header_or_an_attribute_tells_clients_apart_whatever_their_address() {
    let header = ten_seconds(1, json!({ "key": "header:X-Tenant" }));
    let tenant = |name: &'static str, address: &'static str| {
        move || get().header("x-tenant", name).client_address(address)
    };
    assert_eq!(passing(&header, tenant("a", "192.0.2.1")), 1);
    assert_eq!(passing(&header, tenant("a", "192.0.2.2")), 0);
    assert_eq!(passing(&header, tenant("b", "192.0.2.1")), 1);

    let attribute = ten_seconds(1, json!({ "key": "attribute:auth.subject" }));
    let subject = |name: &'static str| move || get().attribute("auth.subject", name);
    assert_eq!(passing(&attribute, subject("alice")), 1);
    assert_eq!(passing(&attribute, subject("bob")), 1);
    assert_eq!(passing(&attribute, subject("alice")), 0);
}

#[test]
fn a_combined_key_counts_each_combination() {
    let plugin = ten_seconds(1, json!({ "key": ["client_address", "header:x-tenant"] }));
    let from = |address: &'static str, tenant: &'static str| {
        move || get().client_address(address).header("x-tenant", tenant)
    };
    assert_eq!(passing(&plugin, from("192.0.2.1", "a")), 1);
    assert_eq!(passing(&plugin, from("192.0.2.1", "b")), 1);
    assert_eq!(passing(&plugin, from("192.0.2.2", "a")), 1);
    assert_eq!(passing(&plugin, from("192.0.2.1", "a")), 0);
}

#[test]
fn a_value_of_any_length_and_any_bytes_is_a_key() {
    let plugin = ten_seconds(1, json!({ "key": "header:x-tenant" }));
    let (long, longer) = ("a".repeat(8_000), "a".repeat(8_001));
    let with = |value: &[u8]| get().header("x-tenant", value);
    assert!(passes(&plugin, with(long.as_bytes())));
    assert!(passes(&plugin, with(longer.as_bytes())));
    assert!(!passes(&plugin, with(long.as_bytes())));
    assert!(passes(&plugin, with(b"\xff\xfe")));
    assert!(!passes(&plugin, with(b"\xff\xfe")));
}

#[test]
fn a_request_without_the_key_is_counted_by_its_address_or_not_at_all_or_refused() {
    let keyed = |on_missing: &str| {
        let more = json!({ "key": "header:x-tenant", "on_missing_key": on_missing });
        ten_seconds(1, more)
    };
    let empty = || get().header("x-tenant", "");

    let by_address = ten_seconds(1, json!({ "key": "header:x-tenant" }));
    assert_eq!(passing(&keyed("client_address"), get), 1);
    assert_eq!(passing(&by_address, get), 1);
    assert_eq!(passing(&by_address, empty), 0);
    // What a client sends never passes for an address.
    let forged = || get().header("x-tenant", "192.0.2.1");
    assert_eq!(passing(&by_address, forged), 1);

    let skipped = keyed("skip");
    assert_eq!(passing(&skipped, get), 100);
    let mut exchange = get();
    skipped.on_request(&mut exchange).unwrap();
    assert_eq!(exchange.response_headers(), []);

    let refused = keyed("refuse");
    for exchange in [get(), empty()] {
        let answer = refusal(&refused, exchange);
        assert_eq!((answer.status, answer.value("retry-after")), (400, None));
    }
    assert!(passes(&refused, get().header("x-tenant", "a")));
}

#[test]
fn each_route_counts_for_itself_unless_the_scope_is_global() {
    let on = |route: &'static str| move || get().route(route);
    let apart = ten_seconds(1, json!({}));
    assert_eq!(passing(&apart, on("books")), 1);
    assert_eq!(passing(&apart, on("films")), 1);

    let together = ten_seconds(1, json!({ "scope": "global" }));
    assert_eq!(passing(&together, on("books")), 1);
    assert_eq!(passing(&together, on("films")), 0);
}

#[test]
fn a_client_learns_where_it_stands_in_both_kinds_of_fields() {
    let plugin = ten_seconds(10, json!({ "burst": 20, "name": "per-key" }));
    let mut exchange = get();
    plugin.on_request(&mut exchange).unwrap();
    exchange.respond(Answer::new(200));
    let expected = [
        ("ratelimit-policy", "\"per-key\";q=10;w=10"),
        ("ratelimit", "\"per-key\";r=19;t=1"),
        ("x-ratelimit-limit", "20"),
        ("x-ratelimit-remaining", "19"),
        ("x-ratelimit-reset", "1"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    assert_eq!(exchange.response_headers(), expected);
}

#[test]
fn headers_chooses_the_kinds_of_fields() {
    let names = |headers: Value| {
        let plugin = ten_seconds(1, json!({ "headers": headers }));
        let mut exchange = get();
        plugin.on_request(&mut exchange).unwrap();
        let names = |fields: Vec<(String, Vec<u8>)>| -> Vec<String> {
            fields.into_iter().map(|(name, _)| name).collect()
        };
        let refused = names(refusal(&plugin, get()).headers);
        (names(exchange.response_headers()), refused)
    };
    let ietf = ["ratelimit-policy", "ratelimit"];
    let x = [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ];
    let always = ["retry-after", "content-type"];
    for (kind, fields) in [("ietf", ietf.as_slice()), ("x", &x)] {
        let (passed, refused) = names(json!([kind]));
        assert_eq!(passed, fields);
        assert_eq!(refused, [fields, &always].concat());
    }
    let (passed, refused) = names(json!([]));
    assert!(passed.is_empty());
    assert_eq!(refused, always);
}

#[test]
fn a_refusal_says_why_and_when_to_come_back() {
    let plugin = ten_seconds(1, json!({}));
    assert!(passes(&plugin, get()));
    let answer = refusal(&plugin, get());
    assert_eq!(answer.status, 429);
    for (name, value) in [
        ("content-type", "application/problem+json"),
        ("retry-after", "10"),
        ("ratelimit", "\"default\";r=0;t=10"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "10"),
    ] {
        assert_eq!(answer.value(name), Some(value), "{name}");
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["status"], 429);
    assert_eq!(body["title"], "Too Many Requests");

    let other = ten_seconds(1, json!({ "status": 503 }));
    assert!(passes(&other, get()));
    assert_eq!(refusal(&other, get()).status, 503);
}

#[test]
fn a_client_that_waits_as_long_as_it_was_told_is_not_refused_again() {
    for algorithm in ["token_bucket", "sliding_window", "fixed_window"] {
        let config = json!({ "algorithm": algorithm, "limit": 1, "window": "2700ms" });
        let plugin = rate_limit(config);
        plugin.advance(milliseconds(123));
        assert_eq!(passing(&plugin, get), 1, "{algorithm}");
        let seconds = retry_after(&plugin).parse().unwrap();
        plugin.advance(Duration::from_secs(seconds));
        assert!(passes(&plugin, get()), "{algorithm}");
    }
}

/// A short limit for bursts and a long one for the total, of one key.
fn two_windows() -> Harness<RateLimit> {
    rate_limit(json!({ "limits": [
        { "name": "burst", "algorithm": "fixed_window", "limit": 2, "window": "1s" },
        { "name": "total", "algorithm": "fixed_window", "limit": 5, "window": "1m" },
    ] }))
}

#[test]
fn two_windows_of_one_key_are_two_counts_and_both_must_allow() {
    let plugin = two_windows();
    assert_eq!(passing(&plugin, get), 2);
    let answer = refusal(&plugin, get());
    assert_eq!(answer.value("ratelimit"), Some("\"burst\";r=0;t=1"));
    assert_eq!(answer.value("retry-after"), Some("1"));
    plugin.advance(Duration::from_secs(1));
    assert_eq!(passing(&plugin, get), 2);
    plugin.advance(Duration::from_secs(1));
    assert!(passes(&plugin, get()));
    let answer = refusal(&plugin, get());
    assert_eq!(answer.value("ratelimit"), Some("\"total\";r=0;t=58"));
    assert_eq!(answer.value("retry-after"), Some("58"));
    // Asked in order: the first took its part of the request that the second refused.
    let answer = refusal(&plugin, get());
    assert_eq!(answer.value("ratelimit"), Some("\"burst\";r=0;t=1"));
}

#[test]
fn of_several_limits_the_one_with_the_least_left_is_told_and_all_are_announced() {
    let plugin = two_windows();
    let standing = || {
        let mut exchange = get();
        plugin.on_request(&mut exchange).unwrap();
        let header = |name| exchange.response_header(name).unwrap();
        let policy = "\"burst\";q=2;w=1, \"total\";q=5;w=60";
        assert_eq!(header("ratelimit-policy"), policy);
        (header("ratelimit"), header("x-ratelimit-limit"))
    };
    // Half of two, then four of five; a second later one of two beside two of five.
    assert_eq!(standing(), ("\"burst\";r=1;t=1".to_owned(), "2".to_owned()));
    assert!(passes(&plugin, get()));
    plugin.advance(Duration::from_secs(1));
    assert_eq!(
        standing(),
        ("\"total\";r=2;t=59".to_owned(), "5".to_owned())
    );
}

#[test]
fn limits_with_different_keys_count_apart() {
    let plugin = rate_limit(json!({ "limits": [
        { "name": "client", "limit": 1, "window": "10s" },
        { "name": "all", "limit": 2, "window": "10s", "key": "route" },
    ] }));
    let from = |address: &'static str| move || get().client_address(address);
    assert_eq!(passing(&plugin, from("192.0.2.1")), 1);
    assert_eq!(passing(&plugin, from("192.0.2.2")), 1);
    let answer = refusal(&plugin, from("192.0.2.3")());
    assert_eq!(answer.value("ratelimit"), Some("\"all\";r=0;t=5"));
}

#[test]
fn a_limit_whose_key_is_missing_is_skipped_and_the_others_still_count() {
    let plugin = rate_limit(json!({ "on_missing_key": "skip", "limits": [
        { "name": "tenant", "limit": 1, "window": "10s", "key": "header:x-tenant" },
        { "name": "client", "limit": 3, "window": "10s" },
    ] }));
    assert_eq!(passing(&plugin, || get().header("x-tenant", "a")), 1);
    assert_eq!(passing(&plugin, get), 2);
}

#[test]
fn while_the_store_is_lost_requests_pass_or_are_refused_as_configured_and_it_is_logged() {
    let open = ten_seconds(1, json!({}));
    open.lose_store(true);
    assert_eq!(passing(&open, get), 100);
    let line = &open.logs()[0];
    assert_eq!(
        (line.level, line.field("limit")),
        (Level::Warn, Some("default"))
    );
    open.lose_store(false);
    assert_eq!(passing(&open, get), 1);

    let closed = ten_seconds(1, json!({ "on_store_error": "closed" }));
    closed.lose_store(true);
    let answer = refusal(&closed, get());
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.value("content-type"),
        Some("application/problem+json")
    );
}

#[test]
fn only_the_request_phase_is_asked_for() {
    assert_eq!(ten_seconds(1, json!({})).wants().phases, Phases::REQUEST);
}
