//! What plugins did, and what they count themselves.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::super::plugin_series::{BOUNDS, Value};
use super::super::{Metrics, Phase};
use super::{counters, gauges, histograms};
use crate::state::Held;

impl Metrics {
    pub(super) fn plugin_calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
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
        self.plugin_denials(encoder)?;
        self.plugin_shares(encoder)?;
        let instances = plugins
            .iter()
            .map(|(plugin, metrics)| ([name(plugin)], metrics.instances.sum()));
        gauges(
            encoder,
            ("gateway_plugin_instances", "Living instances"),
            instances,
        )?;
        let memory = plugins
            .iter()
            .map(|(plugin, metrics)| ([name(plugin)], metrics.memory.sum()));
        gauges(
            encoder,
            (
                "gateway_plugin_memory_bytes",
                "Linear memory of living instances",
            ),
            memory,
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

    /// Calls that wait for their share of a worker.
    fn plugin_shares(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plugins = self.plugins.lock().clone();
        let name = |plugin: &String| [("plugin", plugin.clone())];
        counters(
            encoder,
            (
                "gateway_plugin_throttled",
                "Slow calls that had to wait, since their plugin had used up its share of a worker",
            ),
            plugins
                .iter()
                .map(|(plugin, metrics)| (name(plugin), metrics.throttled_calls())),
        )?;
        gauges(
            encoder,
            (
                "gateway_plugin_waiting",
                "Calls that wait for their plugin's share of a worker",
            ),
            plugins
                .iter()
                .map(|(plugin, metrics)| (name(plugin), metrics.waiting_calls())),
        )
    }

    fn plugin_denials(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plugins = self.plugins.lock().clone();
        let name = |plugin: &String| ("plugin", plugin.clone());
        let denied = plugins.iter().flat_map(|(plugin, metrics)| {
            let kinds = metrics.denied.sums().into_iter();
            kinds.map(move |(kind, count)| ([name(plugin), ("kind", kind.to_owned())], count))
        });
        counters(
            encoder,
            (
                "gateway_plugin_denied",
                "Edits and calls that plugins were not allowed, by kind",
            ),
            denied,
        )?;
        let suppressed = plugins
            .iter()
            .map(|(plugin, metrics)| ([name(plugin)], metrics.suppressed_lines.sum()));
        counters(
            encoder,
            (
                "gateway_plugin_log_suppressed_lines",
                "Lines that plugins logged beyond what they may write in a call or a second",
            ),
            suppressed,
        )
    }

    /// What plugins hold in the state, and what they lost of it.
    pub(super) fn plugin_state(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let held = self.state.get().map(|state| state.held());
        let held = held.unwrap_or_default();
        let name = |held: &Held| [("plugin", held.name.to_string())];
        let size = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        gauges(
            encoder,
            (
                "gateway_state_entries",
                "Entries of the state, counters of limiters included, by plugin",
            ),
            held.iter()
                .map(|held| (name(held), size(held.amount.entries))),
        )?;
        gauges(
            encoder,
            (
                "gateway_state_bytes",
                "Bytes of these entries: keys, values and what each takes beside them",
            ),
            held.iter()
                .map(|held| (name(held), size(held.amount.bytes))),
        )?;
        counters(
            encoder,
            (
                "gateway_state_evictions",
                "Entries that had not expired and made way, since their plugin had more than its share of a full state",
            ),
            held.iter().map(|held| (name(held), held.evictions)),
        )
    }

    /// What plugins count themselves: a family per name, the plugin as its first label.
    pub(super) fn plugin_own(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plugins = self.plugins.lock().clone();
        let mut families = BTreeMap::<String, Vec<(Labels, Value)>>::new();
        let mut all_dropped = Vec::new();
        for (plugin, metrics) in &plugins {
            let (series, dropped) = metrics.series.sums();
            all_dropped.push(([("plugin", plugin.clone())], dropped));
            for (key, value) in series {
                let mut labels = vec![("plugin".to_owned(), plugin.clone())];
                labels.extend(key.labels);
                families.entry(key.name).or_default().push((labels, value));
            }
        }
        for (name, lines) in families {
            own_family(encoder, &format!("gateway_custom_{name}"), &lines)?;
        }
        counters(
            encoder,
            (
                "gateway_plugin_series_dropped",
                "Counts of plugins that were not taken: too many series, or not fit to be published",
            ),
            all_dropped,
        )
    }
}

type Labels = Vec<(String, String)>;

/// One name of plugins' own; all its lines are of one kind.
fn own_family(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    lines: &[(Labels, Value)],
) -> fmt::Result {
    let (help, kind) = match lines.first() {
        Some((_, Value::Observed(_))) => ("Observed by a plugin", MetricType::Histogram),
        _ => ("Counted by a plugin", MetricType::Counter),
    };
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in lines {
        let mut line = family.encode_family(labels)?;
        match value {
            Value::Count(count) => {
                line.encode_counter::<[(&str, &str); 0], _, u64>(count, None)?;
            }
            Value::Observed(values) => {
                let bounds = BOUNDS.iter().copied().chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = bounds.zip(values.buckets).collect();
                line.encode_histogram::<[(&str, &str); 0]>(
                    values.sum,
                    values.count,
                    &buckets,
                    None,
                )?;
            }
        }
    }
    Ok(())
}
