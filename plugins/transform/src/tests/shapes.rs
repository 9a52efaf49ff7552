//! Bodies of every shape: no client brings the plugin to fail, and no response that is JSON does.

use gateway_plugin_sdk::json::{MAX_DEPTH, Node, path};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::test::Exchange;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::transform;

#[path = "../../../../tests/vectors/bodies.rs"]
mod bodies;

use bodies::Sample;

/// How many, and how large they are at most.
const SAMPLES: usize = 2_400;
const SIZE: usize = 32 << 10;

fn edits() -> Value {
    json!({
        "remove": ["secret", "items.secret", "a.b.c"],
        "rename": { "old": "new", "items.id": "items.key", "a.b": "z.b" },
        "set": { "by": "gateway", "items.seen": true, "a.d.e": { "f": [1] }, "a.d": 2, "a.d.g": 3, "a.h": 4, "a.i.j": {}, "a.i.j.k": 5 },
    })
}

/// What the same edits make of a document that is opened as a tree.
fn expected(body: &[u8]) -> Vec<u8> {
    let at = |dotted: &str| path(dotted).unwrap();
    let mut node = Node::parse(body).unwrap();
    for dotted in ["secret", "items.secret", "a.b.c"] {
        node.remove(&at(dotted));
    }
    for (from, to) in [("a.b", "z.b"), ("items.id", "items.key"), ("old", "new")] {
        node.rename(&at(from), &at(to));
    }
    for (dotted, value) in [
        ("a.d", json!(2)),
        ("a.d.e", json!({ "f": [1] })),
        ("a.d.g", json!(3)),
        ("a.h", json!(4)),
        ("a.i.j", json!({})),
        ("a.i.j.k", json!(5)),
        ("by", json!("gateway")),
        ("items.seen", json!(true)),
    ] {
        node.set(&at(dotted), &Node::from_value(&value));
    }
    node.to_vec()
}

/// Without white space; there are no escapes in it.
fn dense(text: &[u8]) -> Vec<u8> {
    let mut quoted = false;
    let kept = text.iter().filter(|byte| {
        quoted ^= **byte == b'"';
        quoted || !byte.is_ascii_whitespace()
    });
    kept.copied().collect()
}

fn assert_edited(sample: &Sample, edited: &[u8]) {
    let shape = sample.shape;
    let read: Result<&RawValue, _> = serde_json::from_slice(edited);
    assert!(read.is_ok(), "{shape}: {read:?}");
    if !sample.body.contains(&b'\\') && Node::parse(&sample.body).is_ok() {
        let wanted = expected(&sample.body);
        let (is, wanted) = (dense(edited), dense(&wanted));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            is == wanted,
            "{shape}: {}\n{}\n{}",
            text(&sample.body),
            text(&is),
            text(&wanted)
        );
    }
}

fn samples() -> impl Iterator<Item = Sample> {
    bodies::some(SAMPLES, SIZE).chain(bodies::largest(SIZE))
}

#[test]
fn no_request_body_brings_it_to_fail() {
    let transform = transform(json!({ "request": { "json": edits() } }));
    let mut passed = 0;
    for sample in samples() {
        let mut exchange = Exchange::post("/")
            .header("content-type", sample.content_type)
            .body(&sample.body[..]);
        match transform.on_request(&mut exchange) {
            Ok(Flow::Next) if sample.body.is_empty() => {}
            Ok(Flow::Next) => {
                assert!(sample.is_sound, "{}", sample.shape);
                assert_edited(&sample, &exchange.request_body().unwrap());
                passed += 1;
            }
            Ok(Flow::Respond(answer)) => {
                let status = answer.status;
                assert!(
                    [400, 413, 415].contains(&status),
                    "{}: {status}",
                    sample.shape
                );
                let is_deep = Node::parse(&sample.body).is_err();
                assert!(!sample.is_sound || sample.is_deep, "{}", sample.shape);
                assert!(!sample.is_sound || is_deep, "{}: {status}", sample.shape);
            }
            Err(error) => panic!("{}: {error}", sample.shape),
        }
    }
    assert!(passed > SAMPLES / 2, "{passed}");
}

#[test]
fn every_response_that_is_json_is_edited_however_deep_it_is() {
    let transform = transform(json!({ "response": { "json": edits() } }));
    let mut deepest = 0;
    for sample in samples().filter(|sample| sample.is_sound) {
        let mut exchange = Exchange::get("/");
        exchange.respond(
            Answer::new(200)
                .header("content-type", JSON)
                .body(&sample.body[..]),
        );
        let edited = transform.on_response(&mut exchange);
        assert!(edited.is_ok(), "{}: {edited:?}", sample.shape);
        if !sample.body.is_empty() {
            assert_edited(&sample, &exchange.response_body().unwrap());
        }
        let opened = sample.body.iter().filter(|byte| **byte == b'[').count();
        deepest = deepest.max(opened);
    }
    assert!(deepest > 100 * MAX_DEPTH, "{deepest}");
}

const JSON: &str = "application/json";

#[test]
fn what_grows_too_large_is_refused_in_the_plugins_own_words() {
    let value = "x".repeat(1 << 10);
    let edits = json!({ "json": { "set": { "a": value } } });
    let body = format!("[{}]", vec!["{}"; 10_000].join(","));
    let harness = transform(json!({ "request": edits }));
    let mut exchange = Exchange::post("/")
        .header("content-type", JSON)
        .body(&body[..]);
    let Ok(Flow::Respond(answer)) = harness.on_request(&mut exchange) else {
        panic!("not refused");
    };
    assert_eq!(answer.status, 413);
    let harness = transform(json!({ "response": edits }));
    let mut exchange = Exchange::get("/");
    exchange.respond(
        Answer::new(200)
            .header("content-type", JSON)
            .body(&body[..]),
    );
    let error = harness.on_response(&mut exchange).unwrap_err();
    assert!(error.to_string().contains("32 times as large"), "{error}");
}

#[test]
fn more_names_than_one_pass_takes_are_edited_all_the_same() {
    let names: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    let set: serde_json::Map<String, Value> =
        names.iter().map(|name| (name.clone(), json!(1))).collect();
    let config = json!({ "request": { "json": { "remove": names, "set": set } } });
    let mut exchange = Exchange::post("/")
        .header("content-type", JSON)
        .body(r#"{"n0":0,"kept":0,"n99":0}"#);
    transform(config).on_request(&mut exchange).unwrap();
    let edited: Value = serde_json::from_slice(&exchange.request_body().unwrap()).unwrap();
    assert_eq!(edited.as_object().unwrap().len(), 101);
    assert_eq!((&edited["kept"], &edited["n99"]), (&json!(0), &json!(1)));
}
