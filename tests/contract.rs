//! What the contract promises: edits of a phase that fails are not made, what a configuration needs is compared with
//! the grants before it serves, and a read that is denied is told.

use std::process::Command;

use crate::harness::gateway::cache;
use crate::harness::http::send;
use crate::harness::{Configuration, Gateway, Origin, get};

const HOLDS: &str =
    "config = { phases = ['request', 'request-body', 'response', 'response-body'] }";

fn posted(gateway: &Gateway, path: &str) -> crate::harness::Answer {
    let fields = [("x-probe", "mine"), ("x-kept", "yes")];
    send(gateway.listener("public"), "POST", path, &fields, b"whole")
}

#[test]
fn nothing_of_a_failed_request_phase_stays_where_the_plugin_may_be_skipped() {
    let origin = Origin::start();
    let config = Configuration::new().access_log();
    let open = format!("on_error = 'open'\n{HOLDS}");
    let gateway = Gateway::start(&config.probed(origin.address, &open));
    let answer = posted(&gateway, "/probe/half");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-half"), None);
    let seen = origin.seen().remove(0).to_ascii_lowercase();
    assert!(seen.starts_with("post /probe/half http/1.1"), "{seen}");
    assert!(!seen.contains("left"), "{seen}");
    assert!(
        seen.contains("x-kept: yes") && seen.ends_with("whole"),
        "{seen}"
    );
    let line = gateway.wait_for("\"path\":\"/probe/half\"");
    assert!(!line.contains("left"), "{line}");
}

#[test]
fn nothing_of_a_failed_response_phase_stays_where_the_plugin_may_be_skipped() {
    let origin = Origin::start();
    let open = format!("on_error = 'open'\n{HOLDS}");
    let gateway = Gateway::start(&Configuration::new().probed(origin.address, &open));
    let answer = posted(&gateway, "/probe/response/half");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-half"), None);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()["body"], 5);
}

#[test]
fn nothing_that_a_failed_phase_left_for_the_response_is_in_the_error() {
    let origin = Origin::start();
    let gateway = Gateway::start(&Configuration::new().probed(origin.address, HOLDS));
    for path in ["/probe/half", "/probe/response/half"] {
        let answer = posted(&gateway, path);
        assert_eq!(answer.status, 500, "{path}: {}", answer.text());
        assert_eq!(answer.header("x-half"), None, "{path}");
        assert!(!answer.text().contains("left"), "{path}");
    }
}

#[test]
fn a_denied_read_is_counted_each_time_and_logged_once_for_each_field() {
    let origin = Origin::start();
    let grants = "
[plugins.probe.grants]
upstreams = ['echo']
secrets = ['token']
state = true
request_headers = { read = ['x-user-*'] }
";
    let config = Configuration::new()
        .secret("token", "s3cret")
        .plugin("probe", "guest_probe", grants)
        .upstream("echo", origin.address)
        .chain("probed", "/probe/**", &["probe"], "upstream = 'echo'");
    let gateway = Gateway::start(&config);
    for _ in 0..3 {
        let answer = get(
            gateway.listener("public"),
            "/probe/request-header",
            &[("x-probe", "1")],
        );
        assert_eq!(answer.json()["saw"], serde_json::Value::Null);
    }
    let denied = "gateway_plugin_denied_total{plugin=\"probe\",kind=\"request_field_read\"}";
    assert_eq!(
        gateway.metric(denied) as u64,
        3,
        "{}",
        get(gateway.admin(), "/metrics", &[]).text()
    );
    gateway.wait_for_all(&[
        "denied: it reads the request field \"x-probe\" and sees none",
        "add \"x-probe\" to `plugins.probe.grants.request_headers.read`",
    ]);
    assert_eq!(
        gateway.text().matches("it reads the request field").count(),
        1
    );
}

/// What `gateway check` says of a configuration, and its exit code.
fn check(config: &Configuration) -> (String, Option<i32>) {
    let directory = tempfile::tempdir().unwrap();
    let file = crate::harness::config::write(config, directory.path());
    let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["check", "--config"])
        .arg(&file)
        .env("XDG_CACHE_HOME", cache())
        .output()
        .unwrap();
    (
        String::from_utf8(output.stderr).unwrap(),
        output.status.code(),
    )
}

