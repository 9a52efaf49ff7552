//! What a route changes on the way to the upstream and of its answer: segments, places, cookies, escaped slashes.

use std::net::SocketAddr;

use crate::harness::http::send;
use crate::harness::{Answer, Configuration, Gateway, Origin, get};

/// Answers with 302, the fields that the request asks for by `say-NAME`, and what it got.
fn origin() -> Origin {
    Origin::answering(|head, _| {
        let lines = || head.lines();
        let said: String = lines()
            .filter_map(|line| line.strip_prefix("say-"))
            .map(|line| format!("{line}\r\n"))
            .collect();
        let host = lines().find_map(|line| line.strip_prefix("host: "));
        let path = head.split(' ').nth(1);
        let json = serde_json::json!({ "path": path, "host": host }).to_string();
        let length = json.len();
        format!("HTTP/1.1 302 Found\r\n{said}content-length: {length}\r\n\r\n{json}").into_bytes()
    })
}

/// A gateway before it, with routes by their paths and the lines of each.
struct Bench {
    origin: Origin,
    gateway: Gateway,
}

impl Bench {
    fn start(routes: &[(&str, &str)]) -> Self {
        Self::with(routes, |config| config)
    }

    fn with(routes: &[(&str, &str)], more: impl FnOnce(Configuration) -> Configuration) -> Self {
        let origin = origin();
        let config = Configuration::new()
            .access_log()
            .public("trusted_proxies = ['127.0.0.1']")
            .upstream("app", origin.address);
        let routes = routes.iter().enumerate();
        let config = routes.fold(config, |config, (index, (path, lines))| {
            let lines = format!("upstream = 'app'\n{lines}");
            config.route(&format!("route-{index}"), path, &lines)
        });
        let gateway = Gateway::start(&more(config));
        Self { origin, gateway }
    }

    fn public(&self) -> SocketAddr {
        self.gateway.listener("public")
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        get(self.public(), path, headers)
    }

    /// The path that the upstream got.
    fn sent(&self, path: &str) -> String {
        let answer = self.get(path, &[]);
        assert_eq!(answer.status, 302, "{path}: {}", answer.text());
        answer.json()["path"].as_str().unwrap().to_owned()
    }

    /// What becomes of a field of the answer. `UPSTREAM` and `PUBLIC` in it stand for the addresses.
    fn told(&self, path: &str, name: &str, value: &str, headers: &[(&str, &str)]) -> String {
        let [upstream, public] = [self.origin.address, self.public()].map(|at| at.to_string());
        let say = format!("say-{name}");
        let value = value.replace("UPSTREAM", &upstream);
        let headers = [headers, &[(say.as_str(), value.as_str())]].concat();
        let answer = self.get(path, &headers);
        let told = answer.header(name).unwrap().to_owned();
        told.replace(&upstream, "UPSTREAM")
            .replace(&public, "PUBLIC")
    }
}

#[test]
fn segments_go_from_the_beginning_of_a_path() {
    let bench = Bench::start(&[
        ("/a/**", "rewrite = { strip_segments = 1 }"),
        ("/b/**", "rewrite = { strip_segments = 2, prefix = '/v2' }"),
    ]);
    for (asked, sent) in [
        ("/a/b/c?d=/e", "/b/c?d=/e"),
        ("/a/b/", "/b/"),
        ("/a/", "/"),
        ("/a", "/"),
        ("/b/c/d", "/v2/d"),
        ("/b/c", "/v2"),
        ("/b?x", "/v2?x"),
    ] {
        assert_eq!(bench.sent(asked), sent, "{asked}");
    }
}

