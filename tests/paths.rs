//! Paths that leave: what a rewrite, a plugin or a redirect makes of what a client asked for.

use std::net::SocketAddr;

use crate::harness::http::send;
use crate::harness::recorder::Recorder;
use crate::harness::{Answer, Configuration, Gateway, get, raw};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";

/// A gateway before an upstream that keeps every byte.
struct Bench {
    upstream: Recorder,
    gateway: Gateway,
}

impl Bench {
    /// `config` names the upstream `kept`.
    fn start(config: impl FnOnce(Configuration, SocketAddr) -> Configuration) -> Self {
        let upstream = Recorder::start();
        let base = Configuration::new()
            .access_log()
            .upstream("kept", upstream.address);
        let gateway = Gateway::start(&config(base, upstream.address));
        Self { upstream, gateway }
    }

    /// Routes to `kept`, each by its path and the lines of its rewrite.
    fn rewriting(routes: &[(&str, &str)]) -> Self {
        Self::start(|config, _| {
            let routes = routes.iter().enumerate();
            routes.fold(config, |config, (index, (path, rewrite))| {
                let lines = format!("upstream = 'kept'\nrewrite = {{ {rewrite} }}");
                config.route(&format!("route-{index}"), path, &lines)
            })
        })
    }

    /// What the upstream is asked for when a client asks for `target`.
    fn sent(&self, target: &str) -> String {
        self.passed("GET", target)
    }

    fn passed(&self, method: &str, target: &str) -> String {
        let (at, _) = self.upstream.counts();
        let public = self.gateway.listener("public");
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| send(public, method, target, &[], b""));
            self.upstream.head(at);
            self.upstream.send(at, OK);
            asked.join().unwrap();
        });
        let head = self.upstream.wait("a head", |wires| Some(wires[at].text()));
        let line = head.lines().next().unwrap_or_default();
        let target = line
            .strip_prefix(method)
            .and_then(|line| line.strip_suffix(" HTTP/1.1"));
        target.unwrap_or(line).trim_start().to_owned()
    }

    /// The answer to a request of which nothing goes upstream.
    fn kept_back(&self, target: &str) -> Answer {
        let before = self.upstream.counts();
        let answer = get(self.gateway.listener("public"), target, &[]);
        assert_eq!(self.upstream.counts().0, before.0, "{target} went upstream");
        answer
    }
}

#[test]
fn what_a_rewrite_makes_of_dots_is_500_and_never_leaves() {
    let bench = Bench::rewriting(&[
        ("/**", "regex = '^/files-(.*)', to = '/data/$1'"),
        ("/cut/**", "regex = '^/cut/', to = '/'"),
        ("/pair/**", "regex = '^/pair/(.*)-(.*)$', to = '/x/$1$2'"),
    ]);
    for target in [
        "/files-../secret",
        "/files-%2e%2E/secret",
        "/files-.",
        "/files-..;x=1/secret",
        "/files-..%3Bx/secret",
        "/files-/secret",
        "/pair/.-.",
        "/pair/a/.-",
        "/pair/%25-2e",
        "/pair/a/-/b",
    ] {
        let answer = bench.kept_back(target);
        assert!(
            matches!(answer.status, 400 | 500),
            "{target}: {}",
            answer.status
        );
    }
    assert_eq!(bench.kept_back("/files-../secret").status, 500);
    assert_eq!(bench.sent("/files-a/../b?c"), "/b?c");
    assert_eq!(bench.sent("/files-a..b/.c"), "/data/a..b/.c");
    assert_eq!(bench.sent("/cut/a/b"), "/a/b");
}

