//! Plugins that misbehave: each is ended inside its budget, and only its own exchange notices.

use std::time::{Duration, Instant};

use crate::harness::{Gateway, Origin, get};

/// What a plugin may take of the processor and of the clock.
const CPU: Duration = Duration::from_millis(10);
const TIMEOUT: Duration = Duration::from_millis(300);

fn gateway(origin: &Origin, act: &str, on_error: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
[server]
workers = 1
access_log = {{ format = "off" }}
[admin]
address = "127.0.0.1:0"
[[listeners]]
name = "public"
address = "127.0.0.1:0"
[plugins.hostile]
path = "{{plugins}}/guest_hostile.wasm"
cpu = "10ms"
timeout = "300ms"
on_error = "{on_error}"
grants = {{ upstreams = ["origin"] }}
config = {{ act = "{act}" }}
[upstreams.origin]
endpoints = ["{0}"]
[upstreams.secret]
endpoints = ["{0}"]
[[routes]]
name = "hostile"
match = {{ path = "/hostile" }}
plugins = ["hostile"]
upstream = "origin"
[[routes]]
name = "neighbour"
match = {{ path = "/neighbour" }}
upstream = "origin"
"#,
        origin.address
    ))
}

/// The acts that end in a failure, and its kinds.
const FAILING: [&str; 8] = [
    "loop",
    "loop-calling",
    "million-calls",
    "memory",
    "recursion",
    "panic",
    "panic-in-response",
    "sleep",
];

#[test]
fn a_plugin_that_misbehaves_is_ended_in_time_and_the_client_gets_500() {
    let origin = Origin::start();
    for act in FAILING {
        let gateway = gateway(&origin, act, "closed");
        let public = gateway.listener("public");
        for _ in 0..3 {
            let began = Instant::now();
            let answer = get(public, "/hostile", &[]);
            let took = began.elapsed();
            assert_eq!(
                answer.status,
                500,
                "{act}: {}\n{}",
                answer.text(),
                gateway.text()
            );
            // The machine is shared by every test: the bound is the budget and generous ticks.
            let budget = if act == "sleep" { TIMEOUT } else { CPU } + Duration::from_millis(150);
            assert!(took < budget, "{act} took {took:?}");
            assert_eq!(get(public, "/neighbour", &[]).status, 200, "{act}");
        }
        let line = gateway.wait_for("plugin failed");
        assert!(
            line.contains("hostile") && line.contains("route="),
            "{line}"
        );
        assert!(
            gateway
                .find(|line| line.contains("panicked at gateway/"))
                .is_none(),
            "{}",
            gateway.text()
        );
    }
}

#[test]
fn with_on_error_open_the_plugin_is_skipped() {
    let origin = Origin::start();
    for act in ["loop", "panic", "panic-in-response", "sleep"] {
        let gateway = gateway(&origin, act, "open");
        let answer = get(gateway.listener("public"), "/hostile", &[]);
        assert_eq!(answer.status, 200, "{act}: {}", answer.text());
        assert_eq!(answer.json()["path"], "/hostile");
    }
}

#[test]
fn a_neighbour_is_served_while_a_plugin_loops() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "loop", "closed");
    let public = gateway.listener("public");
    std::thread::scope(|scope| {
        let loops = scope.spawn(|| {
            for _ in 0..20 {
                assert_eq!(get(public, "/hostile", &[]).status, 500);
            }
        });
        while !loops.is_finished() {
            assert_eq!(get(public, "/neighbour", &[]).status, 200);
        }
    });
}

#[test]
fn what_is_not_granted_or_not_a_plugins_to_set_is_denied() {
    let origin = Origin::start();
    let headers = gateway(&origin, "bad-headers", "closed");
    let answer = get(headers.listener("public"), "/hostile", &[]);
    assert_eq!(answer.text(), "made: []", "{:?}", answer.headers);
    let denied = gateway(&origin, "denied-upstream", "closed");
    let answer = get(denied.listener("public"), "/hostile", &[]);
    assert!(
        answer.text().to_lowercase().contains("denied"),
        "{}",
        answer.text()
    );
    assert!(origin.seen().is_empty(), "{:?}", origin.seen());
}

#[test]
fn a_flood_of_log_lines_is_bounded() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "log-flood", "closed");
    let _answer = get(gateway.listener("public"), "/hostile", &[]);
    let lines = gateway
        .text()
        .lines()
        .filter(|line| line.contains("flood flood"))
        .count();
    assert!((1..=100).contains(&lines), "{lines} lines");
}

#[test]
fn a_panic_when_all_is_over_does_not_reach_the_client() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "panic-in-complete", "closed");
    assert_eq!(get(gateway.listener("public"), "/hostile", &[]).status, 200);
    gateway.wait_for("plugin failed");
    assert_eq!(get(gateway.listener("public"), "/hostile", &[]).status, 200);
}

#[test]
fn memory_is_flat_over_a_thousand_failures() {
    let origin = Origin::start();
    for act in ["memory", "recursion", "panic", "huge-answer"] {
        let gateway = gateway(&origin, act, "closed");
        let public = gateway.listener("public");
        let rounds = |count: usize| {
            for _ in 0..count {
                let _answer = get(public, "/hostile", &[]);
            }
            gateway.resident()
        };
        let early = rounds(200);
        let late = rounds(800);
        assert!(
            late <= early + early / 10 + (8 << 20),
            "{act}: {early} bytes after 200 rounds, {late} after 1,000"
        );
    }
}
