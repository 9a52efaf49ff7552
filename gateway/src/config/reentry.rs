//! Plugins whose sub-requests come back to them through a listener of this gateway: the outer calls keep the memory that
//! the inner ones wait for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::model::{Config, Listener, Upstream};
use super::sections::Sections;
use super::tree::Value;
use crate::message::target::Target;

/// Warns of every grant of an upstream by which that may be so.
pub(super) fn report(sections: &Sections<'_>, config: &Config) {
    for section in sections.given("plugins") {
        for name in config.plugins.keys() {
            let grants = section.field(name).and_then(|item| item.field("grants"));
            let Some(upstreams) = grants.and_then(|item| item.field("upstreams")) else {
                continue;
            };
            for item in upstreams.elements() {
                let Value::Text(upstream) = &item.node.value else {
                    continue;
                };
                let Some((endpoint, index)) = way_back(config, upstream, name) else {
                    continue;
                };
                let listener = &config.listeners[index].name;
                item.warn(format!(
                    "the endpoint {endpoint} of `{upstream}` is the listener `{listener}` of this gateway, and by a route \
                     there a sub-request comes back to `{name}`: while it waits, its call keeps the memory that the inner one \
                     needs, so that many at once end with `timeout` (docs/plugins.md); name the service itself, or give \
                     that route a plugin of another name"
                ));
            }
        }
    }
}

/// The endpoint of an upstream, and the listener that it is, by which a sub-request may come back to a plugin.
fn way_back<'a>(
    config: &'a Config,
    upstream: &str,
    plugin: &Arc<str>,
) -> Option<(&'a Target, usize)> {
    let mut own = own_listeners(config.upstreams.get(upstream)?, config);
    own.find(|(_, listener)| reached(config, *listener).contains(plugin))
}

/// The plugins that a request to a listener may be given to, by sub-requests of others too.
fn reached(config: &Config, listener: usize) -> BTreeSet<&Arc<str>> {
    let (mut found, mut seen, mut next) = (BTreeSet::new(), BTreeSet::new(), vec![listener]);
    while let Some(listener) = next.pop() {
        if !seen.insert(listener) {
            continue;
        }
        let routes = config.routes.iter();
        let served = routes.filter(|route| route.serves_on(listener));
        for name in served
            .flat_map(|route| route.steps())
            .map(|step| &step.plugin)
        {
            let plugin = config.plugins.get(name).filter(|_| found.insert(name));
            let granted = plugin.into_iter().flat_map(|it| &it.grants.upstreams);
            let granted = granted.filter_map(|it| config.upstreams.get(it));
            next.extend(granted.flat_map(|it| own_listeners(it, config).map(|(_, index)| index)));
        }
    }
    found
}

/// Endpoints of an upstream that are listeners of this gateway, and which.
pub(super) fn own_listeners<'a>(
    upstream: &'a Upstream,
    config: &'a Config,
) -> impl Iterator<Item = (&'a Target, usize)> + 'a {
    let endpoints = upstream.endpoints.iter().map(|endpoint| &endpoint.target);
    endpoints.filter_map(|endpoint| {
        let is_there = |listener: &Listener| leads_to(endpoint, &listener.address.target());
        Some((endpoint, config.listeners.iter().position(is_there)?))
    })
}

/// Whether who connects to an endpoint comes to a listener, as far as what is written tells.
fn leads_to(endpoint: &Target, listener: &Target) -> bool {
    let (Target::Tcp(other), Target::Tcp(own)) = (endpoint, listener) else {
        return endpoint == listener;
    };
    let everywhere = own.ip().is_unspecified() && other.ip().is_loopback();
    own.port() == other.port() && (own.ip() == other.ip() || everywhere)
}
