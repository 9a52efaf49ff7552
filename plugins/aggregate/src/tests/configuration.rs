//! Configurations that are refused, each fault with its key.

use gateway_plugin_sdk::test;
use serde_json::{Value, json};

use super::{gateway, part};
use crate::Aggregate;

fn faults(config: Value) -> Vec<String> {
    let faults = test::configure::<Aggregate>(config).unwrap_err();
    faults.into_iter().map(|fault| fault.key).collect()
}

#[test]
fn every_fault_is_named_at_once_by_its_dotted_key() {
    let mut keys = faults(json!({
        "deadline": "0s",
        "parts": [
            part("a b", json!({ "upstream": "", "method": "G T", "path": "x", "timeout": "0s" })),
            part("c", json!({ "headers": ["host"], "set_headers": { "x-a": "a\nb", "te": "x" } })),
            part("c", json!({ "path": "/{parts.none.body.id}" })),
            part("d", json!({ "path": "/../x", "into": "a..b", "take": "", "allow": ["a."], "deny": ["x"] })),
            part("f", json!({ "body": "client", "method": "HEAD", "host": "" })),
            part("g", json!({ "host": "a/b{id}" })),
            part("e", json!({ "rename": { "a": "" }, "path": "/a b", "set_headers": { "x": "{parts.c.id}" } })),
        ],
    }));
    keys.sort();
    assert_eq!(
        keys,
        [
            "deadline",
            "parts[0].method",
            "parts[0].name",
            "parts[0].path",
            "parts[0].timeout",
            "parts[0].upstream",
            "parts[1].headers[0]",
            "parts[1].set_headers.te",
            "parts[1].set_headers.x-a",
            "parts[2].name",
            "parts[2].path",
            "parts[3].allow[0]",
            "parts[3].deny",
            "parts[3].into",
            "parts[3].path",
            "parts[3].take",
            "parts[4].body",
            "parts[4].host",
            "parts[5].host",
            "parts[6].path",
            "parts[6].rename.a",
            "parts[6].set_headers.x",
        ]
    );
}

#[test]
fn parts_that_wait_for_each_other_are_a_fault() {
    let on = |name: &str| json!({ "path": format!("/{{parts.{name}.body.id}}") });
    let config = json!({ "parts": [part("x", json!({})), part("a", on("b")), part("b", on("a"))] });
    let faults = test::configure::<Aggregate>(config).unwrap_err();
    assert_eq!(faults[0].key, "parts[1]");
    assert!(faults[0].message.contains("`a`, `b`"), "{}", faults[0]);
    assert_eq!(
        self::faults(json!({ "parts": [part("a", on("a"))] })),
        ["parts[0]"]
    );
}

#[test]
fn two_places_of_a_group_must_not_overlap() {
    let group =
        |into: &str| json!({ "parts": [part("a", json!({})), part("b", json!({ "into": into }))] });
    assert_eq!(faults(group("a")), ["parts[1].into"]);
    assert_eq!(faults(group("a.x")), ["parts[1].into"]);
    assert!(gateway().0.configure::<Aggregate>(group("ax")).is_ok());
}

#[test]
fn a_fallback_without_a_place_must_be_an_object() {
    let parts = json!([part("a", json!({ "fallback": [] }))]);
    assert_eq!(
        faults(json!({ "merge": "deep", "parts": parts })),
        ["parts[0].fallback"]
    );
}

#[test]
fn an_unknown_key_and_an_empty_list_are_refused() {
    assert_eq!(faults(json!({ "parts": [] })), ["parts"]);
    assert_eq!(faults(json!({})), ["parts"]);
    assert_eq!(
        faults(json!({ "parts": [part("a", json!({ "requird": true }))] })),
        ["parts[0].requird"]
    );
    assert_eq!(
        faults(json!({ "deadline": "2 s", "parts": [part("a", json!({ "timeout": 5 }))] })),
        ["deadline", "parts[0].timeout"]
    );
    assert_eq!(
        faults(json!({ "merge": "shallow", "parts": [part("a", json!({}))] })),
        ["merge"]
    );
}
