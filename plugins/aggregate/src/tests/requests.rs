//! The requests that go to the upstreams: their paths and fields, their order, and the time each one has.

use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::test::Exchange;
use serde_json::{Value, json};

use super::{answer, answer_to, configured, part, text};

#[test]
fn what_fills_a_path_is_encoded_and_a_dot_segment_makes_the_part_missing() {
    let config =
        json!({ "parts": [part("echo", json!({ "path": "/p/{path.id}?q={query.q|all}" }))] });
    let exchange = |id: &str| Exchange::get("/").path_param("id", id);
    assert_eq!(
        text(&answer_to(config.clone(), exchange("a/b?c#d"))),
        r#"{"echo":{"path":"/p/a%2Fb%3Fc%23d?q=all"}}"#
    );
    assert_eq!(
        text(&answer_to(config.clone(), exchange("caf%E9 100%25"))),
        r#"{"echo":{"path":"/p/caf%E9%20100%25?q=all"}}"#
    );
    for astray in ["..", ".", "", "a/../b", "a/", "a//b", "%2F", "..;x", "a\0"] {
        let answer = answer_to(config.clone(), exchange(astray));
        assert_eq!(answer.status, 502, "{astray:?}");
    }
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
fn no_part_has_longer_than_the_gateway_gives_the_plugin() {
    let ms = Duration::from_millis;
    for (remaining, timeout) in [(1_000, 900), (100, 90), (60_000, 1_900)] {
        let config = json!({ "deadline": "5s", "parts": [part("a", json!({ "timeout": "4s" }))] });
        let (aggregate, seen) = configured(config);
        let mut exchange = Exchange::get("/").remaining_ms(remaining);
        aggregate.on_request(&mut exchange).unwrap();
        assert_eq!(seen.borrow()[0].timeout, Some(ms(timeout)));
    }
}

#[test]
fn a_part_that_cannot_be_asked_for_ends_it_before_anything_is_sent() {
    let parts = json!([
        part("a", json!({})),
        part("b", json!({ "path": "/{path.none}" }))
    ]);
    let (aggregate, seen) = configured(json!({ "parts": parts }));
    let Flow::Respond(answer) = aggregate.on_request(&mut Exchange::get("/")).unwrap() else {
        panic!("not answered");
    };
    assert_eq!(answer.status, 502);
    assert!(seen.borrow().is_empty());
}

#[test]
fn a_part_takes_the_clients_body_and_its_type_and_names_a_host() {
    let parts = json!([
        part("a", json!({ "body": "client", "host": "{host}" })),
        part(
            "b",
            json!({ "body": "client", "method": "PATCH", "headers": ["Content-Type", "x-a"] })
        ),
        part("list", json!({ "host": "{query.none}", "required": false })),
    ]);
    let (aggregate, seen) = configured(json!({ "parts": parts }));
    assert_eq!(
        aggregate.wants().phases,
        Phases::REQUEST | Phases::REQUEST_BODY
    );
    let mut exchange = Exchange::post("/").json(&json!([1])).header("x-a", "1");
    aggregate.on_request(&mut exchange).unwrap();
    let seen = seen.borrow();
    let asked: Vec<_> = seen.iter().map(|r| (&*r.method, &r.body[..])).collect();
    assert_eq!(asked, [("POST", &b"[1]"[..]), ("PATCH", b"[1]")]);
    assert_eq!(seen[0].host.as_deref(), Some("gateway.test"));
    let kind = ("content-type".to_owned(), b"application/json".to_vec());
    assert_eq!(seen[0].headers, std::slice::from_ref(&kind));
    assert_eq!(seen[1].headers, [kind, ("x-a".to_owned(), b"1".to_vec())]);
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
