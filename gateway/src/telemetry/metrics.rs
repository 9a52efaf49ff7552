//! Placeholder of the host branch: the ops branch's module takes its place.
#![allow(missing_docs, reason = "a placeholder")]

use std::sync::Arc;
use std::time::Duration;

use crate::proxy::exchange::Phase;


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
/// x
pub fn set_shard(_: usize) {}
/// x
#[derive(Debug, Default)] pub struct RouteMetrics;
/// x
#[derive(Debug, Default)] pub struct UpstreamMetrics;
impl RouteMetrics { /// x
pub fn record(&self, _: Option<http::StatusCode>, _: Duration, _: u64, _: u64) {} }
impl UpstreamMetrics { /// x
pub fn opened(&self) {} /// x
pub fn closed(&self) {} /// x
pub fn request(&self) {} /// x
pub fn failure(&self, _: &str) {} }
impl PluginMetrics { /// x
pub fn set_instances(&self, _: usize) {} }
impl Metrics { /// x
pub fn new(_: usize) -> Arc<Self> { Arc::new(Self::default()) } /// x
pub fn route(&self, _: &str) -> Arc<RouteMetrics> { Arc::default() } /// x
pub fn upstream(&self, _: &str) -> Arc<UpstreamMetrics> { Arc::default() } /// x
pub fn error(&self, _: &'static str) {} /// x
pub fn swap(&self, _: &str, _: &'static str) {} /// x
pub fn reload(&self, _: &'static str) {} /// x
pub fn set_version(&self, _: u64) {} /// x
pub fn text(&self) -> String { String::new() } }
