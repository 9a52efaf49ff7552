//! What the mirrors of routes did.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::encoding::DescriptorEncoder;

use super::super::Metrics;
use super::{counters, gauges};

impl Metrics {
    pub(super) fn mirrors(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mirrors = self.mirrors.lock().clone();
        let names = |(route, upstream): &(String, String)| {
            [("route", route.clone()), ("upstream", upstream.clone())]
        };
        let sent = mirrors
            .iter()
            .map(|(key, metrics)| (names(key), metrics.sent.sum()));
        counters(
            encoder,
            ("gateway_mirror_sent", "Copies of requests that went out"),
            sent,
        )?;
        let failed = mirrors.iter().flat_map(|(key, metrics)| {
            let failed = metrics.failed.sums().into_iter();
            failed.map(move |(kind, count)| (labelled(names(key), ("kind", kind)), count))
        });
        counters(
            encoder,
            (
                "gateway_mirror_failed",
                "Copies that went out and had no whole answer, by kind",
            ),
            failed,
        )?;
        let dropped = mirrors.iter().flat_map(|(key, metrics)| {
            let dropped = metrics.dropped.sums().into_iter();
            dropped.map(move |(why, count)| (labelled(names(key), ("reason", why)), count))
        });
        counters(
            encoder,
            (
                "gateway_mirror_dropped",
                "Copies that were given up before they went out, by reason",
            ),
            dropped,
        )?;
        let under_way = mirrors
            .iter()
            .map(|(key, metrics)| (names(key), metrics.under_way.load(Relaxed) as u64));
        gauges(
            encoder,
            (
                "gateway_mirror_under_way",
                "Copies that wait for a body or an answer",
            ),
            under_way,
        )
    }
}

type Label = (&'static str, String);

fn labelled([route, upstream]: [Label; 2], (name, value): (&'static str, &str)) -> [Label; 3] {
    [route, upstream, (name, value.to_owned())]
}