fn with(plugin: &str, table: &str) -> Configuration {
    Configuration::new()
        .secret("key", "s3cret")
        .plugin("p", plugin, table)
        .upstream("users", "127.0.0.1:9".parse().unwrap())
        .upstream("prices", "127.0.0.1:9".parse().unwrap())
        .chain("r", "/r", &["p"], "upstream = 'users'")
}

#[test]
fn what_a_configuration_needs_and_is_not_granted_is_a_fault_with_the_grant_to_add() {
    let cases = [
        (
            "aggregate",
            "grants = { upstreams = ['users'] }\nconfig = { parts = [{ name = 'a', upstream = 'users', path = '/' }, { name = 'b', upstream = 'prices', path = '/' }] }",
            "sends requests to the upstream \"prices\", which is not granted; add \"prices\" to `plugins.p.grants.upstreams`",
        ),
        (
            "aggregate",
            "grants = { upstreams = ['users'], request_headers = { read = ['accept'] } }\nconfig = { parts = [{ name = 'a', upstream = 'users', path = '/{header.x-tenant}' }] }",
            "reads the request field \"x-tenant\", which is not granted; add \"x-tenant\" to `plugins.p.grants.request_headers.read`",
        ),
        (
            "rate_limit",
            "grants = { request_headers = { read = [] } }\nconfig = { limit = 1, window = '1s', key = ['header:x-tenant'] }",
            "reads the request field \"x-tenant\", which is not granted",
        ),
        (
            "rate_limit",
            "grants = { response_headers = { write = ['x-a'] } }\nconfig = { limit = 1, window = '1s' }",
            "writes the response field \"ratelimit\", which is not granted; add \"ratelimit\" to `plugins.p.grants.response_headers.write`",
        ),
        (
            "transform",
            "grants = { request_headers = { write = ['x-user-*'] } }\nconfig = { request = { set_headers = { x-tenant = 'a' } } }",
            "writes the request field \"x-tenant\", which is not granted",
        ),
        (
            "auth",
            "grants = { request_headers = { read = ['x-other'] } }\nconfig = { schemes = ['api_key'], api_key = { keys = [{ key = 'k', subject = 's' }] } }",
            "reads the request field \"x-api-key\", which is not granted",
        ),
    ];
    for (plugin, table, words) in cases {
        let (said, code) = check(&with(plugin, table));
        assert!(said.contains(words), "{plugin}: {said}");
        assert!(said.contains("gateway.toml:"), "{plugin}: {said}");
        assert_eq!(code, Some(78), "{plugin}: {said}");
    }
}

#[test]
fn names_that_only_a_request_tells_are_a_warning_where_not_all_are_granted() {
    let grants = "grants = { upstreams = ['users'], secrets = ['key'], state = true, request_headers = { read = ['x-a'] } }";
    let (said, code) = check(&with(
        "guest_probe",
        &format!("{grants}\nconfig = {{ reads = ['*'] }}"),
    ));
    assert!(said.starts_with("warning: "), "{said}");
    assert!(
        said.contains("reads the request fields whose names come from requests"),
        "{said}"
    );
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_plugin_knows_how_long_it_has() {
    let origin = Origin::start();
    let config = Configuration::new()
        .probe(origin.address, "timeout = '1s'")
        .chain(
            "long",
            "/probe/**",
            &["probe"],
            "upstream = 'echo'\ntimeout = '20s'",
        );
    let gateway = Gateway::start(&config);
    let saw = |path: &str| {
        get(gateway.listener("public"), path, &[]).json()["saw"]
            .as_u64()
            .unwrap()
    };
    let (exchange, call) = (saw("/probe/remaining-ms"), saw("/probe/call-remaining-ms"));
    assert!((10_000..=20_000).contains(&exchange), "{exchange}");
    assert!(call <= 1_000 && call > 100, "{call}");
}
