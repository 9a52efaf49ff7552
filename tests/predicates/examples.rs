//! The examples of `docs/routing.md` and `docs/versions.md`, with the requests of these pages.

use super::ask;
use crate::harness::{Gateway, Origin, get};

/// An origin that answers with its name and what it was asked for.
fn named(name: &'static str) -> Origin {
    Origin::answering(move |head, _| {
        let line = head.lines().next().unwrap_or_default();
        let path = line.split(' ').nth(1).unwrap_or_default();
        let body = format!("{name} {path}");
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
    })
}

#[test]
fn the_example_of_routing_serves_what_its_page_says() {
    let (v1, v2) = (named("v1"), named("v2"));
    let gateway = Gateway::example("routing", &[("V1", v1.address), ("V2", v2.address)]);
    let public = gateway.listener("public");
    let outside = ("x-forwarded-for", "192.0.2.1");
    let (trial, robot) = (("cookie", "group=b"), ("user-agent", "GoogleBot/2.1"));
    for (path, fields, status, body) in [
        ("/shop/tea", &[][..], 200, "v1 /shop/tea"),
        ("/shop/tea", &[("x-canary", "1")], 200, "v2 /shop/tea"),
        (
            "/shop/tea",
            &[("x-canary", "0"), ("x-canary", "1")],
            200,
            "v1 /shop/tea",
        ),
        ("/shop/tea", &[trial], 200, "v2 /shop/tea"),
        ("/shop/tea", &[trial, robot], 200, "v1 /shop/tea"),
        (
            "/shop/tea",
            &[("cookie", "group=a; group=b")],
            200,
            "v1 /shop/tea",
        ),
        ("/shop/tea?format=pdf", &[], 200, "tea, to be printed\n"),
        (
            "/shop/tea?format=html",
            &[],
            200,
            "v1 /shop/tea?format=html",
        ),
        (
            "/staff/rota",
            &[("x-forwarded-for", "10.1.2.3")],
            200,
            "v1 /staff/rota",
        ),
        ("/sale", &[], 200, "v2 /sale"),
        ("/shop/tea", &[("x-works", "")], 503, "back soon\n"),
    ] {
        let answer = get(public, path, fields);
        assert_eq!(
            (answer.status, &*answer.text()),
            (status, body),
            "{path} {fields:?}"
        );
    }
    assert_eq!(get(public, "/staff/rota", &[outside]).status, 404);
    assert_eq!(ask(&gateway, "acme.shop.example", "/r/7").text(), "v1 /r/7");
    let seen = v1.seen().pop().unwrap();
    assert!(seen.contains("\r\nx-report: acme/7\r\n"), "{seen}");
    assert_eq!(ask(&gateway, "shop.example", "/r/7").status, 404);
}

#[test]
fn the_example_of_versions_serves_what_its_page_says() {
    let (v1, v2) = (named("v1"), named("v2"));
    let gateway = Gateway::example("versions", &[("V1", v1.address), ("V2", v2.address)]);
    let public = gateway.listener("public");
    for (path, name, value, body) in [
        ("/orders/7", "x-api-version", "1.9", "v1 /orders/7"),
        ("/orders/7", "x-api-version", "2", "v2 /orders/7"),
        ("/orders/7", "x-api-version", "2.1", "v2 /orders/7"),
        ("/orders/7", "x-other", "", "v1 /orders/7"),
        ("/api/v1/carts", "x-other", "", "v1 /v1/carts"),
        ("/api/v2/carts/3", "x-other", "", "v2 /v2/carts/3"),
        (
            "/invoices?api-version=2025-06-01",
            "x-other",
            "",
            "v1 /invoices?api-version=2025-06-01",
        ),
        (
            "/invoices?api-version=2026-01-31",
            "x-other",
            "",
            "v2 /invoices?api-version=2026-01-31",
        ),
        ("/users/7", "accept", "application/json", "v1 /users/7"),
        (
            "/users/7",
            "accept",
            "application/vnd.shop+json; version=2",
            "v2 /users/7",
        ),
        (
            "/users/7",
            "accept",
            "application/vnd.shop.v2+json",
            "v2 /users/7",
        ),
    ] {
        let answer = get(public, path, &[(name, value)]);
        assert_eq!(
            (answer.status, &*answer.text()),
            (200, body),
            "{path} {name}: {value}"
        );
        let is_old = body.starts_with("v1 /orders");
        let deprecation = is_old.then_some("@1767225600");
        assert_eq!(answer.header("deprecation"), deprecation, "{path}");
        let sunset = is_old.then_some("Thu, 31 Dec 2026 23:59:59 GMT");
        assert_eq!(answer.header("sunset"), sunset, "{path}");
        let links = answer.headers.iter().filter(|(name, _)| name == "link");
        let links: Vec<_> = links.map(|(_, value)| value.as_str()).collect();
        let expected = [
            "<https://api.example.com/changes>; rel=\"deprecation\"; type=\"text/html\"",
            "<https://api.example.com/sunset>; rel=\"sunset\"; type=\"text/html\"",
        ];
        assert_eq!(links, if is_old { &expected[..] } else { &[] }, "{path}");
    }
    for (path, name, value) in [
        ("/orders/7", "x-api-version", "latest"),
        ("/api/v3/carts", "x-other", ""),
        ("/invoices", "x-other", ""),
        ("/users/7", "accept", "application/vnd.shop.v3+json"),
    ] {
        let answer = get(public, path, &[(name, value)]);
        assert_eq!(answer.status, 400, "{path} {name}: {value}");
        assert_eq!(answer.json()["title"], "Unknown API version");
    }
}
