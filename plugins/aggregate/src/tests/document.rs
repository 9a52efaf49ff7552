//! The document that the client gets: merging, picking, and what a missing part leaves of it.

use gateway_plugin_sdk::Level;
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::test::Exchange;
use serde_json::{Value, json};

use super::{answer, configured, part, text};

/// The document of one part under `options`.
fn one(upstream: &str, options: Value) -> String {
    let answer = answer(json!({ "parts": [part(upstream, options)] }));
    assert_eq!(answer.status, 200, "{}", text(&answer));
    text(&answer).to_owned()
}

fn missing(upstream: &str, options: Value) -> Answer {
    answer(json!({ "parts": [part(upstream, options)] }))
}

#[test]
fn each_part_of_a_group_stands_under_its_name_in_the_order_of_the_configuration() {
    let answer =
        answer(json!({ "parts": [part("b", json!({})), part("a", json!({ "into": "x.y" }))] }));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.value("content-type"), Some("application/json"));
    assert_eq!(answer.value("x-aggregate-complete"), Some("true"));
    assert_eq!(
        text(&answer),
        r#"{"b":{"id":2,"tags":["b"]},"x":{"y":{"id":1,"name":"a"}}}"#
    );
}

#[test]
fn a_deep_merge_follows_the_configuration_and_not_the_waves() {
    let parts = json!([
        part(
            "a",
            json!({ "set_headers": { "x-after": "{parts.b.body.id}" } })
        ),
        part("b", json!({})),
    ]);
    let answer = answer(json!({ "merge": "deep", "parts": parts }));
    assert_eq!(text(&answer), r#"{"id":2,"name":"a","tags":["b"]}"#);
}

#[test]
fn arrays_are_appended_where_the_configuration_says_so() {
    let parts = json!([part("b", json!({})), part("b", json!({ "name": "c" }))]);
    let answer = answer(json!({ "merge": "deep", "arrays": "append", "parts": parts }));
    assert_eq!(text(&answer), r#"{"id":2,"tags":["b","b"]}"#);
}

#[test]
fn a_clash_is_502_and_logged_where_it_is_an_error() {
    let parts = json!([part("a", json!({})), part("b", json!({}))]);
    let (aggregate, _) = configured(json!({ "merge": "error", "parts": parts }));
    let Flow::Respond(answer) = aggregate.on_request(&mut Exchange::get("/")).unwrap() else {
        panic!("not answered");
    };
    assert_eq!(answer.status, 502);
    assert!(aggregate.logs()[0].message.contains("`id`"));
}

#[test]
fn a_part_that_is_no_object_has_no_place_at_the_top() {
    let parts = |options: Value| json!({ "merge": "deep", "parts": [part("list", options)] });
    assert_eq!(answer(parts(json!({}))).status, 502);
    assert_eq!(answer(parts(json!({ "into": "items" }))).status, 200);
}

#[test]
fn take_descends_and_allow_keeps_only_what_it_names() {
    let allow = json!({ "take": "data", "allow": ["r.s", "u.w", "n.x"] });
    assert_eq!(
        one("nested", allow),
        r#"{"nested":{"r":[{"s":5}],"u":{"w":2}}}"#
    );
    assert_eq!(
        one("nested", json!({ "take": "data.n" })),
        r#"{"nested":1.10}"#
    );
    assert_eq!(
        one("list", json!({ "allow": ["id"] })),
        r#"{"list":[{"id":1},{"id":2}]}"#
    );
    assert_eq!(missing("a", json!({ "take": "none" })).status, 502);
    assert_eq!(
        missing("nested", json!({ "take": "data.n", "allow": ["x"] })).status,
        502
    );
}

#[test]
fn deny_leaves_out_and_rename_moves() {
    let deny = json!({ "take": "data", "deny": ["r.t", "u"], "rename": { "n": "number.value" } });
    assert_eq!(
        one("nested", deny),
        r#"{"nested":{"r":[{"s":5}],"number":{"value":1.10}}}"#
    );
}

#[test]
fn a_missing_optional_part_leaves_the_answer_incomplete() {
    for upstream in ["404", "html", "slow", "down", "denied", "none"] {
        let parts = json!([
            part("a", json!({})),
            part(upstream, json!({ "required": false }))
        ]);
        let answer = answer(json!({ "parts": parts }));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.value("x-aggregate-complete"), Some("false"));
        assert_eq!(text(&answer), r#"{"a":{"id":1,"name":"a"}}"#);
    }
}

#[test]
fn nothing_on_purpose_is_null_where_a_part_has_a_place_and_nothing_at_the_top() {
    let parts = |options: Value| json!([part("a", json!({})), part("nothing", options)]);
    let answer_of = |merge: &str, options: Value| {
        let config = json!({ "merge": merge, "report": true, "parts": parts(options) });
        let answer = answer(config);
        assert_eq!(answer.value("x-aggregate-complete"), Some("true"));
        text(&answer).to_owned()
    };
    let taking = json!({ "take": "data", "allow": ["x"], "fallback": { "x": 1 } });
    assert_eq!(
        answer_of("group", taking.clone()),
        r#"{"a":{"id":1,"name":"a"},"nothing":null}"#
    );
    assert_eq!(answer_of("deep", taking), r#"{"id":1,"name":"a"}"#);
    assert_eq!(
        answer_of("deep", json!({ "into": "x.y" })),
        r#"{"id":1,"name":"a","x":{"y":null}}"#
    );
    let path = json!({ "path": "/{parts.nothing.body.id}", "required": false });
    let parts = json!([part("nothing", json!({})), part("echo", path)]);
    assert_eq!(
        text(&answer(json!({ "report": true, "parts": parts }))),
        r#"{"nothing":null,"_errors":{"echo":"no-value"}}"#
    );
}

#[test]
fn half_a_surrogate_pair_is_no_json_and_a_byte_order_mark_is_passed_over() {
    assert_eq!(one("mark", json!({})), r#"{"mark":{"id":1}}"#);
    assert_eq!(missing("half", json!({})).status, 502);
    let parts = json!([part(
        "half",
        json!({ "required": false, "deny": ["secret"] })
    )]);
    assert_eq!(
        text(&answer(json!({ "report": true, "parts": parts }))),
        r#"{"_errors":{"half":"not-json"}}"#
    );
}

#[test]
fn a_report_says_which_parts_are_missing_and_why() {
    let optional = json!({ "required": false });
    let parts: Vec<_> = ["slow", "404", "html"]
        .iter()
        .map(|upstream| part(upstream, optional.clone()))
        .collect();
    let answer = answer(json!({ "report": true, "parts": parts }));
    assert_eq!(
        text(&answer),
        r#"{"_errors":{"404":"status","html":"not-json","slow":"timeout"}}"#
    );
    let complete = super::answer(json!({ "report": true, "parts": [part("a", json!({}))] }));
    assert!(!text(&complete).contains("_errors"));
}

#[test]
fn a_missing_required_part_is_502_and_504_when_it_took_too_long() {
    assert_eq!(missing("slow", json!({})).status, 504);
    for upstream in ["404", "html", "down", "denied", "none"] {
        let answer = missing(upstream, json!({}));
        assert_eq!(answer.status, 502, "{upstream}");
        assert_eq!(
            answer.value("content-type"),
            Some("application/problem+json")
        );
        assert!(text(&answer).contains(upstream), "{}", text(&answer));
    }
}

#[test]
fn a_missing_required_part_passes_its_own_status_only_where_told() {
    assert_eq!(missing("404", json!({ "pass_status": true })).status, 404);
    assert_eq!(missing("down", json!({ "pass_status": true })).status, 502);
}

#[test]
fn a_fallback_stands_in_for_a_missing_part() {
    let answer = missing("down", json!({ "fallback": { "stock": 0 } }));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.value("x-aggregate-complete"), Some("false"));
    assert_eq!(text(&answer), r#"{"down":{"stock":0}}"#);
}

#[test]
fn a_grant_or_an_upstream_that_is_not_there_is_named_in_the_log() {
    let parts = json!([
        part("denied", json!({ "required": false })),
        part("none", json!({ "required": false })),
    ]);
    let (aggregate, _) = configured(json!({ "parts": parts }));
    aggregate.on_request(&mut Exchange::get("/")).unwrap();
    let logs = aggregate.logs();
    assert!(logs.iter().all(|line| line.level == Level::Error));
    assert!(logs[0].message.contains("add `denied` to grants.upstreams"));
    assert!(logs[1].message.contains("no [upstreams.none]"));
    let labels = [("part", "denied"), ("reason", "denied")];
    assert_eq!(aggregate.counter("parts_missing", &labels), 1);
}