#[test]
fn a_location_of_the_upstream_is_the_one_that_leads_back_to_it() {
    let bench = Bench::start(&[
        (
            "/api/**",
            "rewrite = { strip_prefix = '/api', prefix = '/v2', location = 'public' }",
        ),
        (
            "/eu/**",
            "rewrite = { strip_segments = 2, location = 'public' }",
        ),
        (
            "/regex/**",
            "rewrite = { regex = '^/regex', to = '', location = 'public' }",
        ),
        ("/kept/**", "rewrite = { strip_prefix = '/kept' }"),
    ]);
    for (path, said, told) in [
        (
            "/api/x",
            "http://UPSTREAM/v2/y?q#f",
            "http://PUBLIC/api/y?q#f",
        ),
        ("/api/x", "/v2/y", "/api/y"),
        ("/api/x", "/v2", "/api"),
        ("/api/x", "/elsewhere", "/elsewhere"),
        ("/api/x", "../y", "../y"),
        (
            "/api/x",
            "https://other.example/v2/y",
            "https://other.example/v2/y",
        ),
        ("/eu/shop/cart", "/login", "/eu/shop/login"),
        ("/eu/shop/cart", "http://UPSTREAM", "http://PUBLIC/eu/shop/"),
        ("/regex/x", "http://UPSTREAM/y", "http://PUBLIC/y"),
        ("/regex/x", "/y", "/y"),
        ("/kept/x", "http://UPSTREAM/y", "http://UPSTREAM/y"),
        ("/kept/x", "/y", "/y"),
    ] {
        assert_eq!(
            bench.told(path, "location", said, &[]),
            told,
            "{path} {said}"
        );
        if path != "/kept/x" {
            let told_of_content = bench.told(path, "content-location", said, &[]);
            assert_eq!(told_of_content, told, "{path} {said}");
        }
    }
    // And it does lead back.
    let back = bench.told("/api/x", "location", "http://UPSTREAM/v2/y", &[]);
    let path = back.strip_prefix("http://PUBLIC").unwrap();
    assert_eq!(bench.sent(path), "/v2/y");
    let refresh = bench.told("/api/x", "refresh", "5; url='http://UPSTREAM/v2/y'", &[]);
    assert_eq!(refresh, "5; url='http://PUBLIC/api/y'");
}

#[test]
fn the_clients_scheme_and_the_host_that_was_sent_count() {
    let bench = Bench::start(&[
        (
            "/named/**",
            "rewrite = { host = 'app.internal', location = 'public' }",
        ),
        (
            "/same/**",
            "rewrite = { host = 'preserve', location = 'public' }",
        ),
    ]);
    let https = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    for (path, headers, said, told) in [
        (
            "/named/x",
            &[][..],
            "http://app.internal/y",
            "http://PUBLIC/y",
        ),
        (
            "/named/x",
            &https,
            "http://app.internal:80/y",
            "https://PUBLIC/y",
        ),
        ("/named/x", &https, "http://UPSTREAM/y", "https://PUBLIC/y"),
        (
            "/named/x",
            &[],
            "http://app.internal:8080/y",
            "http://app.internal:8080/y",
        ),
        // A server that wants TLS is not sent back to what it does not want.
        ("/same/x", &[], "https://PUBLIC/y", "https://PUBLIC/y"),
        ("/same/x", &https, "http://PUBLIC/y", "https://PUBLIC/y"),
    ] {
        let said = said.replace("PUBLIC", &bench.public().to_string());
        let made = bench.told(path, "location", &said, headers);
        assert_eq!(made, told, "{path} {said}");
    }
}

#[test]
fn an_open_redirect_is_not_made_of_a_path() {
    let bench = Bench::start(&[("/**", "rewrite = { prefix = '/v2', location = 'public' }")]);
    let told = bench.told("/x", "location", "/v2//evil.example/y", &[]);
    assert_eq!(told, "http://PUBLIC//evil.example/y");
}

