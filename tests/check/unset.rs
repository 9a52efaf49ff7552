//! `check --allow-unset`: a configuration without its environment.

use std::fs;

use super::{LISTENER, ROUTE, check, check_json, written};
use crate::harness::wasm;

/// Values of every kind, none of which is set.
const KINDS: &str = r#"
[server]
workers = "${UNSET_WORKERS}"
grace = "${UNSET_GRACE}"
plugin_memory = "${UNSET_MEMORY}"
fleet_key = "${UNSET_FLEET_KEY}"
access_log = { format = "${UNSET_FORMAT}", sample = "${UNSET_SAMPLE}", path = "${UNSET_PATH}" }
[admin]
address = "${UNSET_ADMIN}"
token = "${UNSET_TOKEN}"
[secrets]
one = "${UNSET_ONE}"
two = { file = "nowhere/two" }
[[listeners]]
name = "${UNSET_LISTENER}"
address = "0.0.0.0:${UNSET_PORT}"
trusted_proxies = ["${UNSET_PROXIES}"]
client_from = "${UNSET_FROM}"
tls = { certificates = [{ cert = "${UNSET_CERT}", key = "${UNSET_KEY}" }] }
[[listeners]]
name = "${UNSET_OTHER_LISTENER}"
address = "${UNSET_ADDRESS}"
[upstreams.a]
endpoints = ["${UNSET_ENDPOINT}", { address = "${UNSET_HOST}:80" }]
reads_bodies = "${UNSET_READS}"
[plugins.probe]
path = "probe.wasm"
grants = { secrets = ["${UNSET_GRANT}", "two"], upstreams = ["a"], state = true }
config = { phases = ["${UNSET_PHASE}"] }
[plugins.elsewhere]
path = "${UNSET_PLUGIN}"
[[routes]]
name = "${UNSET_ROUTE}"
match = { host = "${UNSET_DOMAIN}", path = "${UNSET_PREFIX}", headers = { x-a = "${UNSET_FIELD}" } }
plugins = ["probe", "elsewhere"]
upstream = "${UNSET_UPSTREAM}"
timeout = "${UNSET_TIMEOUT}"
[[routes]]
name = "status"
match = { path = "/status" }
respond = { status = "${UNSET_STATUS}", body = "${UNSET_BODY}" }
"#;

#[test]
fn something_sound_stands_for_what_is_not_set_whatever_is_read() {
    let directory = written(KINDS);
    fs::copy(wasm("guest_probe"), directory.path().join("probe.wasm")).unwrap();
    let (_, err, code) = check(directory.path(), &[]);
    assert_eq!(code, Some(78));
    let unset = KINDS.matches("${UNSET_").count();
    assert_eq!(err.matches("is not set; set it").count(), unset, "{err}");
    let report = check_json(directory.path(), &["--allow-unset"]);
    assert_eq!(report["errors"], serde_json::json!([]), "{report:#}");
    assert_eq!(report["unset"].as_array().unwrap().len(), unset + 1);
    assert_eq!(report["unset"][unset], "file nowhere/two");
}

/// Pairs of values that are compared, one or both of them not set.
const COMPARED: &str = r#"
[[listeners]]
name = "l"
address = "127.0.0.1:0"
[upstreams.a]
endpoints = ["127.0.0.1:9"]
[upstreams.b]
endpoints = ["127.0.0.1:10"]
[[routes]]
name = "weights"
match = { path = "/weights" }
split = [{ name = "one", upstream = "a", weight = 0 }, { name = "two", upstream = "b", weight = "${UNSET_WEIGHT}" }]
[[routes]]
name = "arms"
match = { path = "/arms" }
split = [{ upstream = "${UNSET_ARM}" }, { upstream = "a" }, { upstream = "${UNSET_OTHER_ARM}" }]
[[routes]]
name = "bounds"
match = { path = "/bounds", version = { header = "x-v", at_least = "${UNSET_LOW}", below = "0.1" } }
upstream = "a"
[[routes]]
name = "default"
match = { path = "/default", version = { header = "x-v", equals = "2026-01-01", default = "${UNSET_DEFAULT}" } }
upstream = "a"
[[routes]]
name = "parameter"
match = { path = "/parameter/{version}", version = { path = "${UNSET_PARAMETER}", at_least = "1" } }
upstream = "a"
[[routes]]
name = "window"
match = { path = "/window", after = "${UNSET_AFTER}", before = "1999-01-01T00:00:00Z" }
upstream = "a"
[[routes]]
name = "window-behind"
match = { path = "/window-behind", after = "2999-01-01T00:00:00Z", before = "${UNSET_BEFORE}" }
upstream = "a"
[[routes]]
name = "tie-one"
match = { path = "${UNSET_ONE}" }
upstream = "a"
[[routes]]
name = "tie-two"
match = { path = "${UNSET_TWO}" }
upstream = "a"
[[routes]]
name = "tie-value"
match = { path = "/tie", headers = { x-a = "${UNSET_VALUE}" } }
upstream = "a"
[[routes]]
name = "tie-other-value"
match = { path = "/tie", headers = { x-a = "${UNSET_OTHER_VALUE}" } }
upstream = "a"
[[routes]]
name = "fallback"
match = { path = "/fallback" }
upstream = "a"
fallback = { upstream = "${UNSET_FALLBACK}" }
[[routes]]
name = "prefix"
match = { path = "/prefix/**" }
redirect = { strip_prefix = "${UNSET_STRIP}", prefix = "${UNSET_PREFIX}" }
"#;