#[test]
fn the_log_names_route_rule_and_reason_of_a_path_that_does_not_leave() {
    let bench = Bench::rewriting(&[("/**", "regex = '^/files-(.*)', to = '/data/$1'")]);
    let answer = bench.kept_back("/files-../secret?q=1");
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("data"), "{}", answer.text());
    bench.gateway.wait_for_all(&[
        "WARN",
        "route-0",
        "bad_rewrite",
        r#""^/files-(.*)" to "/data/$1""#,
        r#""/data/../secret""#,
        "a segment `.` or `..`",
    ]);
    bench.gateway.wait_for(r#""error":"bad_rewrite""#);
    let counted = r#"gateway_errors_total{kind="bad_rewrite"}"#;
    assert_eq!(bench.gateway.metric(counted), 1.0);
}

#[test]
fn clients_fill_no_log_with_paths_that_do_not_leave() {
    let bench = Bench::rewriting(&[("/**", "regex = '^/files-(.*)', to = '/data/$1'")]);
    let target = format!("/files-../{}", "x".repeat(6_000));
    for _ in 0..50 {
        assert_eq!(bench.kept_back(&target).status, 500);
    }
    // A line is written by a thread of its own.
    bench.gateway.wait_for("the rewrite of");
    let text = bench.gateway.text();
    let lines = text.lines().filter(|line| line.contains("the rewrite of"));
    let lines: Vec<_> = lines.collect();
    // Ten in a second.
    assert!((1..50).contains(&lines.len()), "{}", lines.len());
    assert!(lines.iter().all(|line| line.len() < 1_000), "{lines:?}");
}

#[test]
fn an_empty_path_is_a_slash_and_one_without_a_slash_does_not_leave() {
    let bench = Bench::rewriting(&[
        ("/**", "regex = '^/api', to = ''"),
        ("/strip/**", "strip_prefix = '/strip'"),
        ("/under/**", "strip_prefix = '/under', prefix = '/v2'"),
    ]);
    assert_eq!(bench.sent("/api"), "/");
    assert_eq!(bench.sent("/api?x=1"), "/?x=1");
    assert_eq!(bench.sent("/api/x"), "/x");
    assert_eq!(bench.kept_back("/apis").status, 500);
    assert_eq!(bench.sent("/strip"), "/");
    assert_eq!(bench.sent("/strip/?y"), "/?y");
    assert_eq!(bench.sent("/under"), "/v2");
    assert_eq!(bench.sent("/under/x"), "/v2/x");
}

#[test]
fn escapes_and_query_leave_byte_for_byte() {
    let bench = Bench::rewriting(&[
        ("/a/{id}/**", "regex = '^/a/([^/]*)', to = '/b/$1/c'"),
        ("/s/**", "strip_prefix = '/s', prefix = '/t'"),
    ]);
    let query = r"?x=..%2f%2F%e9//\&&y=%zz;'+";
    for path in ["caf%E9", "%C3%A9", "100%25", "a%20b", "%3Fx%23y"] {
        let target = format!("/a/{path}/d{query}");
        assert_eq!(bench.sent(&target), format!("/b/{path}/c/d{query}"));
        let target = format!("/s/{path}{query}");
        assert_eq!(bench.sent(&target), format!("/t/{path}{query}"));
    }
}

#[test]
fn a_parameter_is_decoded_as_far_as_nothing_is_lost() {
    let bench = Bench::start(|config, _| {
        config.route("id", "/id/{id}", "respond = { body = '{\"id\":\"{id}\"}' }")
    });
    for (segment, id) in [
        ("caf%E9", "caf%E9"),
        ("%e9%20x", "%E9 x"),
        ("caf%C3%A9", "caf\u{e9}"),
        ("100%25", "100%25"),
        ("a%0D%0Ab", "a%0D%0Ab"),
    ] {
        let answer = bench.kept_back(&format!("/id/{segment}"));
        assert_eq!(answer.json()["id"], id, "{segment}");
    }
}