#[test]
fn every_cookie_of_an_answer_is_the_gateways() {
    let bench = Bench::start(&[
        (
            "/shop/**",
            "rewrite = { cookies = { domain = 'example.com', path = '/shop', secure = true } }",
        ),
        ("/bare/**", "rewrite = { cookies = { domain = false } }"),
    ]);
    let cookies = |path: &str, said: &[&str]| {
        let said: Vec<_> = said
            .iter()
            .map(|value| ("say-set-cookie", *value))
            .collect();
        let answer = bench.get(path, &said);
        let told = answer.headers.into_iter();
        let told = told.filter(|(name, _)| name == "set-cookie");
        told.map(|(_, value)| value).collect::<Vec<_>>()
    };
    let said = [
        "a=1; Domain=app.internal; Path=/; HttpOnly",
        "b=2",
        "c=3; path=/x; secure",
    ];
    assert_eq!(
        cookies("/shop/x", &said),
        [
            "a=1; Domain=example.com; Path=/shop; HttpOnly; Secure",
            "b=2; Secure",
            "c=3; Path=/shop; secure",
        ]
    );
    assert_eq!(
        cookies("/bare/x", &said),
        ["a=1; Path=/; HttpOnly", said[1], said[2]]
    );
}

#[test]
fn an_escaped_slash_stays_in_its_segment_where_the_route_keeps_it() {
    let bench = Bench::with(
        &[
            ("/files/{name}", "encoded_slashes = 'keep'"),
            ("/exact/a%2Fb", "encoded_slashes = 'keep'"),
            ("/other/**", ""),
        ],
        |config| {
            let told = "encoded_slashes = 'keep'\nrespond = { body = '{\"id\":\"{id}\"}' }";
            config.route("told", "/told/{id}", told)
        },
    );
    for (asked, sent) in [
        ("/files/a%2Fb", "/files/a%2Fb"),
        ("/files/a%2fb%7E?q=%2f", "/files/a%2Fb~?q=%2f"),
        ("/files/x/%2e%2E/a%2Fb", "/files/a%2Fb"),
        ("/files/..a%2F...", "/files/..a%2F..."),
        ("/exact/a%2fb", "/exact/a%2Fb"),
    ] {
        assert_eq!(bench.sent(asked), sent, "{asked}");
    }
    let told = bench.get("/told/a%2Fb%20c", &[]).json();
    assert_eq!(told["id"], "a%2Fb c");
    for refused in [
        // A part that is `.`, `..` or empty.
        "/files/a%2F..",
        "/files/..%2Fadmin",
        "/files/%2e%2e%2Fadmin",
        "/files/a%2F.%2Fb",
        "/files/%2Fa",
        "/files/a%2F",
        "/files/a%2F%2Fb",
        "/files/a%2F..;x",
        "/files/a%2F..%3Bx",
        "/files/a%2F;x",
        // What is refused everywhere.
        "/files/a%5Cb",
        "/files/a%2F%5Cb",
        "/files/a%252Fb",
        "/files/a%2Fb%00",
        // A route that does not keep it, and none at all.
        "/other/a%2Fb",
        "/other%2Fa",
        "/none/a%2Fb",
    ] {
        let seen = bench.origin.seen().len();
        let answer = bench.get(refused, &[]);
        assert_eq!(answer.status, 400, "{refused}: {}", answer.text());
        assert_eq!(bench.origin.seen().len(), seen, "{refused}");
    }
    bench
        .gateway
        .wait_for_all(&["/other/a%2Fb", "\"error\":\"refused\""]);
    assert_eq!(bench.get("/files/a/b", &[]).status, 404);
}

#[test]
fn an_escaped_slash_begins_no_place_below() {
    let keep = "encoded_slashes = 'keep'";
    let strip = "encoded_slashes = 'keep'\nrewrite = { strip_prefix = '/s', prefix = '/t%2Fu' }";
    let segments = "encoded_slashes = 'keep'\nrewrite = { strip_segments = 1 }";
    let bench = Bench::start(&[
        ("/**", keep),
        ("/admin/**", "rewrite = { prefix = '/guarded' }"),
        ("/s/**", strip),
        ("/n/**", segments),
    ]);
    // One segment, which is not `/admin`.
    assert_eq!(bench.sent("/admin%2Fx"), "/admin%2Fx");
    assert_eq!(bench.sent("/admin/x"), "/guarded/admin/x");
    assert_eq!(bench.get("/admin/x%2Fy", &[]).status, 400);
    assert_eq!(bench.sent("/s/a%2Fb"), "/t%2Fu/a%2Fb");
    assert_eq!(bench.sent("/s%2Fa"), "/s%2Fa");
    assert_eq!(bench.sent("/n/a%2Fb/c"), "/a%2Fb/c");
}

