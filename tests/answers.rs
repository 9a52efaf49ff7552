//! The example `answers`, as docs/answers.md tells of it.

use crate::harness::http::send;
use crate::harness::{Answer, Gateway, Origin, get, raw};
use crate::streams::gone;

fn ask(gateway: &Gateway, target: &str) -> Answer {
    let request = format!(
        "GET {target} HTTP/1.1\r\nhost: shop.example.com:8080\r\nconnection: close\r\n\r\n"
    );
    raw(gateway.listener("public"), request.as_bytes())
}

#[test]
fn the_example_answers_as_its_page_says() {
    let other = Origin::start();
    let gateway = Gateway::example("answers", &[("SHOP", gone()), ("STATIC", other.address)]);
    let public = gateway.listener("public");

    let nowhere = get(public, "/nowhere", &[]);
    assert_eq!(nowhere.status, 404);
    assert_eq!(nowhere.json()["error"], "there is no /nowhere");
    assert_eq!(
        nowhere.json()["request"].as_str(),
        nowhere.header("x-request-id")
    );

    let order = get(public, "/orders/7", &[]);
    assert_eq!(
        (order.status, order.header("retry-after")),
        (503, Some("5"))
    );
    let why = "the service behind this gateway did not answer as it should";
    assert_eq!(
        order.text(),
        format!(r#"{{"error":"try again","why":"{why}"}}"#)
    );

    let catalogue = send(public, "POST", "/catalogue/7", &[], b"abc");
    assert_eq!(
        (catalogue.status, catalogue.json()["body"].as_u64()),
        (200, Some(3))
    );
    let suggestions = get(public, "/suggestions", &[]);
    assert_eq!(
        (suggestions.status, suggestions.text().as_str()),
        (200, r#"{"items":[]}"#)
    );

    let hello = get(public, "/hello/ann%22", &[]);
    assert_eq!(hello.text(), r#"{"hello":"ann\"","from":"127.0.0.1"}"#);
    assert_eq!(hello.header("x-greeted"), Some("ann\""));

    for (target, status, location) in [
        (
            "/account/me?a=b",
            308,
            "https://shop.example.com/account/me?a=b",
        ),
        ("/item/7?a=b", 301, "/catalogue/7?a=b"),
        (
            "/blog/2026/hello",
            308,
            "http://blog.example.com:8080/posts/hello",
        ),
    ] {
        let answer = ask(&gateway, target);
        let found = (answer.status, answer.header("location"));
        assert_eq!(found, (status, Some(location)), "{target}");
    }
    assert_eq!(ask(&gateway, "/blog/hello").status, 404);
}

#[test]
fn the_page_of_html_is_that_of_the_example() {
    let broken = Origin::answering(|_, _| Vec::new());
    let gateway = Gateway::example("answers", &[("SHOP", broken.address), ("STATIC", gone())]);
    // A POST that broke is not sent again, so the page it is.
    let page = send(
        gateway.listener("public"),
        "POST",
        "/catalogue/7",
        &[],
        b"abc",
    );
    assert_eq!(page.status, 502);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let id = page.header("x-request-id").unwrap();
    assert!(
        page.text().contains(&format!(
            "(502). Try again in a minute. If it happens again, tell us this number: {id}<"
        )),
        "{}",
        page.text()
    );
}
