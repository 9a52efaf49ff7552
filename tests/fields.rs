//! Fields of a client under names that another server may read as other names, and fields that never pass.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::harness::client::{Client, run};
use crate::harness::{Answer, Configuration, Gateway, Origin, get, raw};

/// What a client sends beside the field `x-user` that a plugin sets.
const UNUSUAL: [&str; 6] = [
    "x_user", "X_USER", "x.user", "x~user", "x-us_er", "_x-user-",
];

/// A gateway whose plugin sets `x-user`. `public` is more of its listener.
fn gateway(origin: &Origin, public: &str) -> Gateway {
    let sets = r#"config = { request = { set_headers = { x-user = "alice" } } }"#;
    let config = Configuration::new()
        .access_log()
        .public(public)
        .plugin("transform", "transform", sets)
        .upstream("origin", origin.address)
        .chain("all", "/**", &["transform"], "upstream = 'origin'");
    Gateway::start(&config)
}

fn over_h1(public: SocketAddr, fields: &[(&str, &str)]) -> Answer {
    get(public, "/", fields)
}

fn over_h2(public: SocketAddr, fields: &[(&str, &str)]) -> (u16, String) {
    run(async {
        let stream = TcpStream::connect(public).await.unwrap();
        let mut client = Client::new(stream, true, "http").await;
        // HTTP/2 has names in lower case alone (RFC 9113, 8.2.1); the client writes them so.
        let answer = client.get("a", "/", fields).await;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        (answer.status().as_u16(), text)
    })
}

#[test]
fn a_field_whose_name_is_read_as_another_by_some_is_dropped_counted_and_said_once() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "");
    let public = gateway.listener("public");
    let mut fields = UNUSUAL.map(|name| (name, "admin")).to_vec();
    fields.extend([("x-plain-2", "stays"), ("X-Other", "stays too")]);
    assert_eq!(over_h1(public, &fields).status, 200);
    assert_eq!(over_h2(public, &fields).0, 200);
    for seen in origin.seen() {
        let seen = seen.to_ascii_lowercase();
        assert!(!seen.contains("admin"), "{seen}");
        for kept in ["x-user: alice", "x-plain-2: stays", "x-other: stays too"] {
            assert!(seen.contains(kept), "{kept}: {seen}");
        }
    }
    let counted = r#"gateway_unusual_fields_total{listener="public"}"#;
    assert_eq!(gateway.metric(counted), 2.0 * 6.0);
    let said = |name: &str| {
        gateway.wait_for_all(&["unusual_names", "listener=\"public\"", name]);
        let text = gateway.text();
        text.lines().filter(|line| line.contains(name)).count()
    };
    for name in ["\"x_user\"", "\"x.user\"", "\"x~user\""] {
        assert_eq!(said(name), 1, "{name}: {}", gateway.text());
    }
}

#[test]
fn a_listener_may_keep_unusual_names_and_routes_see_them_then() {
    let origin = Origin::start();
    let config = Configuration::new()
        .public("unusual_names = \"keep\"")
        .upstream("origin", origin.address)
        .route("all", "/**", "upstream = 'origin'")
        .with("[[routes]]\nname = \"tenant\"\nmatch = { path = \"/**\", headers = { x_tenant = \"a\" } }\nrespond = { status = 204 }");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let fields = UNUSUAL.map(|name| (name, "admin"));
    assert_eq!(over_h1(public, &fields).status, 200);
    assert_eq!(over_h2(public, &fields).0, 200);
    for seen in origin.seen() {
        assert_eq!(seen.matches("admin").count(), 6, "{seen}");
    }
    assert_eq!(get(public, "/", &[("x_tenant", "a")]).status, 204);
    // Who asks is no matter of names: RFC 3875, section 4.1.18.
    let seen = origin.seen().len();
    let asks = [
        "x_forwarded_for",
        "x.forwarded.for",
        "x_real_ip",
        "x~real~ip",
    ];
    over_h1(public, &asks.map(|name| (name, "6.6.6.6")));
    assert!(!origin.seen()[seen].contains("6.6.6.6"));
    assert_eq!(
        gateway.metric(r#"gateway_unusual_fields_total{listener="public"}"#),
        0.0
    );
}

#[test]
fn a_listener_may_refuse_unusual_names_in_words_that_name_them() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "unusual_names = \"refuse\"");
    let public = gateway.listener("public");
    for name in UNUSUAL {
        let answer = over_h1(public, &[(name, "admin")]);
        assert_eq!(answer.status, 400, "{name}");
        let detail = answer.json()["detail"].to_string();
        assert!(
            detail.contains("other than letters, digits and `-`"),
            "{detail}"
        );
        let (status, text) = over_h2(public, &[(name, "admin")]);
        assert_eq!(status, 400, "{name}");
        assert!(text.contains("letters, digits"), "{text}");
    }
    gateway.wait_for_all(&["\"status\":400", "\"error\":\"refused\""]);
    assert!(origin.seen().is_empty(), "{:?}", origin.seen());
    assert_eq!(over_h1(public, &[("x-user", "bob")]).status, 200);
    let counted = r#"gateway_unusual_fields_total{listener="public"}"#;
    assert_eq!(gateway.metric(counted), 2.0 * 6.0);
}

/// CVE-2016-5385: a server in the manner of CGI reads it as the variable `HTTP_PROXY`, and some clients take their proxy
/// from there.
#[test]
fn the_field_proxy_never_passes() {
    for names in ["drop", "keep", "refuse"] {
        let origin = Origin::start();
        let gateway = gateway(&origin, &format!("unusual_names = \"{names}\""));
        let public = gateway.listener("public");
        let fields = [("Proxy", "http://evil.test"), ("x-plain", "stays")];
        assert_eq!(over_h1(public, &fields).status, 200);
        assert_eq!(over_h2(public, &fields).0, 200);
        for seen in origin.seen() {
            assert!(!seen.contains("evil.test"), "{names}: {seen}");
            assert!(seen.contains("x-plain: stays"), "{names}: {seen}");
        }
    }
}

#[test]
fn a_client_that_makes_up_names_does_not_fill_the_log() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "");
    let public = gateway.listener("public");
    for round in 0..4 {
        let mut request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n".to_owned();
        for at in 0..80 {
            request += &format!("x_{round}_{at}_{}: 1\r\n", "y".repeat(200));
        }
        assert_eq!(raw(public, (request + "\r\n").as_bytes()).status, 200);
    }
    let counted = r#"gateway_unusual_fields_total{listener="public"}"#;
    assert_eq!(gateway.metric(counted), 4.0 * 80.0);
    gateway.wait_for("more names are not said");
    let text = gateway.text();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.contains("unusual_names"))
        .collect();
    assert_eq!(lines.len(), 64 + 1, "{text}");
    assert!(lines.iter().all(|line| line.len() < 400), "{text}");
}
