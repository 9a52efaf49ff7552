//! What the arms of splits did.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::super::Metrics;
use super::super::arms::FALLBACK;
use super::{counters, histograms, status};

/// A status of an arm as it is counted.
fn named(code: usize) -> String {
    match code == usize::from(FALLBACK) {
        true => "fallback".to_owned(),
        false => status(code),
    }
}

impl Metrics {
    pub(super) fn arms(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let arms = self.arms.lock().clone();
        let names =
            |(route, arm): &(String, String)| [("route", route.clone()), ("arm", arm.clone())];
        let statuses = arms.iter().flat_map(|(key, metrics)| {
            let [route, arm] = names(key);
            let sums = metrics.statuses.sums();
            sums.map(move |(code, count)| {
                ([route.clone(), arm.clone(), ("status", named(code))], count)
            })
        });
        counters(
            encoder,
            (
                "gateway_arm_requests",
                "Exchanges of routes that are split, by route, arm and status, or `fallback` where that answered",
            ),
            statuses,
        )?;
        let durations = arms
            .iter()
            .map(|(key, metrics)| (names(key), &metrics.duration));
        histograms(
            encoder,
            (
                "gateway_arm_request_duration_seconds",
                "From the head to the last byte",
            ),
            durations,
        )
    }
}
