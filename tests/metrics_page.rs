//! docs/metrics.md, held to what the binary exposes.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::{Configuration, Gateway, get};

#[test]
fn the_page_of_metrics_has_every_metric_that_there_is_and_no_other() {
    let config = Configuration::new().route("here", "/**", "respond = { status = 204 }");
    let gateway = Gateway::start(&config);
    let text = get(gateway.admin(), "/metrics", &[]).text();
    let exposed: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total"),
            _ => name.to_owned(),
        })
        .collect();
    assert!(exposed.contains("gateway_requests_total"), "{text}");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    // Of what stands in backquotes in the first column, what has the name of a metric.
    let told: BTreeSet<String> = rows
        .flat_map(|row| row.split(" | ").next().unwrap().split('`'))
        .filter(|told| told.starts_with("gateway_") && !told.starts_with("gateway_custom_"))
        .map(|told| told.split('{').next().unwrap().to_owned())
        .collect();
    let missing: Vec<_> = exposed.difference(&told).collect();
    let gone: Vec<_> = told.difference(&exposed).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    assert!(gone.is_empty(), "not exposed: {gone:?}");
}
