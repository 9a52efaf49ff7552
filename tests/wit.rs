//! Every function of the WIT, called from a guest in the real host.

mod effects;

use serde_json::Value;

use crate::harness::http::send;
use crate::harness::{Answer, Gateway, Origin, get};

/// The functions that the WIT declares in its imported interfaces.
fn functions() -> Vec<String> {
    let wit = include_str!("../wit/plugin.wit");
    let mut interface = String::new();
    let mut found = Vec::new();
    for line in wit.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("interface ") {
            interface = rest.trim_end_matches(" {").to_owned();
        }
        if let Some((name, _)) = line.split_once(": func(")
            && !line.starts_with("///")
            && [
                "edits",
                "exchange",
                "upstream",
                "state",
                "limiter",
                "telemetry",
                "secrets",
            ]
            .contains(&interface.as_str())
        {
            found.push(match interface.as_str() {
                "exchange" => name.to_owned(),
                "secrets" => "secret".to_owned(),
                interface => format!("{interface}-{name}"),
            });
        }
    }
    found
}

fn ask(gateway: &Gateway, path: &str) -> Answer {
    get(
        gateway.listener("public"),
        path,
        &[("x-probe", "1"), ("cookie", "a=b")],
    )
}

#[test]
fn every_function_of_the_wit_answers_a_guest() {
    let origin = Origin::start();
    let gateway = Gateway::probe(&origin, "");
    let functions = functions();
    assert!(functions.len() > 40, "{functions:?}");
    for function in functions {
        let short = function
            .split_once('-')
            .map_or("-", |(_, name)| name)
            .to_owned();
        let paths = [function.clone(), short, format!("response/{function}")];
        let mut answers = paths
            .iter()
            .map(|path| ask(&gateway, &format!("/probe/{path}?q=1")));
        // 418 is what the probe sets where it sets a status.
        let served = answers.any(|answer| matches!(answer.status, 200 | 418));
        assert!(served, "no answer for {function}:\n{}", gateway.text());
    }
}

#[test]
fn chunks_of_both_bodies_pass_through_the_guest_and_completion_is_told() {
    let origin = Origin::start();
    let gateway = Gateway::probe(
        &origin,
        r#"config = { phases = ["request", "request-stream", "response-stream", "complete"] }"#,
    );
    let answer = send(
        gateway.listener("public"),
        "POST",
        "/probe/next",
        &[],
        b"some bytes",
    );
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.text());
    assert!(answer.text().ends_with("<last>"), "{}", answer.text());
    assert!(answer.text().contains("\"PATH\""), "{}", answer.text());
    let seen = origin.seen().remove(0);
    assert!(seen.ends_with("SOME BYTES<last>"), "{seen}");
    gateway.wait_for("probe completed");
}

#[test]
fn a_held_body_is_read_and_replaced() {
    let origin = Origin::start();
    let gateway = Gateway::probe(
        &origin,
        r#"config = { phases = ["request", "request-body", "response", "response-body"] }"#,
    );
    let public = gateway.listener("public");
    let answer = send(public, "POST", "/probe/request-body", &[], b"some bytes");
    assert!(answer.text().contains("some bytes"), "{}", answer.text());
    let answer = send(
        public,
        "POST",
        "/probe/set-request-body",
        &[],
        b"some bytes",
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = origin.seen().remove(0);
    assert!(seen.ends_with("replaced by the probe"), "{seen}");
    let answer = get(public, "/probe/response/set-response-body", &[]);
    assert_eq!(answer.text(), "replaced by the probe");
}

#[test]
fn a_panic_reaches_the_log_with_its_message_and_place() {
    let origin = Origin::start();
    let gateway = Gateway::probe(&origin, "");
    let answer = ask(&gateway, "/probe/panic");
    assert_eq!(answer.status, 500, "{}", answer.text());
    let problem: Value = answer.json();
    assert_eq!(problem["status"], 500);
    gateway.wait_for("probe/src/lib.rs:");
    assert!(origin.seen().is_empty(), "a failed plugin was bypassed");
    // The instance was thrown away; the next request has a new one.
    assert_eq!(ask(&gateway, "/probe/route").status, 200);
}

#[test]
fn a_plugins_own_failure_is_500_and_its_instance_lives_on() {
    let origin = Origin::start();
    let gateway = Gateway::probe(&origin, "");
    assert_eq!(ask(&gateway, "/probe/fail").status, 500);
    assert_eq!(
        send(gateway.listener("public"), "GET", "/probe/route", &[], b"").status,
        200
    );
    assert!(
        gateway.metric(
            "gateway_plugin_failures_total{plugin=\"probe\",route=\"probed\",kind=\"refused\"}"
        ) >= 1.0
    );
}
