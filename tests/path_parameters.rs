//! Parameters of a path, `;v=1` (RFC 3986, section 3.3): some servers cut them off, so that `/admin;x/y` is a way around
//! what holds for `/admin/**`.

use std::net::SocketAddr;

use crate::harness::http::send;
use crate::harness::{Answer, Configuration, Gateway, Origin, get};

/// Answers with the target that it got.
fn origin() -> Origin {
    Origin::answering(|head, _| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let length = path.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{path}").into_bytes()
    })
}

struct Bench {
    origin: Origin,
    gateway: Gateway,
}

impl Bench {
    /// `config` names the upstream `app`.
    fn start(config: impl FnOnce(Configuration) -> Configuration) -> Self {
        let origin = origin();
        let base = Configuration::new()
            .access_log()
            .upstream("app", origin.address);
        let gateway = Gateway::start(&config(base));
        Self { origin, gateway }
    }

    fn public(&self) -> SocketAddr {
        self.gateway.listener("public")
    }

    fn get(&self, path: &str) -> Answer {
        get(self.public(), path, &[])
    }

    /// The status of a request of which nothing goes upstream.
    fn kept_back(&self, path: &str, fields: &[(&str, &str)]) -> u16 {
        let seen = self.origin.seen().len();
        let status = get(self.public(), path, fields).status;
        assert_eq!(self.origin.seen().len(), seen, "{path} went upstream");
        status
    }
}

const KEEP: &str = "upstream = 'app'\npath_parameters = 'keep'";

#[test]
fn a_path_with_a_parameter_goes_around_no_policy() {
    let bench = Bench::start(|config| {
        config
            .route("admin", "/admin/**", "respond = { status = 403 }")
            .route("all", "/**", "upstream = 'app'")
            .with(
                r#"
[[routes]]
name = "host"
match = { host = "only.example", path = "/x/**" }
upstream = "app"
"#,
            )
    });
    assert_eq!(bench.get("/admin/y").status, 403);
    for path in [
        "/admin;x/y",
        "/admin;/y",
        "/admin;",
        "/admin;x",
        "/admin%3Bx/y",
        "/admin%3b/y",
        "/%61dmin;x/y",
        "/admin/y;z",
        "/a/b;v=1",
        "/a/b;v=1/",
        "/a/b;v=1?c",
        "/a/%3b",
        "/%3b",
        "/;",
        "/a;x/../b",
    ] {
        assert_eq!(bench.kept_back(path, &[]), 400, "{path}");
    }
    let host = [("host", "only.example")];
    for path in ["/x;y/z", "/x/y;z", "/x%3By"] {
        assert_eq!(bench.kept_back(path, &host), 400, "{path}");
    }
    bench
        .gateway
        .wait_for_all(&["\"error\":\"refused\"", "/admin;x/y"]);
    // A query has its own rules, and `=` or `,` begin no parameter.
    for path in ["/a?b=c;d", "/a?;", "/a=1,b"] {
        assert_eq!(bench.get(path).text(), path);
    }
}

#[test]
fn a_path_with_a_parameter_is_a_bad_request_where_no_route_matches_it() {
    let bench = Bench::start(|config| config.route("a", "/a/**", "upstream = 'app'"));
    assert_eq!(bench.kept_back("/b", &[]), 404);
    assert_eq!(bench.kept_back("/a;x", &[]), 400);
    assert_eq!(bench.kept_back("/b;x", &[]), 400);
}

#[test]
fn a_route_that_keeps_parameters_matches_and_sends_them_as_they_are() {
    let bench = Bench::start(|config| {
        config
            .route("exact", "/exact;v=1", KEEP)
            .route("items", "/items/{id}", KEEP)
            .route("plain", "/plain/**", "upstream = 'app'")
            .route(
                "told",
                "/told/{id}",
                "respond = { body = '{id}' }\npath_parameters = 'keep'",
            )
    });
    for (asked, sent) in [
        ("/exact;v=1", "/exact;v=1"),
        ("/items/7;v=1;w", "/items/7;v=1;w"),
        ("/items/7%3bv?q=;", "/items/7%3Bv?q=;"),
        ("/items/x/../7;", "/items/7;"),
    ] {
        assert_eq!(bench.get(asked).text(), sent, "{asked}");
    }
    assert_eq!(bench.get("/told/7;v=1%3Bw").text(), "7;v=1;w");
    for path in [
        "/plain/a;b",
        "/plain;a/b",
        // Of a dot segment, or of nothing: on no route.
        "/items/..;x",
        "/items/%2e%2e%3Bx",
        "/items/;x",
        // An escaped slash is another matter.
        "/items/a;b%2Fc",
    ] {
        assert_eq!(bench.kept_back(path, &[]), 400, "{path}");
    }
    assert_eq!(bench.kept_back("/exact", &[]), 404);
}

