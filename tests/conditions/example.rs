//! `config/examples/conditions.toml`, as docs/conditions.md walks through it.

use crate::harness::http::send;
use crate::harness::{Gateway, Origin, get};

/// `{"sub":"alice","tier":"gold"}`, signed with the key of the example.
const GOLD: &str = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSIsInRpZXIiOiJnb2xkIiwiZXhwIjo0MTAyNDQ0ODAwfQ.p3orWpZlLY48cqclAWSKVrznU88xQUGAFsUR5Y9XWpA";
/// `{"sub":"bob","tier":"basic"}`.
const BASIC: &str = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IiLCJ0aWVyIjoiYmFzaWMiLCJleHAiOjQxMDI0NDQ4MDB9.-RNf0OyR4k8KU9M-iBW3XKSfOZolkOZHrI-VR1tS6lc";

#[test]
fn the_example_limits_by_tier_and_marks_what_changes_orders() {
    let origin = Origin::start();
    let gateway = Gateway::example("conditions", &[("ORDERS", origin.address)]);
    let public = gateway.listener("public");
    let asked = |token| get(public, "/orders/1", &[("authorization", token)]);
    assert_eq!(get(public, "/orders/1", &[]).status, 401);
    let statuses = |token| [0; 3].map(|_| asked(token).status);
    assert_eq!(statuses(GOLD), [200, 200, 200]);
    assert_eq!(asked(GOLD).header("x-ratelimit-limit"), Some("1000"));
    assert_eq!(statuses(BASIC), [200, 200, 429]);
    assert_eq!(asked(BASIC).header("x-ratelimit-limit"), Some("2"));
    let stored = |method| {
        let answer = send(public, method, "/orders/1", &[("authorization", GOLD)], b"");
        answer.header("cache-control").map(str::to_owned)
    };
    assert_eq!(stored("GET"), None);
    assert_eq!(stored("POST").as_deref(), Some("no-store"));
    let events = get(public, "/orders/events", &[("authorization", BASIC)]);
    assert_eq!(events.status, 200, "{}", events.text());
}
