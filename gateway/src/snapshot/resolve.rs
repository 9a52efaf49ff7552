//! From a configured route to one in force: its plugins, and those of its arms, are those that were loaded.

use std::sync::Arc;

use crate::config::{self, Config, Target};
use crate::exchange::{Arm, Arms, Link, Mirror, Place, PluginId, Route};
use crate::plugin::Linked;
use crate::route::Split;
use crate::telemetry::log_gate::LogGate;
use crate::telemetry::metrics::Metrics;

/// What routes refer to.
pub(super) struct Resolver<'a> {
    pub(super) config: &'a Config,
    /// In the order of the configuration.
    pub(super) plugins: &'a [Arc<Linked>],
    pub(super) metrics: &'a Metrics,
    pub(super) workers: usize,
}

impl Resolver<'_> {
    /// A route, with its arms where it is split.
    pub(super) fn route(&self, route: &Arc<config::Route>) -> Route {
        let mut resolved = self.resolved(route.clone());
        if let Target::Split(split) = &route.target {
            resolved.arms = Some(Box::new(self.arms(route, split)));
        }
        resolved
    }

    fn arms(&self, route: &config::Route, split: &config::Split) -> Arms {
        let arm = |arm: &config::Arm| {
            let metrics = self.metrics.arm(&route.name, &arm.name);
            let name = arm.name.clone();
            let mut resolved = self.resolved(Arc::new(route.for_arm(arm)));
            resolved.arm = Some(Arm { name, metrics });
            Arc::new(resolved)
        };
        Arms {
            split: Split::new(&route.name, split.clone(), self.workers),
            routes: split.arms.iter().map(arm).collect(),
        }
    }

    /// With its one chain.
    fn resolved(&self, route: Arc<config::Route>) -> Route {
        let link = |(place, wanted): (usize, &config::RoutePlugin)| {
            let plugins = &self.config.plugins;
            let plugin = plugins
                .get_index_of(&wanted.plugin)
                .expect("the loader resolved every name");
            let linked = &self.plugins[plugin];
            let filter = linked
                .filter_for(&wanted.config)
                .expect("every route's configuration was loaded");
            Link {
                place: Place(place),
                plugin: PluginId(plugin),
                filter,
                phases: linked.phases(filter),
            }
        };
        let chain: Vec<_> = route.plugins.iter().enumerate().map(link).collect();
        let types = |link: &Link| {
            let linked = &self.plugins[link.plugin.0];
            linked.response_types(link.filter).clone()
        };
        let metrics = self.metrics.route(&route.name);
        let mirrors = self.mirrors(&route);
        let mut resolved = Route::new(route, &chain, types, metrics);
        resolved.mirrors = mirrors;
        resolved
    }

    fn mirrors(&self, route: &config::Route) -> Vec<Mirror> {
        let mirror = |config: &config::Mirror| {
            let upstream = self.config.upstreams.get_index(config.upstream.0);
            let (upstream, _) = upstream.expect("the loader resolved every name");
            Mirror {
                config: *config,
                metrics: self.metrics.mirror(&route.name, upstream),
                failures: LogGate::of(1, u64::MAX),
                drops: LogGate::of(1, u64::MAX),
            }
        };
        route.mirrors.iter().map(mirror).collect()
    }
}
