//! What the endpoints of upstreams did, and how they stand.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::encoding::DescriptorEncoder;

use super::super::Metrics;
use super::super::endpoints::{EndpointMetrics, Observed};
use super::{counters, gauges, histograms};

/// The labels that every series of an endpoint has.
type Labels = [(&'static str, String); 2];

/// An endpoint that is published.
type Present = (Labels, Arc<EndpointMetrics>, Arc<dyn Observed>);

impl Metrics {
    pub(super) fn endpoints(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let upstreams = self.upstreams.lock().clone();
        let endpoints = upstreams.iter().flat_map(|(upstream, metrics)| {
            let present = metrics.endpoints.present().into_iter();
            present.map(|(counts, observed)| {
                let endpoint = ("endpoint", counts.name.clone());
                ([("upstream", upstream.clone()), endpoint], counts, observed)
            })
        });
        let endpoints: Vec<Present> = endpoints.collect();
        requests(&endpoints, encoder)?;
        standing(&endpoints, encoder)
    }
}

fn requests(endpoints: &[Present], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let requests = endpoints.iter().flat_map(|(labels, counts, _)| {
        let answers = counts.answers().into_iter().enumerate();
        let seen = answers.filter(|(_, count)| *count > 0);
        seen.map(move |(class, count)| (with(labels, "status", format!("{class}xx")), count))
    });
    counters(
        encoder,
        (
            "gateway_endpoint_requests",
            "Requests that an endpoint answered, by class of status",
        ),
        requests,
    )?;
    let failures = endpoints.iter().flat_map(|(labels, counts, _)| {
        let failures = counts.failures.sums().into_iter();
        failures.map(move |(kind, count)| (with(labels, "kind", kind.to_owned()), count))
    });
    counters(
        encoder,
        (
            "gateway_endpoint_failures",
            "Requests that an endpoint did not answer, or not whole, by kind",
        ),
        failures,
    )?;
    let latencies = endpoints
        .iter()
        .map(|(labels, counts, _)| (labels.clone(), &counts.latency));
    histograms(
        encoder,
        (
            "gateway_endpoint_latency_seconds",
            "From the request to the head of the answer",
        ),
        latencies,
    )?;
    let in_flight = endpoints
        .iter()
        .map(|(labels, _, observed)| (labels.clone(), observed.in_flight()));
    gauges(
        encoder,
        (
            "gateway_endpoint_in_flight",
            "Requests that are under way at an endpoint",
        ),
        in_flight,
    )
}

fn standing(endpoints: &[Present], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let obstacles = endpoints.iter().flat_map(|(labels, _, observed)| {
        let obstacles = observed.obstacles().into_iter();
        obstacles.map(move |(name, is)| (with(labels, "obstacle", name.to_owned()), u64::from(is)))
    });
    gauges(
        encoder,
        (
            "gateway_endpoint_obstacle",
            "Whether this keeps requests from an endpoint",
        ),
        obstacles,
    )?;
    let ejections = endpoints
        .iter()
        .map(|(labels, counts, _)| (labels.clone(), counts.ejections.load(Relaxed)));
    counters(
        encoder,
        (
            "gateway_endpoint_ejections",
            "How often an endpoint was ejected for its failures",
        ),
        ejections,
    )?;
    let checks = endpoints.iter().flat_map(|(labels, counts, _)| {
        let outcomes = [
            ("passed", &counts.passed_checks),
            ("failed", &counts.failed_checks),
        ];
        let outcomes = outcomes.map(|(outcome, count)| (outcome, count.load(Relaxed)));
        let made = outcomes.into_iter().filter(|(_, count)| *count > 0);
        made.map(move |(outcome, count)| (with(labels, "outcome", outcome.to_owned()), count))
    });
    counters(
        encoder,
        (
            "gateway_endpoint_checks",
            "Checks of the health of an endpoint, by outcome",
        ),
        checks,
    )
}

fn with(labels: &Labels, name: &'static str, value: String) -> [(&'static str, String); 3] {
    let [upstream, endpoint] = labels.clone();
    [upstream, endpoint, (name, value)]
}
