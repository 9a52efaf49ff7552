//! One host has many spellings: routes, certificates, upstreams and the comparison with the target know one of them.

use crate::harness::http::send;
use crate::harness::{Answer, Configuration, Gateway, Origin, raw};

fn gateway(origin: &Origin) -> Gateway {
    let preserved = "upstream = 'origin'\nrewrite = { host = 'preserve' }";
    let config = Configuration::new()
        .upstream("origin", origin.address)
        .route("none", "/**", "respond = { body = 'none' }")
        .route("sent", "/sent", preserved)
        .route("gone", "/gone", "redirect = { to = 'https://{host}/x' }")
        .route(
            "home",
            "/home",
            "redirect = { to = 'https://{host|home.test}/x' }",
        )
        .with(MATCHED);
    Gateway::start(&config)
}

const MATCHED: &str = r#"
[[routes]]
name = "named"
match = { host = "api.example.com", path = "/**" }
respond = { body = "named" }
[[routes]]
name = "wild"
match = { host = "*.example.org", path = "/**" }
respond = { body = "wild" }
[[routes]]
name = "address"
match = { host = "[2001:DB8:0::1]", path = "/**" }
respond = { body = "address" }
"#;

/// Asks for `target` of `host`.
fn ask(gateway: &Gateway, target: &str, host: &str) -> Answer {
    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    raw(gateway.listener("public"), request.as_bytes())
}

#[test]
fn every_spelling_of_a_host_takes_the_same_route() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    for (host, route) in [
        ("api.example.com", "named"),
        ("API.Example.com", "named"),
        ("api.example.com.", "named"),
        ("api.example.com:80", "named"),
        ("api.example.com.:80", "named"),
        ("api.example.com:0080", "named"),
        ("api.example.com:8080", "named"),
        ("a.b.Example.org.", "wild"),
        ("[2001:db8::1]", "address"),
        ("[2001:DB8::1]:80", "address"),
        ("[2001:0db8:0:0:0:0:0:0001]", "address"),
        ("[2001:db8::2]", "none"),
        ("other.example.com.", "none"),
    ] {
        let answer = ask(&gateway, "/", host);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, route),
            "{host}"
        );
    }
    for host in [".", "a..", "..", "[::g]", "[v1.a]", "[::1", "[]"] {
        assert_eq!(ask(&gateway, "/", host).status, 400, "{host}");
    }
}

#[test]
fn an_upstream_sees_the_host_that_the_route_was_found_by() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    for (host, sent) in [
        ("A.Test.:80", "a.test"),
        ("a.test:443", "a.test:443"),
        ("a.test:08080", "a.test:8080"),
        ("[0::0001]:80", "[::1]"),
    ] {
        assert_eq!(ask(&gateway, "/sent", host).status, 200, "{host}");
        let seen = origin.seen().pop().unwrap();
        assert!(seen.contains(&format!("\r\nhost: {sent}\r\n")), "{seen}");
        let told = format!("\r\nx-forwarded-host: {sent}\r\n");
        assert!(seen.contains(&told), "{seen}");
    }
}

#[test]
fn a_target_in_absolute_form_is_compared_by_the_host_that_both_mean() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    for (target, host, status) in [
        ("http://API.example.com./", "api.example.com", 200),
        ("http://api.example.com:80/", "api.example.com", 200),
        ("http://api.example.com/", "api.example.com.:80", 200),
        ("https://api.example.com:443/", "api.example.com", 200),
        ("HTTP://api.example.com/", "api.example.com", 200),
        ("http://[2001:db8:0::1]/", "[2001:DB8::1]", 200),
        ("http://api.example.com:443/", "api.example.com", 400),
        ("https://api.example.com:80/", "api.example.com", 400),
        ("http://api.example.com/", "b.example.com", 400),
        ("ftp://api.example.com/", "api.example.com", 400),
        ("ws://api.example.com/", "api.example.com", 400),
    ] {
        let answer = ask(&gateway, target, host);
        assert_eq!(answer.status, status, "{target} {host}");
    }
}

/// RFC 9112, section 3.2.
#[test]
fn a_client_of_http_1_0_without_a_host_makes_no_url_without_one() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let public = gateway.listener("public");
    assert_eq!(raw(public, b"GET /gone HTTP/1.0\r\n\r\n").status, 400);
    let home = raw(public, b"GET /home HTTP/1.0\r\n\r\n");
    assert_eq!(home.header("location"), Some("https://home.test/x"));
    assert_eq!(raw(public, b"GET /sent HTTP/1.0\r\n\r\n").status, 200);
    let seen = origin.seen().remove(0);
    assert!(
        seen.contains(&format!("\r\nhost: {}\r\n", origin.address)),
        "{seen}"
    );
    assert!(!seen.contains("x-forwarded-host"), "{seen}");
}

/// RFC 9112, section 3.2.4: `#` ends a target, and servers differ in what they make of the rest.
#[test]
fn a_fragment_in_a_target_is_refused_and_a_method_may_have_the_character() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    for target in ["/a#b", "/#", "#", "/a?b#c", "http://api.example.com/#x"] {
        assert_eq!(
            ask(&gateway, target, "api.example.com").status,
            400,
            "{target}"
        );
    }
    let public = gateway.listener("public");
    assert_eq!(send(public, "A#B", "/x", &[], b"").status, 200);
    assert!(origin.seen().is_empty());
}
