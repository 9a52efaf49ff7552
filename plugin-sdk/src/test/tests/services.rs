//! What the functions beyond the exchange do in memory is what the gateway does.

use std::time::Duration;

use super::super::{Exchange, Gateway, Harness};
use super::{NEXT, Once, on_request};
use crate::prelude::*;

#[test]
fn the_clock_stands_still_until_it_is_moved() {
    let start = std::time::UNIX_EPOCH + Duration::from_secs(1_000);
    NEXT.set(Some(Once {
        phases: Phases::REQUEST,
        request: |request| {
            let now = clock::now().duration_since(std::time::UNIX_EPOCH)?;
            let secret = secrets::get("key").unwrap_or_default();
            let quota = Quota::fixed_window(1, Duration::from_secs(10));
            let allowed = limiter::acquire("k", quota, 1)?.allowed;
            request.set_attribute("seen", &format!("{} {secret} {allowed}", now.as_secs()));
            Ok(Flow::Next)
        },
        response: |_, _| Ok(Flow::Next),
    }));
    let plugin = Gateway::new()
        .now(start)
        .secret("key", "s3")
        .configure::<Once>(())
        .unwrap();
    for (advance, seen) in [
        (0, "1000 s3 true"),
        (9, "1009 s3 false"),
        (1, "1010 s3 true"),
    ] {
        plugin.advance(Duration::from_secs(advance));
        let mut exchange = Exchange::get("/");
        plugin.on_request(&mut exchange).unwrap();
        assert_eq!(exchange.attribute_value("seen").as_deref(), Some(seen));
    }
}

#[test]
fn sub_requests_are_answered_in_order_and_unknown_upstreams_are_an_error() {
    let plugin = on_request(Phases::REQUEST, |_| {
        let answers = upstream::send_all(vec![
            upstream::Request::get("echo", "/1"),
            upstream::Request::get("nowhere", "/"),
            upstream::Request::post("echo", "/2").json(&[1]),
            upstream::Request::get("echo", "/3/%2e./4"),
        ]);
        assert!(matches!(answers[3], Err(upstream::Error::Protocol(_))));
        assert_eq!(answers[0].as_ref().unwrap().text(), Some("GET /1"));
        assert_eq!(answers[1], Err(upstream::Error::UnknownUpstream));
        assert_eq!(answers[2].as_ref().unwrap().text(), Some("POST /2"));
        Ok(Flow::Next)
    });
    let echo = |request: &upstream::Request| {
        Ok(Answer::new(200).text(format!("{} {}", request.method, request.path)))
    };
    plugin
        .on_request(&mut Exchange::get("/").upstream("echo", echo))
        .unwrap();
}

#[test]
fn a_sub_request_that_the_gateway_would_refuse_for_its_path_is_refused_here() {
    let plugin = on_request(Phases::REQUEST, |_| {
        for path in [
            "no-slash",
            "/a/..",
            "/users/..%2Fadmin",
            "/a%5c%2E%2e;x",
            "/a/..\\b",
            "/a/..#b",
            "/a#b",
            "/a//b",
            "/a;b",
            "/a%253Bb",
        ] {
            let answer = upstream::Request::get("echo", path).send();
            let refused = matches!(answer, Err(upstream::Error::Protocol(_)));
            assert!(refused, "{path}: {answer:?}");
        }
        for path in ["/a%2Fb", "/a?b=/../c", "/a%252Fb"] {
            let answer = upstream::Request::get("echo", path).send();
            assert!(answer.is_ok(), "{path}: {answer:?}");
        }
        Ok(Flow::Next)
    });
    let echo = |_: &upstream::Request| Ok(Answer::new(200));
    plugin
        .on_request(&mut Exchange::get("/").upstream("echo", echo))
        .unwrap();
}

/// Runs `act` in the request phase of a plugin, and hands back what it left behind.
fn in_request(act: fn()) -> Harness<Once> {
    thread_local! {
        static ACT: std::cell::Cell<fn()> = const { std::cell::Cell::new(|| ()) };
    }
    ACT.set(act);
    let plugin = on_request(Phases::REQUEST, |_| {
        ACT.get()();
        Ok(Flow::Next)
    });
    plugin.on_request(&mut Exchange::get("/")).unwrap();
    plugin
}

#[test]
fn a_metric_that_the_gateway_would_drop_for_a_value_is_dropped_here() {
    let plugin = in_request(|| {
        metrics::count("seen", &[("who", &"x".repeat(129))], 1);
        metrics::observe("age_seconds", &[], f64::NAN);
        metrics::observe("age_seconds", &[], 1.5);
    });
    assert_eq!(plugin.counter("seen", &[("who", &"x".repeat(129))]), 0);
    assert_eq!(plugin.observations("age_seconds", &[]), [1.5]);
}

#[test]
#[should_panic(expected = "`my-metric` names no metric or label")]
fn a_metric_with_a_name_that_cannot_be_published_is_a_panic() {
    in_request(|| metrics::count("my-metric", &[], 1));
}

#[test]
#[should_panic(expected = "`2nd` names no metric or label")]
fn a_label_with_a_name_that_cannot_be_published_is_a_panic() {
    in_request(|| metrics::observe("age", &[("2nd", "x")], 1.0));
}

#[test]
fn a_store_that_is_lost_fails_every_call_until_it_is_back() {
    let plugin = on_request(Phases::REQUEST, |_| {
        let quota = Quota::fixed_window(1, Duration::from_secs(10));
        let lost = state::get("k").is_err();
        assert_eq!(state::set("k", "v", None).is_err(), lost);
        assert_eq!(limiter::acquire("k", quota, 1).is_err(), lost);
        if lost {
            Err("lost".into())
        } else {
            Ok(Flow::Next)
        }
    });
    plugin.lose_store(true);
    assert!(plugin.on_request(&mut Exchange::get("/")).is_err());
    assert_eq!(plugin.state("k"), None);
    plugin.lose_store(false);
    assert!(plugin.on_request(&mut Exchange::get("/")).is_ok());
    assert_eq!(plugin.state("k").as_deref(), Some(&b"v"[..]));
}
