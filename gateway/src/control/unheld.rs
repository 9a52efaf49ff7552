//! Bodies that nobody holds, where `retry` is to send them again.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;

use crate::config::{Config, Fault, Route, RoutePlugin, Target};
use crate::plugin::Linked;

/// Methods whose requests usually have a body.
const WITH_BODY: [Method; 3] = [Method::POST, Method::PUT, Method::PATCH];

/// Where `[defaults]` has them.
const DEFAULTS: &str = "defaults.retry.methods";

/// `retry.methods` that names such methods where no plugin of the route holds the body: one that streams is never sent
/// again. Of `[defaults]`, where that is so of every route that has no `retry` of its own.
pub(super) fn warned(config: &Config, linked: &[Arc<Linked>]) -> Vec<Fault> {
    let mut found: BTreeMap<String, Option<Vec<Method>>> = BTreeMap::new();
    for (index, route) in config.routes.iter().enumerate() {
        let Some(retry) = &route.retry else {
            continue;
        };
        let own = format!("routes[{index}].retry.methods");
        if !config.origins.has(&own) {
            continue;
        }
        // What a route does not give stands where `[defaults]` gives it.
        let (place, default) = (config.origins.spot(&own), config.origins.spot(DEFAULTS));
        let is_default = config.origins.has(DEFAULTS)
            && (&place.file, place.line) == (&default.file, default.line);
        let key = match is_default {
            true => DEFAULTS.to_owned(),
            false => own,
        };
        let mut methods = WITH_BODY.to_vec();
        methods.retain(|method| retry.methods.contains(method));
        let useless = !methods.is_empty() && !holds_bodies(route, linked);
        let before = found.entry(key).or_insert_with(|| Some(methods));
        if !useless {
            *before = None;
        }
    }
    let found = found.into_iter();
    let found = found.filter_map(|(key, methods)| Some((key, methods?)));
    found
        .map(|(key, methods)| {
            let methods: Vec<_> = methods.iter().map(|it| format!("`{it}`")).collect();
            let methods = methods.join(" and ");
            config.origins.spot(&key).fault(format!(
                "{methods}: no plugin of the route holds bodies, and one that streams is never sent twice, so only requests \
                 without a body go out again where an endpoint may have seen them; leave {methods} out, or have a plugin hold \
                 the body (docs/retries.md)"
            ))
        })
        .collect()
}

/// Whether a plugin of a route, or of each arm of its split, may hold the body of a request.
fn holds_bodies(route: &Route, linked: &[Arc<Linked>]) -> bool {
    let holds = |step: &RoutePlugin| {
        let linked = linked.iter().find(|linked| linked.name == step.plugin);
        let phases =
            linked.and_then(|linked| Some(linked.phases(linked.filter_for(&step.config)?)));
        // One that is not known may.
        phases.is_none_or(|phases| phases.request_body())
    };
    let by_arm = match &route.target {
        Target::Split(split) => {
            let mut arms = split.arms.iter();
            arms.any(|arm| arm.plugins.iter().any(holds))
        }
        _ => false,
    };
    by_arm || route.plugins.iter().any(holds)
}