#[test]
fn a_request_for_no_path_stays_one() {
    let bench = Bench::rewriting(&[("/**", "prefix = '/v2'")]);
    assert_eq!(bench.passed("OPTIONS", "*"), "*");
    let bench = Bench::rewriting(&[("/**", "regex = '^.*$', to = '/v2'")]);
    assert_eq!(bench.passed("OPTIONS", "*"), "*");
}

#[test]
fn a_path_that_a_plugin_sets_is_judged_by_the_same_rule() {
    let bench = Bench::start(|config, _| {
        let edit = r#"
[[routes]]
name = "edited"
match = { path = "/**" }
upstream = "kept"
[[routes.plugins]]
name = "transform"
config = { request = { path = { regex = '^/files-(.*)', to = '/data/$1' } } }
"#;
        config.plugin("transform", "transform", "").with(edit)
    });
    for target in [
        "/files-../secret",
        "/files-/secret",
        "/files-;x/secret",
        "/files-..%3Bx/secret",
    ] {
        assert_eq!(bench.kept_back(target).status, 400, "{target}");
    }
    bench
        .gateway
        .wait_for_all(&["transform", "edited", "an empty segment"]);
    assert_eq!(bench.sent("/files-caf%E9?x=//"), "/data/caf%E9?x=//");
}

#[test]
fn what_fills_the_path_of_a_sub_request_stays_in_its_segment() {
    let bench = Bench::start(|config, _| {
        let parts = r#"
[[routes]]
name = "parts"
match = { path = "/parts" }
[[routes.plugins]]
name = "aggregate"
config = { parts = [{ name = "one", upstream = "kept", path = "/users/{query.q}/public?q={query.q}" }] }
"#;
        let grants = r#"grants = { upstreams = ["kept"] }"#;
        config.plugin("aggregate", "aggregate", grants).with(parts)
    });
    for value in [
        "..",
        "%2e%2e",
        "%252e%252e",
        "%25252e%25252e",
        "a%2F%2E%2E%2Fb",
        "a%252F..%252Fb",
        "a%2F%2Fb",
        "a%2F",
        "..%5Cadmin",
        "..%3Bx",
        "..%253Bx",
        "a%00b",
        "a%2500b",
    ] {
        let answer = bench.kept_back(&format!("/parts?q={value}"));
        assert_eq!(answer.status, 502, "{value}");
    }
    for (value, segment) in [
        ("7", "7"),
        ("a/b", "a%2Fb"),
        ("a%3Fb%23c%26d", "a%3Fb%23c%26d"),
        ("100%2525", "100%2525"),
    ] {
        let asked = bench.sent(&format!("/parts?q={value}"));
        assert_eq!(asked, format!("/users/{segment}/public?q={segment}"));
    }
}

fn redirecting(to: &str) -> Bench {
    Bench::start(|config, _| {
        let to = format!("redirect = {{ to = '{to}', status = 302 }}\npath_parameters = 'keep'");
        config.route("moved", "/**", &to)
    })
}

