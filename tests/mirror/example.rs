//! The example of `docs/mirroring.md`, with the requests of that page, and what is said of it.

use std::path::Path;
use std::process::Command;

use crate::harness::http::send;
use crate::harness::{Gateway, Origin, get};

use super::Shadow;

#[test]
fn the_example_of_mirroring_serves_what_its_page_says() {
    let (shop, shadow, audit) = (Origin::start(), Shadow::start(), Shadow::start());
    let gateway = Gateway::example(
        "mirror",
        &[
            ("SHOP", shop.address),
            ("SHADOW", shadow.address),
            ("AUDIT", audit.address),
        ],
    );
    let public = gateway.listener("public");
    assert_eq!(
        get(public, "/shop/tea?size=2", &[]).json()["path"],
        "/tea?size=2"
    );
    let (head, _) = shadow.next();
    assert!(head.starts_with("GET /tea?size=2 HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!("host: {}\r\n", shadow.address)),
        "{head}"
    );
    let order = br#"{"item":"tea"}"#;
    assert_eq!(send(public, "POST", "/orders", &[], order).status, 200);
    let (head, body) = audit.next();
    assert!(head.starts_with("POST /orders HTTP/1.1\r\n"), "{head}");
    assert_eq!(body, order);
    let large = vec![b'x'; 2 << 20];
    assert_eq!(
        send(public, "POST", "/orders", &[], &large).json()["body"],
        2 << 20
    );
    gateway.wait_for_all(&["a request is not copied", "upstream=audit", "too_large"]);
    audit.assert_nothing_more();
}

#[test]
fn an_explanation_names_where_copies_go() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/mirror.toml");
    let explain = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["explain", "GET http://localhost/orders", "--config"])
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8(explain.stdout).unwrap();
    assert!(
        text.contains("\nmirror audit (127.0.0.1:9003), all requests\n"),
        "{text}"
    );
    assert!(
        text.contains("\nmirror shadow (127.0.0.1:9002), 0.1 of the requests\n"),
        "{text}"
    );
}