#[test]
fn what_is_made_of_a_path_is_judged_as_the_path_of_a_client_is() {
    let rule = "rewrite = { regex = '^/[a-z]+/(.)25-(.*)', to = '/data/$1$2' }";
    let set = r#"plugins = [{ name = "transform", config = { request = { path = { set = "/data/{query.q}" } } } }]"#;
    let bench = Bench::start(|config| {
        config
            .plugin("transform", "transform", "")
            .route("rule", "/rule/**", &format!("upstream = 'app'\n{rule}"))
            .route("kept", "/kept/**", &format!("{KEEP}\n{rule}"))
            .route("set", "/set", &format!("upstream = 'app'\n{set}"))
            .route("set-kept", "/set-kept", &format!("{KEEP}\n{set}"))
    });
    assert_eq!(bench.kept_back("/rule/%25-3Bx", &[]), 500);
    assert_eq!(bench.get("/rule/%25-3Ax").text(), "/data/%3Ax");
    assert_eq!(bench.get("/kept/%25-3Bx").text(), "/data/%3Bx");
    bench
        .gateway
        .wait_for_all(&["WARN", "bad_rewrite", "the path has a parameter"]);
    assert_eq!(bench.kept_back("/set?q=a;b", &[]), 400);
    assert_eq!(bench.get("/set-kept?q=a;b").text(), "/data/a%3Bb?q=a;b");
}

#[test]
fn the_path_of_a_sub_request_has_a_parameter_where_the_route_keeps_them() {
    let bench = Bench::start(|config| {
        let parts = |more: &str, name: &str| {
            format!(
                r#"
[[routes]]
name = "{name}"
match = {{ path = "/{name}" }}
{more}
[[routes.plugins]]
name = "aggregate"
config = {{ parts = [{{ name = "one", upstream = "app", path = "/users/{{query.q}}/public" }}] }}
"#
            )
        };
        config
            .plugin("aggregate", "aggregate", "grants = { upstreams = ['app'] }")
            .with(&parts("", "parts"))
            .with(&parts("path_parameters = 'keep'", "kept"))
    });
    for value in ["admin;", "admin%3Bx", "admin%253Bx"] {
        let path = format!("/parts?q={value}");
        assert_eq!(bench.kept_back(&path, &[]), 502, "{path}");
    }
    bench.get("/parts?q=a");
    bench.get("/kept?q=a;b");
    let seen = bench.origin.seen();
    let seen = seen.iter().filter_map(|head| head.split(' ').nth(1));
    let seen: Vec<_> = seen.collect();
    assert_eq!(seen, ["/users/a/public", "/users/a%3Bb/public"]);
}

#[test]
fn a_way_around_the_plugins_of_a_place_is_warned_of() {
    let config = |wide: &str, narrow: &str, keep: &str| {
        Configuration::new()
            .upstream("app", origin().address)
            .plugin(
                "edits",
                "transform",
                "config = { request = { set_headers = { x-a = 'b' } } }",
            )
            .route("wide", wide, &format!("upstream = 'app'\n{keep}"))
            .chain("admin", narrow, &["edits"], "upstream = 'app'")
    };
    for (wide, narrow, place) in [
        ("/**", "/admin/**", "/admin;.."),
        ("/**", "/admin", "/admin;.."),
        ("/users/**", "/users/{id}/keys", "/users/{id}/keys;.."),
        ("/{t}/**", "/{tenant}/admin/**", "/{tenant}/admin;.."),
    ] {
        let keep = "path_parameters = 'keep'";
        let gateway = Gateway::start(&config(wide, narrow, keep));
        let said = format!("routes[0].path_parameters: this route takes `{place}`");
        gateway.wait_for_all(&["WARN", &said, "the plugins of `admin`"]);
        let gateway = Gateway::start(&config(wide, narrow, ""));
        assert!(!gateway.text().contains("this route takes"));
    }
    let keep = "path_parameters = 'keep'";
    let gateway = Gateway::start(&config("/users/**", "/users/{id}", keep));
    let said = gateway.text();
    assert!(!said.contains("this route takes"), "{said}");
}

#[test]
fn a_request_for_no_path_has_no_parameter() {
    let bench = Bench::start(|config| config.route("all", "/**", "upstream = 'app'"));
    assert_eq!(send(bench.public(), "OPTIONS", "*", &[], b"").text(), "*");
}
