//! What keeps requests from sockets, and what leads them there: checks, ejection, drains, weights, keys and cookies.

use super::{config, drain, fs, place, saying, told};
use crate::harness::{Configuration, Gateway, Origin, get};
use crate::health::until;

/// Two sockets, which say which they are, and a gateway before them.
fn two(lines: &str) -> ([Origin; 2], Gateway) {
    let (directory, one) = place();
    let other = directory.path().join("other.sock");
    let origins = [saying(&one, "app"), saying(&other, "other")];
    let config = config(&["unix:app.sock", "unix:other.sock"], lines);
    (origins, Gateway::start_in(directory, &config, &[]))
}

#[test]
fn an_endpoint_that_does_not_listen_is_unhealthy_until_it_does() {
    let (directory, path) = place();
    let other = directory.path().join("other.sock");
    let _other = saying(&other, "other");
    let health = "health = { kind = 'tcp', interval = '50ms', healthy_after = 1 }";
    let config = config(&["unix:app.sock", "unix:other.sock"], health);
    let gateway = Gateway::start_in(directory, &config, &[]);
    let ask = || get(gateway.listener("public"), "/", &[]).text();
    let line = gateway.wait_for_all(&["the endpoint is unhealthy", "there is no socket"]);
    assert!(line.contains(&told(&gateway, "app.sock")), "{line}");
    for _ in 0..4 {
        assert_eq!(ask(), "other");
    }
    let _app = saying(&path, "app");
    gateway.wait_for("the endpoint is healthy again");
    until(&gateway, "a request to it", || ask() == "app");
}

#[test]
fn checks_by_http_name_a_host_that_is_one() {
    let health = "health = { path = '/healthz', interval = '50ms' }";
    let ([app, _other], gateway) = two(health);
    until(&gateway, "a check", || !app.seen().is_empty());
    let check = app.seen()[0].to_lowercase();
    assert!(check.starts_with("get /healthz http/1.1\r\n"), "{check}");
    assert!(check.contains("\r\nhost: localhost\r\n"), "{check}");
}

#[test]
fn an_endpoint_that_is_gone_is_ejected_and_one_that_is_drained_gets_nothing() {
    let outlier =
        "outlier = { consecutive_failures = 3, ejection = '60s' }\nbalance = 'round_robin'";
    let ([_app, _other], gateway) = two(outlier);
    let ask = || get(gateway.listener("public"), "/", &[]);
    fs::remove_file(gateway.directory.path().join("other.sock")).unwrap();
    // The connection that it has is kept as long as it is used: there is none yet.
    until(&gateway, "its ejection", || {
        ask();
        gateway.text().contains("the endpoint is ejected")
    });
    gateway.wait_for_all(&["the endpoint is ejected", &told(&gateway, "other.sock")]);
    for _ in 0..4 {
        assert_eq!(ask().text(), "app");
    }
    drain(&gateway, &told(&gateway, "app.sock"));
    assert_eq!(ask().status, 503);
}

/// A path may have what a name of a host cannot.
#[test]
fn a_path_with_quotes_and_spaces_is_told_whole_everywhere() {
    let (directory, _) = place();
    let name = "an \"app\" \\ %41.sock";
    let _app = saying(&directory.path().join(name), "app");
    let config = config(&[&format!("unix:{name}")], "");
    let gateway = Gateway::start_in(directory, &config, &[]);
    assert_eq!(get(gateway.listener("public"), "/", &[]).text(), "app");
    let endpoint = told(&gateway, name);
    let line = gateway.wait_for_all(&["\"path\":\"/\"", "\"status\":200"]);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["endpoint"], endpoint);
    let label = endpoint.replace('\\', "\\\\").replace('"', "\\\"");
    let count = format!(
        "gateway_endpoint_requests_total{{upstream=\"app\",endpoint=\"{label}\",status=\"2xx\"}}"
    );
    assert_eq!(gateway.metric(&count), 1.0, "{count}");
    drain(&gateway, &endpoint);
}

#[test]
fn keys_cookies_and_weights_lead_to_sockets() {
    for (lines, fields) in [
        (
            "balance = 'hash'\nhash_on = 'header:x-user'",
            vec![("x-user", "a")],
        ),
        ("sticky = { cookie = 'gw' }", vec![]),
    ] {
        let (_origins, gateway) = two(lines);
        let first = get(gateway.listener("public"), "/", &fields);
        let cookie = first.header("set-cookie").unwrap_or_default();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let fields = [&fields[..], &[("cookie", &*cookie)]].concat();
        for _ in 0..10 {
            let answer = get(gateway.listener("public"), "/", &fields);
            assert_eq!(answer.text(), first.text(), "{lines}");
        }
    }
    let (directory, one) = place();
    let _app = saying(&one, "app");
    let config = Configuration::new()
        .with(
            "[upstreams.app]\nendpoints = [{ address = 'unix:app.sock', weight = 3 }, { address = 'unix:none.sock', backup = true }]",
        )
        .route("all", "/**", "upstream = 'app'");
    let gateway = Gateway::start_in(directory, &config, &[]);
    assert_eq!(get(gateway.listener("public"), "/", &[]).text(), "app");
}