#[test]
fn what_is_not_set_is_compared_with_nothing() {
    let directory = written(COMPARED);
    let report = check_json(directory.path(), &["--allow-unset", "--strict"]);
    assert_eq!(report["errors"], serde_json::json!([]), "{report:#}");
    assert_eq!(report["warnings"], serde_json::json!([]), "{report:#}");
    // What is set is compared.
    let sound = [
        ("\"${UNSET_WEIGHT}\"", "0"),
        ("${UNSET_LOW}", "2"),
        ("${UNSET_AFTER}", "2000-01-01T00:00:00Z"),
        ("${UNSET_FALLBACK}", "a"),
    ];
    let mut text = COMPARED.to_owned();
    for (unset, value) in sound {
        text = text.replace(unset, value);
    }
    let directory = written(&text);
    let report = check_json(directory.path(), &["--allow-unset"]);
    let errors = report["errors"].to_string();
    for said in [
        "no arm with a weight above 0",
        "is not above `at_least`",
        "is not later than `after`",
        "the upstream of the route",
    ] {
        assert!(errors.contains(said), "{said}: {report:#}");
    }
}

#[test]
fn nothing_else_is_loosened() {
    let text = format!(
        "[server]\ngrace = \"soon\"\nworkers = \"${{UNSET_A}}\"\nwrokers = \"${{UNSET_B}}\"\n\
         access_log = {{ path = \"${{1BAD}}\", format = \"${{BAD-NAME}}\" }}\n\
         [plugins.none]\npath = \"none.wasm\"\n{LISTENER}{ROUTE}"
    );
    let directory = written(&text);
    let (_, err, code) = check(directory.path(), &["--allow-unset"]);
    assert_eq!(code, Some(78));
    let faults = err.lines().filter(|line| !line.starts_with("warning: "));
    let said: Vec<_> = faults.collect();
    assert_eq!(said.len(), 4, "{err}");
    assert!(
        said[0].contains("server.grace: `soon` is not a duration"),
        "{err}"
    );
    assert!(said[1].contains("server.wrokers: unknown key"), "{err}");
    assert!(said[2].contains("names no environment variable"), "{err}");
    assert!(
        said[3].contains("plugins.none.path: cannot read `none.wasm`"),
        "{err}"
    );
}

#[test]
fn a_plugin_is_not_blamed_for_what_is_not_set_and_is_for_the_rest() {
    let config = |own: &str| {
        format!(
            "[plugins.auth]\npath = \"auth.wasm\"\n{LISTENER}{ROUTE}\
             plugins = [{{ name = \"auth\", config = {{ schemes = [\"jwt\"], {own} }} }}]\n"
        )
    };
    let checked = |own: &str| {
        let directory = written(&config(own));
        fs::copy(wasm("auth"), directory.path().join("auth.wasm")).unwrap();
        check(directory.path(), &["--allow-unset"])
    };
    let (out, err, code) =
        checked("jwt = { keys = [{ secret = \"${UNSET_KEY}\", algorithm = \"HS256\" }] }");
    assert_eq!(code, Some(0), "{err}");
    assert!(out.ends_with("not set: UNSET_KEY\n"), "{out}");
    let (_, err, code) =
        checked("a_nonsense = 1, jwt = { keys = [{ secret = \"${UNSET_KEY}\" }] }");
    assert_eq!(code, Some(78), "{err}");
    assert!(err.contains("a_nonsense"), "{err}");
}
