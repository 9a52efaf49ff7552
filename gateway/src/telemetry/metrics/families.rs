//! The names, and the text that Prometheus reads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::plugin_series::BOUNDS;
use super::shards::Histogram;
use super::{Metrics, Phase};

pub(super) fn text(metrics: &Arc<Metrics>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(All(metrics.clone())));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _infallible = encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct All(Arc<Metrics>);

impl Collector for All {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.process(&mut encoder)?;
        self.0.requests(&mut encoder)?;
        self.0.plugin_calls(&mut encoder)?;
        self.0.plugin_own(&mut encoder)?;
        self.0.upstream_use(&mut encoder)
    }
}

/// A counter family with one line per label set.
fn counters<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    lines: impl IntoIterator<Item = ([(&'a str, String); N], u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in lines {
        family
            .encode_family(&labels)?
            .encode_counter::<[(&str, &str); 0], _, u64>(&count, None)?;
    }
    Ok(())
}

/// A gauge family.
fn gauges<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    lines: impl IntoIterator<Item = ([(&'a str, String); N], u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in lines {
        family
            .encode_family(&labels)?
            .encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))?;
    }
    Ok(())
}

/// A histogram family.
fn histograms<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    lines: impl IntoIterator<Item = ([(&'a str, String); N], &'a Histogram)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (labels, histogram) in lines {
        let (sum, count, buckets) = histogram.sums();
        if count > 0 {
            family
                .encode_family(&labels)?
                .encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets, None)?;
        }
    }
    Ok(())
}

impl Metrics {
    fn process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let started = self
            .started
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        gauges(
            encoder,
            ("gateway_build_info", "The version of the gateway"),
            [(version, 1)],
        )?;
        gauges(
            encoder,
            ("gateway_start_time_seconds", "When the process began"),
            [([], started)],
        )?;
        let memory = resident_memory().unwrap_or(0);
        gauges(
            encoder,
            (
                "gateway_resident_memory_bytes",
                "Resident memory of the process",
            ),
            [([], memory)],
        )?;
        let version = self.version.load(Ordering::Relaxed);
        gauges(
            encoder,
            ("gateway_config_version", "The snapshot in force"),
            [([], version)],
        )?;
        let reloads = self.reloads.lock().clone();
        let lines = reloads
            .iter()
            .map(|(outcome, count)| ([("outcome", (*outcome).to_owned())], *count));
        counters(
            encoder,
            ("gateway_reloads", "Reloads of the configuration"),
            lines,
        )
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes = self.routes.lock().clone();
        let name = |route: &String| ("route", route.clone());
        let status = |status: usize| match status {
            0 => "aborted".to_owned(),
            status => status.to_string(),
        };
        let statuses = routes.iter().flat_map(|(route, metrics)| {
            metrics
                .statuses
                .sums()
                .map(move |(code, count)| ([name(route), ("status", status(code))], count))
        });
        counters(
            encoder,
            ("gateway_requests", "Exchanges by route and status"),
            statuses,
        )?;
        let durations = routes
            .iter()
            .map(|(route, metrics)| ([name(route)], &metrics.duration));
        histograms(
            encoder,
            (
                "gateway_request_duration_seconds",
                "From the head to the last byte",
            ),
            durations,
        )?;
        let bytes = routes
            .iter()
            .map(|(route, metrics)| ([name(route)], metrics.bytes_in.sum()));
        counters(
            encoder,
            ("gateway_request_body_bytes", "Bytes of request bodies"),
            bytes,
        )?;
        let bytes = routes
            .iter()
            .map(|(route, metrics)| ([name(route)], metrics.bytes_out.sum()));
        counters(
            encoder,
            ("gateway_response_body_bytes", "Bytes of response bodies"),
            bytes,
        )?;
        let errors = self.errors.lock().clone();
        let lines = errors
            .iter()
            .map(|(kind, count)| ([("kind", (*kind).to_owned())], *count));
        counters(
            encoder,
            ("gateway_errors", "Failed exchanges by kind"),
            lines,
        )
    }

    fn plugin_calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plugins = self.plugins.lock().clone();
        let name = |plugin: &String| ("plugin", plugin.clone());
        let phases = plugins.iter().flat_map(|(plugin, metrics)| {
            let phase = |phase: Phase| [name(plugin), ("phase", phase.name().to_owned())];
            Phase::ALL
                .iter()
                .map(move |each| (phase(*each), &metrics.phases[each.index()]))
        });
        histograms(
            encoder,
            (
                "gateway_plugin_phase_duration_seconds",
                "Calls of plugins, waiting included",
            ),
            phases,
        )?;
        let failures = plugins.iter().flat_map(|(plugin, metrics)| {
            let failures = metrics.failures.lock().clone();
            failures.into_iter().map(move |((route, kind), count)| {
                let labels = [name(plugin), ("route", route), ("kind", kind.to_owned())];
                (labels, count)
            })
        });
        counters(
            encoder,
            (
                "gateway_plugin_failures",
                "Failed calls of plugins by route and kind",
            ),
            failures,
        )?;
        let instances = plugins.iter().map(|(plugin, metrics)| {
            (
                [name(plugin)],
                metrics.instances.load(Ordering::Relaxed) as u64,
            )
        });
        gauges(
            encoder,
            ("gateway_plugin_instances", "Living instances"),
            instances,
        )?;
        let swaps = self.swaps.lock().clone();
        let lines = swaps.iter().map(|((plugin, outcome), count)| {
            ([name(plugin), ("outcome", (*outcome).to_owned())], *count)
        });
        counters(
            encoder,
            ("gateway_plugin_swaps", "Replacements of plugins"),
            lines,
        )
    }

    /// What plugins count themselves: a family per name, the plugin as its first label.
    fn plugin_own(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plugins = self.plugins.lock().clone();
        let labels = |plugin: &str, own: &[(String, String)]| {
            let mut labels = vec![("plugin".to_owned(), plugin.to_owned())];
            labels.extend(own.iter().filter(|(label, _)| label != "plugin").cloned());
            labels
        };
        let mut counts = std::collections::BTreeMap::<String, Vec<_>>::new();
        let mut observed = std::collections::BTreeMap::<String, Vec<_>>::new();
        for (plugin, metrics) in &plugins {
            for ((name, own), count) in metrics.series.counts() {
                counts
                    .entry(name)
                    .or_default()
                    .push((labels(plugin, &own), count));
            }
            for ((name, own), values) in metrics.series.observations() {
                observed
                    .entry(name)
                    .or_default()
                    .push((labels(plugin, &own), values));
            }
        }
        for (name, lines) in counts {
            let name = format!("gateway_custom_{name}");
            let mut family = encoder.encode_descriptor(
                &name,
                "Counted by a plugin",
                None,
                MetricType::Counter,
            )?;
            for (labels, count) in lines {
                family
                    .encode_family(&labels)?
                    .encode_counter::<[(&str, &str); 0], _, u64>(&count, None)?;
            }
        }
        for (name, lines) in observed {
            let name = format!("gateway_custom_{name}");
            let mut family = encoder.encode_descriptor(
                &name,
                "Observed by a plugin",
                None,
                MetricType::Histogram,
            )?;
            for (labels, values) in lines {
                let bounds = BOUNDS.iter().copied().chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = bounds.zip(values.buckets).collect();
                family
                    .encode_family(&labels)?
                    .encode_histogram::<[(&str, &str); 0]>(
                        values.sum,
                        values.count,
                        &buckets,
                        None,
                    )?;
            }
        }
        let dropped = plugins
            .iter()
            .map(|(plugin, metrics)| ([("plugin", plugin.clone())], metrics.series.dropped()));
        counters(
            encoder,
            (
                "gateway_plugin_series_dropped",
                "Counts of plugins beyond their bound of series",
            ),
            dropped,
        )
    }

    fn upstream_use(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let upstreams = self.upstreams.lock().clone();
        let name = |upstream: &String| ("upstream", upstream.clone());
        let requests = upstreams
            .iter()
            .map(|(upstream, metrics)| ([name(upstream)], metrics.requests.sum()));
        counters(
            encoder,
            ("gateway_upstream_requests", "Requests that were answered"),
            requests,
        )?;
        let failures = upstreams.iter().flat_map(|(upstream, metrics)| {
            let failures = metrics.failures.lock().clone();
            failures
                .into_iter()
                .map(move |(kind, count)| ([name(upstream), ("kind", kind.to_owned())], count))
        });
        counters(
            encoder,
            (
                "gateway_upstream_failures",
                "Requests that were not, by kind",
            ),
            failures,
        )?;
        let open = upstreams.iter().map(|(upstream, metrics)| {
            (
                [name(upstream)],
                metrics.open.load(Ordering::Relaxed) as u64,
            )
        });
        gauges(
            encoder,
            ("gateway_upstream_connections", "Open connections"),
            open,
        )
    }
}

