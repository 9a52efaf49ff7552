//! Every option, against upstreams in memory.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::test::{self, Exchange, Gateway, Harness};
use gateway_plugin_sdk::{Level, upstream};
use serde_json::{Value, json};

use crate::Aggregate;

type Seen = Rc<RefCell<Vec<upstream::Request>>>;

/// A gateway with an upstream `a` that answers `{"id":1,"name":"a"}`, `b` that answers `{"id":2,"tags":["b"]}`,
/// `echo` that answers the path it was asked for, and some that fail. What was asked is kept.
fn gateway() -> (Gateway, Seen) {
    let seen = Seen::default();
    let mut gateway = Gateway::new();
    let answers: [(&str, Result<Answer, upstream::Error>); 9] = [
        ("a", Ok(Answer::new(200).body(r#"{"id":1,"name":"a"}"#))),
        ("b", Ok(Answer::new(200).body(r#"{"id":2,"tags":["b"]}"#))),
        (
            "list",
            Ok(Answer::new(200).body(r#"[{"id":1,"x":1},{"id":2},3]"#)),
        ),
        (
            "nested",
            Ok(Answer::new(200)
                .body(r#"{"data":{"r":[{"s":5,"t":6}],"u":{"v":1,"w":2},"n":1.10}}"#)),
        ),
        ("html", Ok(Answer::new(200).body("<html>"))),
        ("404", Ok(Answer::new(404).body("{}"))),
        ("slow", Err(upstream::Error::Timeout)),
        ("down", Err(upstream::Error::Connect("refused".to_owned()))),
        ("denied", Err(upstream::Error::Denied)),
    ];
    for (name, answer) in answers {
        let seen = Rc::clone(&seen);
        gateway = gateway.upstream(name, move |request| {
            seen.borrow_mut().push(request.clone());
            answer.clone()
        });
    }
    let echo = Rc::clone(&seen);
    let gateway = gateway.upstream("echo", move |request| {
        echo.borrow_mut().push(request.clone());
        Ok(Answer::new(200).json(&json!({ "path": request.path })))
    });
    (gateway, seen)
}

fn configured(config: Value) -> (Harness<Aggregate>, Seen) {
    let (gateway, seen) = gateway();
    (gateway.configure(config).unwrap(), seen)
}

fn answer_to(config: Value, mut exchange: Exchange) -> Answer {
    let (aggregate, _) = configured(config);
    match aggregate.on_request(&mut exchange).unwrap() {
        Flow::Respond(answer) => answer,
        Flow::Next => panic!("not answered"),
    }
}

fn answer(config: Value) -> Answer {
    answer_to(config, Exchange::get("/"))
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

fn part(name: &str, more: Value) -> Value {
    let mut part = json!({ "name": name, "upstream": name, "path": "/" });
    let Value::Object(more) = more else {
        panic!("no object")
    };
    part.as_object_mut().unwrap().extend(more);
    part
}

/// The document of one part under `options`.
fn one(upstream: &str, options: Value) -> String {
    let answer = answer(json!({ "parts": [part(upstream, options)] }));
    assert_eq!(answer.status, 200, "{}", text(&answer));
    text(&answer).to_owned()
}

fn missing(upstream: &str, options: Value) -> Answer {
    answer(json!({ "parts": [part(upstream, options)] }))
}

fn faults(config: Value) -> Vec<String> {
    let faults = test::configure::<Aggregate>(config).unwrap_err();
    faults.into_iter().map(|fault| fault.key).collect()
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
    let complete = super::tests::answer(json!({ "report": true, "parts": [part("a", json!({}))] }));
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
fn a_part_that_is_no_object_has_no_place_at_the_top() {
    let parts = |options: Value| json!({ "merge": "deep", "parts": [part("list", options)] });
    assert_eq!(answer(parts(json!({}))).status, 502);
    assert_eq!(answer(parts(json!({ "into": "items" }))).status, 200);
}

#[test]
fn what_fills_a_path_is_encoded_and_a_dot_segment_makes_the_part_missing() {
    let config =
        json!({ "parts": [part("echo", json!({ "path": "/p/{path.id}?q={query.q|all}" }))] });
    let exchange = |id: &str| Exchange::get("/").path_param("id", id);
    assert_eq!(
        text(&answer_to(config.clone(), exchange("a/b?c#d"))),
        r#"{"echo":{"path":"/p/a%2Fb%3Fc%23d?q=all"}}"#
    );
    assert_eq!(answer_to(config.clone(), exchange("..")).status, 502);
    assert_eq!(answer(config).status, 502);
}

#[test]
fn only_the_named_headers_are_passed_on_and_set_ones_win() {
    let options = json!({
        "method": "POST",
        "headers": ["Accept-Language", "x-set"],
        "set_headers": { "X-Set": "{id}", "x-none": "{header.none}" },
    });
    let (aggregate, seen) = configured(json!({ "parts": [part("a", options)] }));
    let mut exchange = Exchange::get("/")
        .id("r-1")
        .header("accept-language", "de")
        .header("accept-language", "en")
        .header("authorization", "secret")
        .header("x-set", "forged");
    aggregate.on_request(&mut exchange).unwrap();
    let seen = seen.borrow();
    let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    assert_eq!(
        seen[0].headers,
        [
            field("accept-language", "de"),
            field("accept-language", "en"),
            field("x-set", "r-1")
        ]
    );
    assert_eq!(seen[0].method, "POST");
}

#[test]
fn a_part_that_refers_to_others_goes_out_after_them() {
    let parts = json!([
        part(
            "echo",
            json!({ "path": "/{parts.a.body.id}/{parts.list.body.1.id}" })
        ),
        part("list", json!({ "allow": [] })),
        part("a", json!({ "allow": ["name"] })),
    ]);
    let (aggregate, seen) = configured(json!({ "parts": parts }));
    assert_eq!(aggregate.plugin().waves, [vec![1, 2], vec![0]]);
    let Flow::Respond(answer) = aggregate.on_request(&mut Exchange::get("/")).unwrap() else {
        panic!("not answered");
    };
    assert_eq!(
        text(&answer),
        r#"{"echo":{"path":"/1/2"},"list":[{},{}],"a":{"name":"a"}}"#
    );
    let order: Vec<_> = seen.borrow().iter().map(|r| r.upstream.clone()).collect();
    assert_eq!(order, ["list", "a", "echo"]);
}

#[test]
fn a_part_behind_a_missing_one_sees_its_fallback_or_is_missing_too() {
    let config = |fallback: Value| {
        let mut down = part("down", json!({ "required": false }));
        if !fallback.is_null() {
            down["fallback"] = fallback;
        }
        let echo = part(
            "echo",
            json!({ "required": false, "path": "/{parts.down.body.id}" }),
        );
        json!({ "report": true, "parts": [down, echo] })
    };
    assert_eq!(
        text(&answer(config(Value::Null))),
        r#"{"_errors":{"down":"unreachable","echo":"no-value"}}"#
    );
    assert_eq!(
        text(&answer(config(json!({ "id": 9 })))),
        r#"{"down":{"id":9},"echo":{"path":"/9"},"_errors":{"down":"unreachable"}}"#
    );
}

#[test]
fn a_part_takes_its_own_timeout_or_what_is_left_of_the_deadline() {
    let parts = json!([
        part("a", json!({ "timeout": "100ms" })),
        part("b", json!({ "timeout": "9s" })),
        part("list", json!({})),
    ]);
    let (aggregate, seen) = configured(json!({ "deadline": "1s", "parts": parts }));
    aggregate.on_request(&mut Exchange::get("/")).unwrap();
    let timeouts: Vec<_> = seen.borrow().iter().map(|r| r.timeout.unwrap()).collect();
    let ms = Duration::from_millis;
    assert_eq!(timeouts, [ms(100), ms(1000), ms(1000)]);
}

#[test]
fn a_later_wave_has_what_is_left_of_the_deadline_and_nothing_is_sent_after_it() {
    let parts = json!([
        part("first", json!({})),
        part(
            "echo",
            json!({ "path": "/{parts.first.body.id}", "timeout": "2s" })
        ),
    ]);
    let after = |took: u64| {
        let (aggregate, seen) = configured(json!({ "deadline": "1s", "parts": parts.clone() }));
        let aggregate = Rc::new(aggregate);
        let clock = Rc::clone(&aggregate);
        let mut exchange = Exchange::get("/").upstream("first", move |_| {
            clock.advance(Duration::from_millis(took));
            Ok(Answer::new(200).body(r#"{"id":1}"#))
        });
        let Flow::Respond(answer) = aggregate.on_request(&mut exchange).unwrap() else {
            panic!("not answered");
        };
        let timeout = seen.borrow().first().and_then(|request| request.timeout);
        (answer.status, timeout)
    };
    assert_eq!(after(700), (200, Some(Duration::from_millis(300))));
    assert_eq!(after(1000), (504, None));
}

#[test]
fn a_required_part_that_is_missing_ends_it_before_the_next_wave() {
    let parts = json!([
        part("down", json!({})),
        part("echo", json!({ "path": "/{parts.down.body.id}" })),
    ]);
    let (aggregate, seen) = configured(json!({ "parts": parts }));
    aggregate.on_request(&mut Exchange::get("/")).unwrap();
    assert_eq!(seen.borrow().len(), 1);
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
            "parts[4].path",
            "parts[4].rename.a",
            "parts[4].set_headers.x",
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
        super::tests::faults(json!({ "parts": [part("a", on("a"))] })),
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