#[test]
fn a_redirect_never_leads_to_another_host() {
    let bench = redirecting("{path}/x");
    let sound = bench.kept_back("/a");
    assert_eq!(sound.header("location"), Some("/a/x"));
    // `//x` is a host.
    let host = bench.kept_back("/");
    assert_eq!((host.status, host.header("location")), (500, None));
    bench
        .gateway
        .wait_for_all(&["WARN", "moved", "bad_rewrite", r#""{path}/x""#, r#""//x""#]);
    let bench = redirecting("https://{host}/x");
    let public = bench.gateway.listener("public");
    let nameless = raw(public, b"GET /a HTTP/1.0\r\n\r\n");
    assert_eq!((nameless.status, nameless.header("location")), (400, None));
}

#[test]
fn what_fills_a_value_of_a_redirect_stays_in_it() {
    let bench = redirecting("https://login.example/?next={path}&host={host}&{query}#{path}");
    let public = bench.gateway.listener("public");
    let answer = bench.kept_back("/a&b=c;d+e/caf%E9?x=%2f//&y");
    let location = format!(
        "https://login.example/?next=/a%26b%3Dc%3Bd%2Be/caf%E9&host={public}&x=%2f//&y#/a%26b%3Dc%3Bd%2Be/caf%E9"
    );
    assert_eq!(answer.header("location"), Some(location.as_str()));
}

#[test]
fn a_redirect_of_a_request_for_no_path_leads_to_the_root() {
    let bench = redirecting("https://{host}{path}");
    let public = bench.gateway.listener("public");
    let asterisk = send(public, "OPTIONS", "*", &[], b"");
    let location = format!("https://{public}/");
    assert_eq!(asterisk.header("location"), Some(location.as_str()));
}

#[test]
fn a_redirect_without_a_query_has_no_question_mark_of_one() {
    for (to, with, without) in [
        ("/x{path}{?query}", "/x/a?b=1&&c", "/x/a"),
        ("/x{path}?{query}", "/x/a?b=1&&c", "/x/a"),
        ("/x{path}?x=1&{query}", "/x/a?x=1&b=1&&c", "/x/a?x=1"),
        ("/x{path}?{query}&x=1#y", "/x/a?b=1&&c&x=1#y", "/x/a?x=1#y"),
        ("/x{path}?q={query}", "/x/a?q=b=1&&c", "/x/a?q="),
    ] {
        let bench = redirecting(to);
        let location = |target: &str| {
            let answer = bench.kept_back(target);
            answer.header("location").map(str::to_owned)
        };
        assert_eq!(location("/a?b=1&&c").as_deref(), Some(with), "{to}");
        assert_eq!(location("/a").as_deref(), Some(without), "{to}");
        assert_eq!(location("/a?").as_deref(), Some(without), "{to}");
    }
}

#[test]
fn a_redirect_may_name_another_port_of_the_same_host() {
    let bench = redirecting("https://{hostname}:8443{path}{?query}");
    let public = bench.gateway.listener("public");
    for (host, name) in [
        ("a.example:8080", "a.example"),
        ("a.example", "a.example"),
        ("[2001:db8::1]:8080", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
    ] {
        let request =
            format!("GET /x?{{host}} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = raw(public, request.as_bytes());
        let location = format!("https://{name}:8443/x?{{host}}");
        assert_eq!(answer.header("location"), Some(location.as_str()));
    }
}

#[test]
fn a_query_in_which_a_plugin_finds_nothing_to_edit_leaves_as_it_came() {
    let edits = "config = { request = { remove_query = ['x'], rename_query = { y = 'z' }, set_query = { n = '{query.n}' } } }";
    let bench = Bench::start(|config, _| {
        config.plugin("edits", "transform", edits).chain(
            "edited",
            "/**",
            &["edits"],
            "upstream = 'kept'",
        )
    });
    for target in ["/p?a=b+c&d=%7E&&e", "/p?&&", "/p?", "/p?=&%zz=%ff&%78x"] {
        assert_eq!(bench.sent(target), target);
    }
    assert_eq!(bench.sent("/p?a=b+c&x=1&&%78&e"), "/p?a=b+c&&e");
}

#[test]
fn a_named_group_is_written_the_same_in_a_rewrite_and_in_a_plugin() {
    let edits =
        "config = { request = { path = { regex = '^/a/(?<rest>.*)', to = '/b/${rest}x' } } }";
    let bench = Bench::start(|config, _| {
        let rewrite =
            "upstream = 'kept'\nrewrite = { regex = '^/c/(?<rest>.*)', to = '/d/${rest}x' }";
        config
            .plugin("edits", "transform", edits)
            .chain("edited", "/a/**", &["edits"], "upstream = 'kept'")
            .route("rewritten", "/c/**", rewrite)
    });
    assert_eq!(bench.sent("/a/1?q"), "/b/1x?q");
    assert_eq!(bench.sent("/c/1?q"), "/d/1x?q");
}