/// Bytes, from `/proc/self/statm`.
fn resident_memory() -> Option<u64> {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_counted_stands_in_the_text() {
        let metrics = Metrics::new(1);
        metrics
            .route("shop")
            .record(Some(http::StatusCode::OK), Duration::from_millis(3), 1, 2);
        metrics
            .route("shop")
            .record(None, Duration::from_millis(3), 0, 0);
        metrics
            .plugin("auth")
            .phase(Phase::Request, Duration::from_micros(3));
        metrics.plugin("auth").failure("api", "trap");
        metrics.plugin_count("auth", "Tokens seen", &[("kind".into(), "a\"b".into())], 2);
        metrics.plugin_observe("auth", "age", &[], 0.2);
        metrics.swap("auth", "done");
        let text = metrics.text();
        for line in [
            r#"gateway_requests_total{route="shop",status="200"} 1"#,
            r#"gateway_requests_total{route="shop",status="aborted"} 1"#,
            r#"gateway_request_duration_seconds_count{route="shop"} 2"#,
            r#"gateway_response_body_bytes_total{route="shop"} 2"#,
            r#"gateway_plugin_phase_duration_seconds_bucket{le="0.000004",plugin="auth",phase="request"} 1"#,
            r#"gateway_plugin_failures_total{plugin="auth",route="api",kind="trap"} 1"#,
            r#"gateway_custom_tokens_seen_total{plugin="auth",kind="a\"b"} 2"#,
            r#"gateway_custom_age_count{plugin="auth"} 1"#,
            r#"gateway_plugin_swaps_total{plugin="auth",outcome="done"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
