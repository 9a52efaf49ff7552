//! `[defaults]`: what stands for keys that a route does not give.

use std::time::{Duration, Instant};

use crate::harness::http::send;
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, get};
use crate::streams::gone;

#[test]
fn a_route_without_a_timeout_has_that_of_the_defaults() {
    // It never answers.
    let upstream = Recorder::start();
    let config = Configuration::new()
        .with("[defaults]\ntimeout = '200ms'")
        .upstream_with(
            "silent",
            upstream.address,
            "timeouts = { first_byte = '60s' }",
        )
        .upstream_with(
            "hasty",
            upstream.address,
            "timeouts = { first_byte = '1s' }",
        )
        .route("default", "/default", "upstream = 'silent'")
        .route("own", "/own", "upstream = 'silent'\ntimeout = '400ms'")
        .route("none", "/none", "upstream = 'hasty'\ntimeout = false");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let ends = |path: &str| {
        let began = Instant::now();
        assert_eq!(get(public, path, &[]).status, 504);
        began.elapsed()
    };
    let milliseconds = Duration::from_millis;
    // Where the answer of the upstream is awaited for a minute, it is the route that ends them.
    assert!(ends("/default") >= milliseconds(200));
    assert!(ends("/own") >= milliseconds(400));
    assert!(ends("/none") >= milliseconds(1_000));
    // What is in force is shown, wherever it was given.
    let shown = get(gateway.admin(), "/config", &[]).json();
    let shown = |at: usize| shown["configuration"]["routes"][at]["timeout"].to_string();
    let timeouts = [0, 1, 2].map(shown);
    assert_eq!(timeouts, ["\"200ms\"", "\"400ms\"", "false"]);
}

#[test]
fn a_route_without_errors_has_those_of_the_defaults_before_those_of_the_file() {
    let top = "errors = { 404 = 'file 404', 502 = 'file 502' }\n[defaults]\nerrors = { 502 = 'default 502' }";
    let config = Configuration::new()
        .upstream("gone", gone())
        .route("default", "/default", "upstream = 'gone'")
        .route("own", "/own", "upstream = 'gone'\nerrors = { 503 = 'own' }");
    let gateway = Gateway::start(&format!("{top}\n{config}"));
    for (path, said) in [
        ("/default", "default 502"),
        ("/own", "file 502"),
        ("/none", "file 404"),
    ] {
        assert_eq!(get(gateway.listener("public"), path, &[]).text(), said);
    }
}

#[test]
fn a_route_that_limits_nothing_has_the_limits_of_the_defaults() {
    let config = Configuration::new()
        .with("[defaults]\nlimits = { body = '4B' }")
        .upstream("gone", gone())
        .route("default", "/default", "upstream = 'gone'")
        .route("own", "/own", "upstream = 'gone'\nlimits = { body = '8B' }");
    let gateway = Gateway::start(&config);
    let post = |path: &str, body: &[u8]| {
        let answer = send(gateway.listener("public"), "POST", path, &[], body);
        answer.status
    };
    assert_eq!(post("/default", b"1234"), 502);
    assert_eq!(post("/default", b"12345"), 413);
    assert_eq!(post("/own", b"12345678"), 502);
    assert_eq!(post("/own", b"123456789"), 413);
}
