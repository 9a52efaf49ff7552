//! `until` and `waiting` of `GET /upstreams`: that they are there, and what they say.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::harness::{Configuration, Gateway, get};
use crate::health::endpoint::{Endpoint, Mood};
use crate::health::until;

const HOUR: Duration = Duration::from_secs(3600);

fn shop(gateway: &Gateway) -> Value {
    get(gateway.admin(), "/upstreams/shop", &[]).json()
}

fn time(value: &Value) -> SystemTime {
    humantime::parse_rfc3339(value.as_str().unwrap()).unwrap()
}

/// Whether a time lies so long after something that happened between these two, give or take a minute.
fn is_after(at: SystemTime, length: Duration, between: (SystemTime, SystemTime)) -> bool {
    let minute = Duration::from_secs(60);
    at + minute >= between.0 + length && at <= between.1 + length + minute
}

fn config(endpoints: &[&Endpoint], lines: &str) -> Configuration {
    let addresses: Vec<_> = endpoints.iter().map(|it| it.address.to_string()).collect();
    Configuration::new()
        .with(&format!(
            "[upstreams.shop]\nendpoints = {addresses:?}\n{lines}"
        ))
        .route("all", "/**", "upstream = 'shop'")
}

#[test]
fn an_ejected_endpoint_is_shown_with_the_end_of_its_time_and_other_obstacles_have_none() {
    let endpoints = ["ejected", "drained", "unhealthy"].map(Endpoint::start);
    let [ejected, drained, unhealthy] = &endpoints;
    let lines = |ejection: &str| {
        format!(
            "health = {{ path = '/healthz', interval = '50ms' }}\noutlier = {{ consecutive_failures = 1, ejection = '{ejection}' }}"
        )
    };
    let all = [ejected, drained, unhealthy];
    let gateway = Gateway::start(&config(&all, &lines("1h")));
    let before = SystemTime::now();
    ejected.is(Mood::Pretends);
    for _ in 0..3 {
        get(gateway.listener("public"), "/x", &[]);
    }
    let of = |at: usize| shop(&gateway)["endpoints"][at]["standing"].clone();
    until(&gateway, "it is ejected", || of(0)[0]["is"] == "ejected");
    let after = SystemTime::now();
    let standing = of(0);
    assert!(
        is_after(time(&standing[0]["until"]), HOUR, (before, after)),
        "{standing}"
    );
    assert!(is_after(
        time(&standing[0]["since"]),
        Duration::ZERO,
        (before, after)
    ));
    // What is set anew holds for it, too.
    gateway.configure(&config(&all, &lines("30m")));
    gateway.wait_for("version=2");
    until(&gateway, "half an hour", || {
        is_after(time(&of(0)[0]["until"]), HOUR / 2, (before, after))
    });

    let drain = format!("/upstreams/shop/{}/drain", drained.address);
    assert_eq!(gateway.post(&drain).status, 200);
    unhealthy.is(Mood::Gone);
    for (at, is) in [(1, "drained"), (2, "unhealthy")] {
        until(&gateway, is, || of(at)[0]["is"] == is);
        let standing = of(at);
        assert!(standing[0]["until"].is_null(), "{standing}");
        assert!(time(&standing[0]["since"]) <= SystemTime::now() + Duration::from_secs(1));
    }
}

#[test]
fn an_open_breaker_is_shown_with_when_it_lets_a_request_through() {
    let endpoint = Endpoint::start("it");
    let breaker =
        "breaker = { failure_ratio = 0.5, min_requests = 2, window = '1h', open_for = '1h' }";
    let gateway = Gateway::start(&config(&[&endpoint], breaker));
    let shown = || shop(&gateway)["breaker"].clone();
    let closed = serde_json::json!({ "state": "closed", "until": null });
    assert_eq!(shown(), closed);
    endpoint.is(Mood::Answers(500));
    let before = SystemTime::now();
    for _ in 0..2 {
        get(gateway.listener("public"), "/x", &[]);
    }
    until(&gateway, "it is open", || shown()["state"] == "open");
    let open = shown();
    let between = (before, SystemTime::now());
    assert!(is_after(time(&open["until"]), HOUR, between), "{open}");
    // An upstream without one has none.
    gateway.configure(&config(&[&endpoint], ""));
    gateway.wait_for("version=2");
    assert_eq!(shown(), Value::Null);
}
