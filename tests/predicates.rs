//! Every predicate of `routes.match`, by real requests.

mod examples;
mod versions;

use std::time::{Duration, Instant, SystemTime};

use crate::harness::gateway::PATIENCE;
use crate::harness::http::send;
use crate::harness::{Answer, Configuration, Gateway, Origin, get, raw};

/// A gateway of these routes, each of which answers with its name, and of one that takes the rest.
fn gateway(routes: &[(&str, &str)]) -> Gateway {
    gateway_of(Configuration::new(), routes)
}

fn gateway_of(config: Configuration, routes: &[(&str, &str)]) -> Gateway {
    let add = |config: Configuration, (name, matched): &(&str, &str)| {
        let table = "[[routes]]\nname = ";
        config.with(&format!(
            "{table}'{name}'\nmatch = {{ {matched} }}\nrespond = {{ body = '{name}' }}"
        ))
    };
    let config = routes.iter().fold(config, add);
    Gateway::start(&config.route("none", "/**", "respond = { body = 'none' }"))
}

/// The body of the answer to a GET.
fn taken(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> String {
    let answer = get(gateway.listener("public"), path, headers);
    assert_eq!(answer.status, 200, "{path} {headers:?}");
    answer.text()
}

/// The answer to a GET of a host.
fn ask(gateway: &Gateway, host: &str, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    raw(gateway.listener("public"), request.as_bytes())
}

#[test]
fn a_value_is_equal_or_matched_or_there_or_not_so() {
    let mut routes = Vec::new();
    for kind in ["headers", "cookies", "query"] {
        for (pattern, value) in [
            ("equal", "'a b'"),
            ("regex", "{ regex = '^a+$' }"),
            ("there", "{ present = true }"),
            ("absent", "{ present = false }"),
            ("not", "{ not = 'a' }"),
            ("unlike", "{ not = { regex = '^a' } }"),
        ] {
            let name = format!("{kind}-{pattern}");
            let matched = format!("path = '/{name}', {kind} = {{ x-v = {value} }}");
            routes.push((name, matched));
        }
    }
    let routes: Vec<_> = routes.iter().map(|(name, of)| (&**name, &**of)).collect();
    let gateway = gateway(&routes);
    for (pattern, value, holds) in [
        ("equal", Some("a b"), true),
        ("equal", Some("a"), false),
        ("equal", Some("A b"), false),
        ("equal", None, false),
        ("regex", Some("aa"), true),
        ("regex", Some("ab"), false),
        ("regex", None, false),
        ("there", Some("x"), true),
        ("there", Some(""), true),
        ("there", None, false),
        ("absent", Some(""), false),
        ("absent", None, true),
        ("not", Some("a"), false),
        ("not", Some("b"), true),
        ("not", Some(""), true),
        ("not", None, true),
        ("unlike", Some("ab"), false),
        ("unlike", Some("ba"), true),
        ("unlike", None, true),
    ] {
        let cookie = value.map_or("other=1".to_owned(), |value| {
            format!("other=1; x-v={value}")
        });
        let query = value.map_or(String::new(), |value| {
            format!("?x%2Dv={}", value.replace(' ', "+"))
        });
        let header: Vec<_> = value.map(|value| ("X-V", value)).into_iter().collect();
        for (kind, query, headers) in [
            ("headers", "", &header[..]),
            ("cookies", "", &[("cookie", &*cookie)]),
            ("query", &*query, &[]),
        ] {
            let name = format!("{kind}-{pattern}");
            let expected = if holds { &*name } else { "none" };
            let got = taken(&gateway, &format!("/{name}{query}"), headers);
            assert_eq!(got, expected, "{name} {value:?}");
        }
    }
}

#[test]
fn the_first_value_of_a_name_decides() {
    let gateway = gateway(&[
        ("header", "path = '/h', headers = { x-v = 'b' }"),
        (
            "header-not",
            "path = '/hn', headers = { x-v = { not = 'b' } }",
        ),
        ("query", "path = '/q', query = { v = 'b' }"),
        (
            "query-regex",
            "path = '/qr', query = { v = { regex = 'b' } }",
        ),
        ("cookie", "path = '/c', cookies = { v = 'b' }"),
    ]);
    let (ab, ba) = ([("x-v", "a"), ("x-v", "b")], [("x-v", "b"), ("x-v", "a")]);
    assert_eq!(taken(&gateway, "/h", &ab), "none");
    assert_eq!(taken(&gateway, "/h", &ba), "header");
    assert_eq!(taken(&gateway, "/hn", &ab), "header-not");
    assert_eq!(taken(&gateway, "/hn", &ba), "none");
    // A list in one field is one value.
    assert_eq!(taken(&gateway, "/h", &[("x-v", "b, a")]), "none");
    assert_eq!(taken(&gateway, "/q?v=a&v=b", &[]), "none");
    assert_eq!(taken(&gateway, "/q?v=b&v=a", &[]), "query");
    assert_eq!(taken(&gateway, "/qr?v&v=b", &[]), "none");
    for (fields, expected) in [
        (&["v=a; v=b"][..], "none"),
        (&["v=b; v=a"], "cookie"),
        (&["V=a; v=b"], "cookie"),
        (&["v=a", "v=b"], "none"),
        (&["w=a", "v=b"], "cookie"),
        // Quotation marks are part of the value (RFC 6265bis, section 4.1.1).
        (&["v=\"b\""], "none"),
        (&["v = b"], "cookie"),
        (&["v; v=b"], "cookie"),
    ] {
        let fields: Vec<_> = fields.iter().map(|field| ("cookie", *field)).collect();
        assert_eq!(taken(&gateway, "/c", &fields), expected, "{fields:?}");
    }
}

#[test]
fn a_client_is_who_trusted_proxies_say() {
    let routes = [
        (
            "inner",
            "path = '/a', client = ['10.0.0.0/8', '2001:db8::/32']",
        ),
        (
            "one",
            "path = '/a', client = '192.0.2.7', headers = { x-b = 'b' }",
        ),
        ("near", "path = '/near', client = '127.0.0.0/8'"),
    ];
    let config = Configuration::new()
        .public("trusted_proxies = ['127.0.0.0/8']")
        .listener("open", "");
    let gateway = gateway_of(config, &routes);
    let (public, open) = (gateway.listener("public"), gateway.listener("open"));
    for (listener, path, told, expected) in [
        (public, "/a", "10.1.2.3", "inner"),
        (public, "/a", "192.0.2.1, 10.1.2.3", "inner"),
        (public, "/a", "10.1.2.3, 192.0.2.1", "none"),
        (public, "/a", "::ffff:10.1.2.3", "inner"),
        (public, "/a", "2001:db8::1", "inner"),
        (public, "/a", "192.0.2.7", "one"),
        (public, "/a", "192.0.2.8", "none"),
        (public, "/near", "10.1.2.3", "none"),
        (open, "/a", "10.1.2.3", "none"),
        (open, "/near", "10.1.2.3", "near"),
    ] {
        let fields = [("x-forwarded-for", told), ("x-b", "b")];
        assert_eq!(
            get(listener, path, &fields).text(),
            expected,
            "{path} {told}"
        );
    }
}

#[test]
fn a_time_window_is_judged_when_a_request_comes() {
    let turn = SystemTime::now() + Duration::from_millis(1_200);
    let turn = humantime::format_rfc3339_millis(turn);
    let (until, from) = (
        format!("path = '/turn', before = '{turn}'"),
        format!("path = '/turn', after = {turn}"),
    );
    let gateway = gateway(&[
        ("old", "path = '/a', before = '2001-01-01T00:00:00Z'"),
        ("late", "path = '/b', after = '2999-01-01T00:00:00Z'"),
        (
            "now",
            "path = '/c', after = 2001-01-01T00:00:00+02:00, before = 2999-01-01T00:00:00Z",
        ),
        ("until", &until),
        ("from", &from),
    ]);
    for (path, expected) in [("/a", "none"), ("/b", "none"), ("/c", "now")] {
        assert_eq!(taken(&gateway, path, &[]), expected, "{path}");
    }
    // The one ends when the other begins: there is no gap.
    let began = Instant::now();
    let mut seen = vec![taken(&gateway, "/turn", &[])];
    while seen.last().is_none_or(|last| last != "from") {
        assert!(began.elapsed() < PATIENCE, "{seen:?}");
        let taken = taken(&gateway, "/turn", &[]);
        if seen.last() != Some(&taken) {
            seen.push(taken);
        }
    }
    assert!(seen == ["until", "from"] || seen == ["from"], "{seen:?}");
}

#[test]
fn one_route_has_several_paths_and_their_parameters() {
    let origin = Origin::start();
    let config = Configuration::new()
        .upstream("origin", origin.address)
        .plugin("transform", "transform", "")
        .with(
            r#"
[[routes]]
name = "reports"
match = { path = ["/reports/{id}", "/r/{id}/**", "/{id}/report"] }
respond = { body = "report {id}" }
[[routes]]
name = "fixed"
match = { path = ["/a", { exact = "/{b}" }, { regex = "^/c[0-9]+$" }, "/d/**"] }
respond = { body = "fixed" }
[[routes]]
name = "tenants"
match = { host = ["{tenant}.example.com", "{tenant}.eu.example.com"], path = "/t/{id}" }
plugins = [{ name = "transform", config = { request = { set_headers = { x-seen = "{path.tenant}/{path.id}" } } } }]
upstream = "origin"
[[routes]]
name = "answered"
match = { host = "{tenant}.example.com", path = "/answer/{id}" }
respond = { body = "{tenant} {id}" }
"#,
        );
    let gateway = Gateway::start(&config);
    for (path, expected) in [
        ("/reports/7", "report 7"),
        ("/r/8", "report 8"),
        ("/r/8/more/of/it", "report 8"),
        ("/9/report", "report 9"),
        // Two of them match: the more specific one says which segment it is.
        ("/reports/report", "report report"),
        ("/r/report", "report report"),
        ("/a", "fixed"),
        ("/c12", "fixed"),
        ("/d/x/y", "fixed"),
        ("/{b}", "fixed"),
    ] {
        let answer = ask(&gateway, "a.test", path);
        assert_eq!((answer.status, &*answer.text()), (200, expected), "{path}");
    }
    assert_eq!(ask(&gateway, "a.test", "/c").status, 404);
    let answer = ask(&gateway, "Acme.Example.com:80", "/answer/5");
    assert_eq!(answer.text(), "acme 5");
    for (host, told) in [
        ("acme.example.com", "acme/6"),
        ("x-1.eu.example.com.", "x-1/6"),
    ] {
        assert_eq!(ask(&gateway, host, "/t/6").status, 200, "{host}");
        let seen = origin.seen().pop().unwrap();
        assert!(seen.contains(&format!("\r\nx-seen: {told}\r\n")), "{seen}");
    }
    for host in [
        "example.com",
        "a.b.example.com",
        "a.us.example.com",
        ".example.com",
    ] {
        assert!(ask(&gateway, host, "/t/6").status >= 400, "{host}");
    }
}

#[test]
fn a_host_template_stands_between_an_exact_host_and_a_wildcard() {
    let gateway = gateway(&[
        ("wild", "host = '*.example.com'"),
        ("exact", "host = 'www.example.com'"),
        ("tenant", "host = '{tenant}.example.com'"),
        ("api", "host = '{tenant}.api.example.com'"),
        ("label", "host = 'shop.{region}.example.com'"),
    ]);
    for (host, expected) in [
        ("www.example.com", "exact"),
        ("acme.example.com", "tenant"),
        ("a.b.example.com", "wild"),
        ("acme.api.example.com", "api"),
        ("shop.eu.example.com", "label"),
        // Both match, and the longer text goes before.
        ("shop.api.example.com", "label"),
        ("x.shop.eu.example.com", "wild"),
        ("example.com", "none"),
    ] {
        assert_eq!(ask(&gateway, host, "/").text(), expected, "{host}");
    }
}

#[test]
fn a_method_and_all_other_predicates_hold_together() {
    let gateway = gateway(&[(
        "all",
        "path = '/a', methods = ['POST'], headers = { x-a = '1' }, cookies = { b = '2' }, query = { c = '3' }, \
         client = '127.0.0.1', after = '2001-01-01T00:00:00Z', version = { header = 'x-v', equals = '1' }",
    )]);
    let fields = [("x-a", "1"), ("cookie", "b=2"), ("x-v", "1")];
    let public = gateway.listener("public");
    let ask = |method: &str, path: &str, fields: &[(&str, &str)]| {
        send(public, method, path, fields, b"").text()
    };
    assert_eq!(ask("POST", "/a?c=3", &fields), "all");
    assert_eq!(ask("GET", "/a?c=3", &fields), "none");
    assert_eq!(ask("POST", "/a?c=4", &fields), "none");
    for left_out in 0..fields.len() {
        let mut fields = fields.to_vec();
        fields.remove(left_out);
        assert_eq!(ask("POST", "/a?c=3", &fields), "none", "{fields:?}");
    }
}
