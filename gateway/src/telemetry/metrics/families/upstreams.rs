//! The families of upstreams.

use std::fmt;
use std::sync::atomic::Ordering;

use prometheus_client::encoding::DescriptorEncoder;

use super::super::{Metrics, UpstreamMetrics};
use super::{counters, gauges};

impl Metrics {
    pub(super) fn upstream_use(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let upstreams = self.upstreams.lock().clone();
        let name = |upstream: &String| ("upstream", upstream.clone());
        let requests = upstreams
            .iter()
            .map(|(upstream, metrics)| ([name(upstream)], metrics.endpoints.answers()));
        counters(
            encoder,
            ("gateway_upstream_requests", "Requests that were answered"),
            requests,
        )?;
        let failures = upstreams.iter().flat_map(|(upstream, metrics)| {
            let failures = metrics.endpoints.failures().into_iter();
            failures.map(move |(kind, count)| ([name(upstream), ("kind", kind.to_owned())], count))
        });
        counters(
            encoder,
            (
                "gateway_upstream_failures",
                "Requests that were not, by kind",
            ),
            failures,
        )?;
        let surplus = upstreams
            .iter()
            .map(|(upstream, metrics)| ([name(upstream)], metrics.surplus.sum()));
        counters(
            encoder,
            (
                "gateway_upstream_surplus",
                "Connections on which an endpoint sent more than the answer",
            ),
            surplus,
        )?;
        let open = upstreams
            .iter()
            .map(|(upstream, metrics)| ([name(upstream)], metrics.open.sum()));
        gauges(
            encoder,
            ("gateway_upstream_connections", "Open connections"),
            open,
        )?;
        let pending = upstreams
            .iter()
            .map(|(upstream, metrics)| ([name(upstream)], metrics.pending.sum()));
        gauges(
            encoder,
            (
                "gateway_upstream_pending",
                "Requests that wait for a connection of a full pool",
            ),
            pending,
        )?;
        let refused = upstreams.iter().flat_map(|(upstream, metrics)| {
            let refused = metrics.refused.sums().into_iter();
            refused.map(move |(why, count)| ([name(upstream), ("reason", why.to_owned())], count))
        });
        counters(
            encoder,
            (
                "gateway_upstream_refused",
                "Requests that the pool or the breaker held back",
            ),
            refused,
        )?;
        self.breakers(encoder)?;
        self.resolutions(encoder)
    }

    fn resolutions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let upstreams = self.upstreams.lock().clone();
        let resolutions = upstreams.iter().flat_map(|(upstream, metrics)| {
            let resolutions = metrics.resolutions.lock().clone().into_iter();
            resolutions.map(move |((name, outcome), count)| {
                let labels = [
                    ("upstream", upstream.clone()),
                    ("name", name),
                    ("outcome", outcome.to_owned()),
                ];
                (labels, count)
            })
        });
        let help = "How often the addresses of a name were looked up, by outcome";
        counters(encoder, ("gateway_upstream_resolutions", help), resolutions)
    }

    fn breakers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let upstreams = self.upstreams.lock().clone();
        let each = |count: fn(&UpstreamMetrics) -> u64| {
            let counts = upstreams.iter();
            counts.map(move |(name, metrics)| ([("upstream", name.clone())], count(metrics)))
        };
        let retries = each(|metrics| metrics.retries.sum());
        let help = "Requests that went out again";
        counters(encoder, ("gateway_upstream_retries", help), retries)?;
        let spent = each(|metrics| metrics.spent_budgets.sum());
        let help = "Requests that did not go out again: the budget of those was spent";
        counters(
            encoder,
            ("gateway_upstream_retry_budget_spent", help),
            spent,
        )?;
        let openings = each(|metrics| metrics.breaker_openings.sum());
        let help = "How often the breaker opened";
        counters(
            encoder,
            ("gateway_upstream_breaker_openings", help),
            openings,
        )?;
        let open = each(|metrics| u64::from(metrics.breaker_is_open.load(Ordering::Relaxed)));
        let help = "1 where the breaker is open or half open";
        gauges(encoder, ("gateway_upstream_breaker_open", help), open)
    }
}