#[test]
fn a_way_around_the_plugins_of_a_place_is_warned_of() {
    let origin = origin();
    let edits = "config = { request = { set_headers = { x-a = 'b' } } }";
    let config = |keep: &str| {
        Configuration::new()
            .upstream("app", origin.address)
            .plugin("edits", "transform", edits)
            .route("wide", "/**", &format!("upstream = 'app'\n{keep}"))
            .chain("admin", "/admin/**", &["edits"], "upstream = 'app'")
    };
    let around = "routes[0].encoded_slashes: this route takes `/admin%2F..`";
    let gateway = Gateway::start(&config("encoded_slashes = 'keep'"));
    gateway.wait_for_all(&["WARN", around, "the plugins of `admin`"]);
    let gateway = Gateway::start(&config(""));
    assert!(!gateway.text().contains("this route takes"));
}

#[test]
fn rules_and_plugins_are_judged_as_clients_are_on_the_same_route() {
    let keep = "encoded_slashes = 'keep'\nrewrite = { regex = '^/files-(.*)', to = '/data/$1' }";
    let bench = Bench::with(&[("/**", keep)], |config| {
        let edit = |name: &str, more: &str| {
            format!(
                r#"
[[routes]]
name = "{name}"
match = {{ path = "/{name}/**" }}
upstream = "app"
{more}
[[routes.plugins]]
name = "transform"
config = {{ request = {{ path = {{ regex = '^/{name}/x-(.*)', to = '/data/$1' }} }} }}
"#
            )
        };
        config
            .plugin("transform", "transform", "")
            .with(&edit("keeps", "encoded_slashes = 'keep'"))
            .with(&edit("plain", ""))
    });
    assert_eq!(bench.sent("/files-a%2Fb"), "/data/a%2Fb");
    assert_eq!(bench.get("/files-..%2Fb", &[]).status, 500);
    assert_eq!(bench.get("/files-%2Fb", &[]).status, 500);
    assert_eq!(bench.sent("/keeps/x-a%2Fb"), "/data/a%2Fb");
    assert_eq!(bench.get("/keeps/x-..%2Fb", &[]).status, 400);
    assert_eq!(bench.get("/plain/x-a%2Fb", &[]).status, 400);
    assert_eq!(bench.sent("/plain/x-a"), "/data/a");
}

#[test]
fn the_example_does_what_its_page_shows() {
    let origin = origin();
    let gateway = Gateway::example("rewriting", &[("SHOP", origin.address)]);
    let public = gateway.listener("public");
    let location = format!("http://{}/v2/login", origin.address);
    let said = [
        ("say-location", location.as_str()),
        ("say-set-cookie", "id=7; Domain=shop.internal; Path=/"),
    ];
    let answer = get(public, "/eu/shop/cart", &said);
    assert_eq!(answer.json()["path"], "/v2/cart");
    let location = format!("http://{public}/eu/shop/login");
    assert_eq!(answer.header("location"), Some(location.as_str()));
    let cookie = "id=7; Domain=example.com; Path=/eu/shop; Secure";
    assert_eq!(answer.header("set-cookie"), Some(cookie));
    gateway.wait_for("GET /eu/shop/cart 302 shop shop");
    let answer = get(public, "/files/2026%2F11.pdf", &[]);
    assert_eq!(answer.json()["path"], "/files/2026%2F11.pdf");
    assert_eq!(get(public, "/eu/shop/2026%2F11", &[]).status, 400);
    let body = vec![b'x'; 2 << 20];
    assert_eq!(send(public, "PUT", "/files/a", &[], &body).status, 302);
    assert_eq!(send(public, "PUT", "/eu/shop/a", &[], &body).status, 413);
    assert_eq!(get(public, "/healthz", &[]).status, 200);
    gateway.wait_for("PUT /eu/shop/a 413 shop shop");
    assert!(!gateway.text().contains("/healthz"), "{}", gateway.text());
}
