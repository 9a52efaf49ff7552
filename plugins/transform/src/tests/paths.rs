//! Edits of the path.

use gateway_plugin_sdk::test::{self, Exchange};
use serde_json::{Value, json};

use super::{faults, sent, transform};
use crate::Transform;

fn path(config: Value, path: &str) -> String {
    sent(json!({ "path": config }), Exchange::get(path)).path_and_query()
}

#[test]
fn the_path_is_set_and_what_fills_it_stays_one_segment() {
    let config = json!({ "path": { "set": "/v2/{path.id}" } });
    let exchange = Exchange::get("/u/7?q=1").path_param("id", "a b?c&d#e");
    assert_eq!(
        sent(config.clone(), exchange).path_and_query(),
        "/v2/a%20b%3Fc%26d%23e?q=1"
    );
    let transform = transform(json!({ "request": config }));
    for id in ["..", ".", "a/../b", "a/b", "a%2Fb", "a\\b", "a\0b", "a;b"] {
        let mut exchange = Exchange::get("/u/7").path_param("id", id);
        transform.on_request(&mut exchange).unwrap();
        assert_eq!(exchange.status(), Some(400), "{id}");
        assert_eq!(exchange.path_and_query(), "/u/7", "{id}");
    }
    assert!(transform.on_request(&mut Exchange::get("/u/7")).is_err());
}

#[test]
fn the_escapes_of_a_parameter_stay_in_path_and_query() {
    let config = json!({
        "path": { "set": "/v2/{path.id}" },
        "set_query": { "id": "{path.id}" },
        "set_headers": { "x-id": "{path.id}" },
    });
    let exchange = Exchange::get("/u/caf%E9%20100%25").path_param("id", "caf%E9 100%25");
    let exchange = sent(config, exchange);
    assert_eq!(
        exchange.path_and_query(),
        "/v2/caf%E9%20100%25?id=caf%E9%20100%25"
    );
    assert_eq!(
        exchange.request_header("x-id").as_deref(),
        Some("caf%E9 100%25")
    );
}

#[test]
fn a_prefix_is_stripped_in_whole_segments() {
    let strip = json!({ "strip_prefix": "/api" });
    assert_eq!(path(strip.clone(), "/api/x?q=1"), "/x?q=1");
    assert_eq!(path(strip.clone(), "/api"), "/");
    assert_eq!(path(strip, "/apix"), "/apix");
    assert_eq!(
        path(
            json!({ "strip_prefix": "/api", "prefix": "/v2/" }),
            "/api/x"
        ),
        "/v2/x"
    );
}

#[test]
fn a_regex_rewrites_the_path_and_makes_neither_a_query_nor_an_authority() {
    let regex = |to: &str| json!({ "regex": "^/a/(?<rest>.*)", "to": to });
    assert_eq!(path(regex("/b/$rest/$1"), "/a/x?q=1"), "/b/x/x?q=1");
    assert_eq!(path(regex("$1"), "/a/x"), "/x");
    assert_eq!(path(regex("//$1?y"), "/a/x?q=1"), "/x%3Fy?q=1");
    assert_eq!(path(regex("/b"), "/c"), "/c");
}

#[test]
fn a_path_that_never_leaves_is_a_fault() {
    let fault = |path: Value| faults(json!({ "request": { "path": path } }));
    for path in [
        "/a/../b",
        "/a/{path.id}/..",
        "/{path.id}//b",
        "/%2e%2E",
        "/a%2Fb",
        "/a%",
    ] {
        assert_eq!(
            fault(json!({ "set": path })),
            ["request.path.set"],
            "{path}"
        );
    }
    for path in ["/../a", "/a//b", "/a%2Fb"] {
        assert_eq!(
            fault(json!({ "prefix": path })),
            ["request.path.prefix"],
            "{path}"
        );
    }
    for to in [
        "/a/../$1", "$1/./b", "/a//$x", "/a b", "/a#$1", "/a%$1", "/a\\b", "\u{e9}",
    ] {
        let regex = json!({ "regex": "^/(?<x>.*)", "to": to });
        assert_eq!(fault(regex), ["request.path.to"], "{to}");
    }
    for to in ["", "/", "//$1?y", "${1}..", "/..$1", "/$$x", "b"] {
        let regex = json!({ "regex": "^/(?<x>.*)", "to": to });
        test::configure::<Transform>(json!({ "request": { "path": regex } })).unwrap();
    }
}
