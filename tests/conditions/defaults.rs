//! `[defaults]`: what stands for keys that a route does not give.

use std::time::{Duration, Instant};

use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, get};

#[test]
fn a_route_without_a_timeout_has_that_of_the_defaults() {
    // It never answers.
    let upstream = Recorder::start();
    let config = Configuration::new()
        .with("[defaults]\ntimeout = '200ms'")
        .upstream_with(
            "silent",
            upstream.address,
            "timeouts = { first_byte = '1s' }",
        )
        .route("default", "/default", "upstream = 'silent'")
        .route("own", "/own", "upstream = 'silent'\ntimeout = '400ms'")
        .route("none", "/none", "upstream = 'silent'\ntimeout = false");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let ends = |path: &str| {
        let began = Instant::now();
        assert_eq!(get(public, path, &[]).status, 504);
        began.elapsed()
    };
    let milliseconds = Duration::from_millis;
    let took = ends("/default");
    assert!(
        took >= milliseconds(200) && took < milliseconds(400),
        "{took:?}"
    );
    assert!(ends("/own") >= milliseconds(400));
    assert!(ends("/none") >= milliseconds(1_000));
    // What is in force is shown, wherever it was given.
    let shown = &get(gateway.admin(), "/config", &[]).json()["configuration"];
    let timeouts = [0, 1, 2].map(|at| shown["routes"][at]["timeout"].to_string());
    assert_eq!(timeouts, ["\"200ms\"", "\"400ms\"", "false"]);
}
