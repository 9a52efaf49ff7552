//! The names, and the text that Prometheus reads.

mod arms;
mod endpoints;
mod mirrors;
mod plugins;
mod upstreams;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::shards::Histogram;
use crate::telemetry::trace;

impl Metrics {
    /// Everything in the text format of Prometheus.
    pub fn text(self: &Arc<Self>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(All(self.clone())));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _infallible = encode(&mut text, &registry);
        text
    }
}

#[derive(Debug)]
struct All(Arc<Metrics>);

impl Collector for All {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.process(&mut encoder)?;
        self.0.connections(&mut encoder)?;
        self.0.requests(&mut encoder)?;
        self.0.arms(&mut encoder)?;
        self.0.mirrors(&mut encoder)?;
        self.0.plugin_calls(&mut encoder)?;
        self.0.plugin_own(&mut encoder)?;
        self.0.plugin_state(&mut encoder)?;
        self.0.upstream_use(&mut encoder)?;
        self.0.endpoints(&mut encoder)
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
        counters(
            encoder,
            (
                "gateway_access_log_lost_lines",
                "Lines of the access log that could not be written",
            ),
            [([], self.lost_access_log_lines.load(Ordering::Relaxed))],
        )?;
        counters(
            encoder,
            (
                "gateway_log_lost_lines",
                "Lines of the gateway's own log that could not be written",
            ),
            [([], trace::lost_lines())],
        )?;
        counters(
            encoder,
            (
                "gateway_plugin_late_ticks",
                "Ticks of the clock of `cpu` that came over 1.5 ms after the one before: a plugin may have used more",
            ),
            [([], self.late_ticks.load(Ordering::Relaxed))],
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

    fn connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let listeners = self.listeners.lock().clone();
        let open = listeners
            .iter()
            .map(|(listener, metrics)| ([("listener", listener.clone())], metrics.open.sum()));
        gauges(
            encoder,
            ("gateway_connections", "Open connections of clients"),
            open,
        )?;
        let tls_failures = listeners.iter().map(|(listener, metrics)| {
            let count = metrics.tls_failures.load(Ordering::Relaxed);
            ([("listener", listener.clone())], count)
        });
        counters(
            encoder,
            (
                "gateway_tls_handshake_failures",
                "Handshakes of TLS that clients began and that failed",
            ),
            tls_failures,
        )?;
        let unusual = listeners
            .iter()
            .map(|(listener, metrics)| ([("listener", listener.clone())], metrics.unusual.total()));
        counters(
            encoder,
            (
                "gateway_unusual_fields",
                "Fields of requests that were dropped or refused for characters in their names",
            ),
            unusual,
        )
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes = self.routes.lock().clone();
        let name = |route: &String| ("route", route.clone());
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
        let fallbacks = routes
            .iter()
            .map(|(route, metrics)| ([name(route)], metrics.fallbacks.sum()));
        counters(
            encoder,
            (
                "gateway_fallbacks",
                "Exchanges that the fallback of their route answered",
            ),
            fallbacks.filter(|(_, count)| *count > 0),
        )?;
        let errors = self.errors.sums().into_iter();
        let lines = errors.map(|(kind, count)| ([("kind", kind.to_owned())], count));
        counters(
            encoder,
            ("gateway_errors", "Failed exchanges by kind"),
            lines,
        )
    }
}

/// A status as it is counted.
fn status(status: usize) -> String {
    match status {
        0 => "aborted".to_owned(),
        status => status.to_string(),
    }
}

/// Bytes, from the kernel, which counts in KiB there whatever the size of its pages.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{ErrorKind, Phase};
    use super::*;
    use crate::state::{Amount, Memory, Namespace, OVERHEAD};

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
        metrics.plugin("auth").denied("secret");
        metrics.plugin("auth").memory_add(70_000);
        let own = metrics.plugin("auth");
        let kind = ("kind".into(), "a\"b\\\n# TYPE".into());
        own.count("tokens_seen", &mut [kind], 2).unwrap();
        own.observe("age", &mut [], 0.2).unwrap();
        own.count("bad name", &mut [], 2).unwrap_err();
        metrics.error(ErrorKind::NoRoute);
        let lost = metrics.lost_access_log_lines();
        lost.fetch_add(3, Ordering::Relaxed);
        metrics.listener("public").opened();
        metrics.listener("public").opened();
        metrics.listener("public").closed();
        metrics.listener("public").tls_failed();
        metrics.swap("auth", "done");
        let text = metrics.text();
        for line in [
            r#"gateway_requests_total{route="shop",status="200"} 1"#,
            r#"gateway_requests_total{route="shop",status="aborted"} 1"#,
            r#"gateway_request_duration_seconds_count{route="shop"} 2"#,
            r#"gateway_response_body_bytes_total{route="shop"} 2"#,
            r#"gateway_plugin_phase_duration_seconds_bucket{le="0.000004",plugin="auth",phase="request"} 1"#,
            r#"gateway_plugin_failures_total{plugin="auth",route="api",kind="trap"} 1"#,
            r#"gateway_plugin_denied_total{plugin="auth",kind="secret"} 1"#,
            r#"gateway_plugin_memory_bytes{plugin="auth"} 70000"#,
            r#"gateway_custom_tokens_seen_total{plugin="auth",kind="a\"b\\\n# TYPE"} 2"#,
            r#"gateway_plugin_series_dropped_total{plugin="auth"} 1"#,
            r#"gateway_errors_total{kind="no_route"} 1"#,
            "gateway_access_log_lost_lines_total{} 3",
            r#"gateway_connections{listener="public"} 1"#,
            r#"gateway_tls_handshake_failures_total{listener="public"} 1"#,
            r#"gateway_request_duration_seconds_bucket{le="+Inf",route="shop"} 2"#,
            r#"gateway_custom_age_count{plugin="auth"} 1"#,
            r#"gateway_plugin_swaps_total{plugin="auth",outcome="done"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn what_plugins_hold_in_the_state_stands_in_the_text() {
        let most = Amount {
            entries: 2,
            bytes: 1 << 20,
        };
        let names = ["auth".into()];
        let state = Memory::new(most, &names);
        let auth = Namespace::new(&state, &names[0]);
        let metrics = Metrics::new(1);
        metrics.watch_state(state);
        for key in ["a", "b", "c"] {
            auth.increment(key, 1, None).unwrap();
        }
        let text = metrics.text();
        let bytes = 2 * (1 + OVERHEAD);
        for line in [
            r#"gateway_state_entries{plugin="auth"} 2"#,
            &format!(r#"gateway_state_bytes{{plugin="auth"}} {bytes}"#),
            r#"gateway_state_evictions_total{plugin="auth"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn no_metric_of_the_gateway_has_a_name_that_a_plugin_could_give() {
        let text = Metrics::new(1).text();
        assert!(text.contains("# TYPE gateway_requests counter"), "{text}");
        assert!(!text.contains(" gateway_custom"), "{text}");
    }

    #[test]
    fn resident_memory_is_what_the_kernel_says_of_this_process() {
        let resident = resident_memory().unwrap();
        assert!(resident > 1 << 20, "{resident}");
        assert_eq!(resident % 1024, 0);
    }
}
