//! Endpoints that a reload drops: what they had goes with them.

use crate::harness::{Configuration, Gateway, get};
use crate::health::endpoint::Endpoint;
use crate::health::until;

fn config(endpoints: &[&Endpoint]) -> Configuration {
    let addresses: Vec<_> = endpoints.iter().map(|it| it.address.to_string()).collect();
    Configuration::new()
        .with(&format!(
            "[upstreams.shop]\nendpoints = {addresses:?}\nhealth = {{ path = \"/healthz\", interval = \"50ms\" }}"
        ))
        .route("all", "/**", "upstream = 'shop'")
}

fn series(gateway: &Gateway, endpoint: &Endpoint) -> usize {
    let metrics = get(gateway.admin(), "/metrics", &[]).text();
    let label = format!("endpoint=\"{}\"", endpoint.address);
    metrics.lines().filter(|line| line.contains(&label)).count()
}

#[test]
fn an_endpoint_that_a_reload_drops_leaves_no_check_no_connection_and_no_series() {
    let (dropped, stays) = (Endpoint::start("dropped"), Endpoint::start("stays"));
    let gateway = Gateway::start(&config(&[&dropped, &stays]));
    for _ in 0..2 {
        assert_eq!(get(gateway.listener("public"), "/", &[]).status, 200);
    }
    until(&gateway, "checks", || {
        dropped.checks().len() > 2 && stays.checks().len() > 2
    });
    // The connection that idles, and perhaps one of a check.
    assert!(dropped.connections() >= 1);
    let before = series(&gateway, &stays);
    assert!(before > 0);
    assert_eq!(series(&gateway, &dropped), before);

    gateway.configure(&config(&[&stays]));
    gateway.wait_for("config_version=2");
    until(&gateway, "no series", || series(&gateway, &dropped) == 0);
    until(&gateway, "no connection", || dropped.connections() == 0);
    let (checks, of_other) = (dropped.checks().len(), stays.checks().len());
    until(&gateway, "ten checks of the other", || {
        stays.checks().len() > of_other + 10
    });
    // One may have been on its way.
    assert!(dropped.checks().len() <= checks + 1);
    until(&gateway, "no connection", || dropped.connections() == 0);
    assert_eq!(series(&gateway, &dropped), 0);
    assert_eq!(series(&gateway, &stays), before);
}
