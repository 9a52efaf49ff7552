//! When a condition is decided, and for what.

use super::{PHASES, calls, is_marked, marks, probes, through};
use crate::harness::http::send;
use crate::harness::{Configuration, Gateway, Origin, get};

const ALL: &str = "'request', 'response', 'request-stream', 'response-stream', 'complete'";

#[test]
fn it_sees_the_request_as_the_plugins_before_left_it() {
    let origin = Origin::start();
    let edits = "{ name = 'mark', config = { request = { set_headers = { x-tier = 'gold' }, remove_headers = ['x-gone'], \
                 set_query = { q = '1' } } } }";
    let when = |asks: &str| marks(&format!("{{ {asks} }}"));
    for (links, holds) in [
        (vec![edits, &when("headers = { x-tier = 'gold' }")], true),
        (vec![&*when("headers = { x-tier = 'gold' }"), edits], false),
        (vec![edits, &when("headers = { x-tier = 'lead' }")], false),
        (vec![&*when("headers = { x-tier = 'lead' }"), edits], true),
        (
            vec![edits, &when("headers = { x-gone = { present = true } }")],
            false,
        ),
        (vec![edits, &when("query = { q = '1' }")], true),
        (vec![&*when("query = { q = '1' }"), edits], false),
    ] {
        let config = Configuration::new()
            .plugin("mark", "transform", "")
            .upstream("echo", origin.address);
        let gateway = Gateway::start(&through(config, &links.join(", ")));
        let fields = [("x-tier", "lead"), ("x-gone", "1")];
        let answer = get(gateway.listener("public"), "/", &fields);
        assert_eq!(is_marked(&answer), holds, "{links:?}");
    }
}

/// The probe makes a PUT of the POST in its own request phase; that changes nothing for its other phases, nor for those
/// of the plugin that was decided before it.
#[test]
fn one_decision_holds_for_all_phases_whatever_becomes_of_the_request() {
    let origin = Origin::start();
    let config = probes(
        Configuration::new(),
        &origin,
        &[("early", ALL), ("posts", ALL), ("puts", ALL)],
    );
    let links = "{ name = 'early', when = { methods = ['PUT'] } }, { name = 'posts', when = { methods = ['POST'] } }, \
                 { name = 'puts', when = { methods = ['PUT'] } }";
    let gateway = Gateway::start(&through(config, links));
    let public = gateway.listener("public");
    let answer = send(public, "POST", "/probe/set-method", &[], b"body");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(origin.seen()[0].starts_with("PUT /probe/set-method "));
    assert!(origin.seen()[0].ends_with("body<posts><puts>"));
    assert!(
        answer.text().ends_with("<puts><posts>"),
        "{}",
        answer.text()
    );
    gateway.wait_for("probe completed");
    for (plugin, turns) in [("early", false), ("posts", true), ("puts", true)] {
        for phase in PHASES {
            // The end of an exchange is told to one after the other.
            let began = std::time::Instant::now();
            while turns && calls(&gateway, plugin, phase) == 0.0 {
                assert!(began.elapsed().as_secs() < 20, "{plugin} {phase}");
            }
            assert!(
                turns || calls(&gateway, plugin, phase) == 0.0,
                "{plugin} {phase}"
            );
        }
    }
}

#[test]
fn attributes_that_a_plugin_left_decide_for_those_behind_it() {
    let origin = Origin::start();
    let when = marks("{ attributes = { 'probe.left' = 'set' } }");
    let otherwise = marks("{ not = { attributes = { 'probe.left' = 'set' } } }");
    for (link, path, holds) in [
        (&when, "/probe/set-attribute", true),
        (&when, "/probe/next", false),
        (&otherwise, "/probe/set-attribute", false),
        (&otherwise, "/probe/next", true),
    ] {
        let config = probes(Configuration::new(), &origin, &[("probe", "'request'")]).plugin(
            "mark",
            "transform",
            "",
        );
        let gateway = Gateway::start(&through(config, &format!("'probe', {link}")));
        let answer = get(gateway.listener("public"), path, &[]);
        assert_eq!(is_marked(&answer), holds, "{link} {path}");
    }
}

#[test]
fn behind_a_plugin_that_answers_a_condition_decides_for_the_end_of_the_exchange_alone() {
    let origin = Origin::start();
    let counted = |gateway: &Gateway| {
        let ended = |plugin: &str| calls(gateway, plugin, "complete");
        (ended("first"), ended("holds"), ended("not"))
    };
    let config = probes(
        Configuration::new(),
        &origin,
        &[
            ("first", "'request', 'complete'"),
            ("holds", "'request', 'response', 'complete'"),
            ("not", "'request', 'response', 'complete'"),
        ],
    );
    let links = "'first', { name = 'holds', when = { headers = { x-a = '1' } } }, \
                 { name = 'not', when = { headers = { x-a = '2' } } }";
    let gateway = Gateway::start(&through(config, links));
    // The first plugin answers this one.
    let answer = get(gateway.listener("public"), "/probe/method", &[("x-a", "1")]);
    assert_eq!(answer.json()["saw"], "GET");
    let began = std::time::Instant::now();
    while counted(&gateway) != (1.0, 1.0, 0.0) {
        assert!(began.elapsed().as_secs() < 20, "{:?}", counted(&gateway));
    }
    for plugin in ["holds", "not"] {
        for phase in ["request", "response"] {
            assert_eq!(calls(&gateway, plugin, phase), 0.0, "{plugin} {phase}");
        }
    }
}

#[test]
fn a_plugin_that_is_left_out_of_all_takes_no_instance() {
    let origin = Origin::start();
    let fresh = "config = { phases = ['request', 'response', 'response-stream', 'complete'] }\ninstances = { mode = 'fresh', max = 1 }\n\
                 grants = { upstreams = ['echo'], secrets = ['token'], state = true }";
    let config = probes(Configuration::new(), &origin, &[]).plugin("probe", "guest_probe", fresh);
    let link = "{ name = 'probe', when = { methods = ['POST'] } }";
    let gateway = Gateway::start(&through(config, link));
    let public = gateway.listener("public");
    for _ in 0..3 {
        assert_eq!(get(public, "/probe/fail", &[]).status, 200);
    }
    for phase in PHASES {
        assert_eq!(calls(&gateway, "probe", phase), 0.0, "{phase}");
    }
    assert_eq!(send(public, "POST", "/probe/fail", &[], b"").status, 500);
}
