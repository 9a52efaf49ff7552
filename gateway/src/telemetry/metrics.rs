//! Placeholder of the host branch: the ops branch's module takes its place.
#![allow(missing_docs, reason = "a placeholder")]

use std::sync::Arc;
use std::time::Duration;

use crate::proxy::exchange::Phase;

#[derive(Debug, Default)]
pub struct RouteMetrics;

#[derive(Debug, Default)]
pub struct Metrics;

#[derive(Debug, Default)]
pub struct PluginMetrics;

impl Metrics {
    pub fn plugin(&self, _name: &str) -> Arc<PluginMetrics> {
        Arc::default()
    }
    pub fn plugin_count(&self, _plugin: &str, _name: &str, _labels: &[(String, String)], _by: u64) {
    }
    pub fn plugin_observe(
        &self,
        _plugin: &str,
        _name: &str,
        _labels: &[(String, String)],
        _value: f64,
    ) {
    }
}

impl PluginMetrics {
    pub fn phase(&self, _phase: Phase, _time: Duration) {}
    pub fn failure(&self, _kind: &'static str) {}
    pub fn instances_add(&self, _by: i64) {}
}
