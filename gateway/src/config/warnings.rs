//! What an operator should look at, though it can be served, and what no section alone can know.

use super::dead;
use super::item::Item;
use super::model::{Config, HostRewrite, Listener, PathRewrite, Route, Target, UpstreamId};
use super::nginx;
use super::reentry;
use super::scope::Scope;
use super::sections::Sections;
use super::tree::{self, Value};
use crate::message::headers::ClientFrom;
use crate::message::peer::Proxies;
use crate::thread::priority::gently;

/// Reports all of it.
pub(super) fn report(scope: &Scope, sections: &Sections<'_>, config: &Config) {
    // What seems unused may be used by what could not be read.
    if !scope.is_complete() {
        return;
    }
    unused(scope, sections);
    let (listeners, routes) = (sections.items("listeners"), sections.items("routes"));
    if listeners.len() != config.listeners.len() || routes.len() != config.routes.len() {
        return;
    }
    for (index, (item, listener)) in listeners.iter().zip(&config.listeners).enumerate() {
        trust(item, listener);
        let serves = |route: &Route| route.serves_on(index);
        if !config.routes.is_empty() && !config.routes.iter().any(|route| serves(route)) {
            item.warn("no route serves on it: every request there is 404; name it in `listeners` of a route, or remove it");
        }
    }
    reentry::report(sections, config);
    for (item, route) in gently(routes.iter().zip(&config.routes)) {
        clients_of_sockets(item, route, config);
        if let Target::Upstream(id) = route.target {
            let outcome = "requests come back to this route, and are answered with 508 in the end";
            circle(item, route, config, ("upstream", id, outcome));
        }
        for mirror in &route.mirrors {
            let outcome = "copies come back to this route, and are copied again, up to 8 times";
            circle(item, route, config, ("mirror", mirror.upstream, outcome));
        }
        dead::report(item, route, config);
        nginx::report(item);
    }
}

/// What has a name that nothing refers to.
fn unused(scope: &Scope, sections: &Sections<'_>) {
    let kinds = [
        (
            "plugins",
            "a plugin",
            "no route uses it, so it is never called; name it in a chain, or remove it",
        ),
        (
            "upstreams",
            "an upstream",
            "nothing is sent there: no route and no grant of a plugin names it; name it in one, or remove it",
        ),
        (
            "chains",
            "a chain",
            "nothing names it, so that its plugins run nowhere; name it in a list of plugins, { chain = \"..\" }, or remove it",
        ),
        (
            "secrets",
            "a secret",
            "nothing uses it: no grant names it and no `config` of a plugin has it in it; remove it",
        ),
    ];
    for (section, kind, message) in kinds {
        for item in sections.given(section) {
            let Value::Table(entries) = &item.node.value else {
                continue;
            };
            for entry in entries
                .iter()
                .filter(|entry| !scope.is_used(kind, &entry.key))
            {
                scope.warn(entry.at, &tree::join(section, &entry.key), message);
            }
        }
    }
}

/// Whom a listener believes about who asks.
fn trust(item: &Item<'_>, listener: &Listener) {
    let place = |key: &str| item.place_of(key);
    let warn = |(at, key): (_, String), message: String| item.scope.warn(at, &key, message);
    if listener.trusted_proxies.is_empty() && listener.client_from == ClientFrom::Forwarded {
        let message = "has no effect, since `trusted_proxies` names no proxy that is believed; name the networks of your \
                       proxies there, or remove this";
        warn(place("client_from"), message.to_owned());
    }
    trust_of_sockets(item, listener);
    let everyone = |network: &&ipnet::IpNet| network.prefix_len() == 0;
    if let Some(network) = named(listener).networks.iter().find(everyone) {
        let message = format!(
            "{network} is everyone: each client is believed about the address that it claims to have; name the networks \
             of your proxies"
        );
        warn(place("trusted_proxies"), message);
    }
}

/// `trusted_proxies`, whatever they are believed by.
fn named(listener: &Listener) -> &Proxies {
    let by_protocol = listener.proxy_protocol.as_ref();
    by_protocol.unwrap_or(&listener.trusted_proxies)
}

/// Whom it believes of those who have no address, or should have one.
fn trust_of_sockets(item: &Item<'_>, listener: &Listener) {
    let (trusted, socket) = (named(listener), listener.address.unix());
    let message = match socket {
        Some(_) if !trusted.unix && !trusted.is_empty() => {
            "names networks alone, and whoever connects to a unix socket is in none, so that nobody is believed; write \
             \"unix:\" for them"
        }
        Some(socket) if trusted.unix && socket.is_open() => {
            "`unix:` is whoever may connect, and by its `mode` every user of this machine may: each is believed about the \
             address that it claims to have; write `mode = \"0660\"`"
        }
        None if trusted.unix => {
            "`unix:` is whoever connects to a unix socket, and this listens at an address; remove it, or name the networks of \
             your proxies"
        }
        _ => return,
    };
    let (at, key) = item.place_of("trusted_proxies");
    item.scope.warn(at, &key, message);
}

/// A route for clients of unix sockets, to whose listeners none of them connects.
fn clients_of_sockets(item: &Item<'_>, route: &Route, config: &Config) {
    let of_socket = |(index, listener): (usize, &Listener)| {
        route.serves_on(index) && listener.address.unix().is_some()
    };
    let mut listeners = config.listeners.iter().enumerate();
    if !route.matcher.predicates.client.has_unix() || listeners.any(of_socket) {
        return;
    }
    if let Some(matcher) = item.field("match") {
        let (at, key) = matcher.place_of("client");
        let message = "`unix:` is whoever connects to a unix socket, and no listener of this route is on one; remove it, or name \
                       such a listener";
        item.scope.warn(at, &key, message);
    }
}

/// A route whose requests, or their copies, come back to it from the upstream that it has at a key, and what comes of it.
fn circle(
    item: &Item<'_>,
    route: &Route,
    config: &Config,
    (key, id, outcome): (&str, UpstreamId, &str),
) {
    let keeps_path = matches!(route.rewrite.path, PathRewrite::Keep);
    let keeps_host = matches!(route.rewrite.host, HostRewrite::Preserve);
    if !keeps_path || !(keeps_host || route.matcher.hosts.is_empty()) {
        return;
    }
    let Some((_, upstream)) = config.upstreams.get_index(id.0) else {
        return;
    };
    for (endpoint, index) in reentry::own_listeners(upstream, config) {
        // Another that serves there alone may be nearer there.
        let is_other =
            |other: &Route| other.listeners.contains(&index) && other.listeners != route.listeners;
        if !route.serves_on(index) || config.routes.iter().any(|other| is_other(other)) {
            continue;
        }
        let (at, key) = item.place_of(key);
        let (name, listener) = (&upstream.name, &config.listeners[index].name);
        let message = format!(
            "the endpoint {endpoint} of `{name}` is the listener `{listener}` of this gateway: {outcome}; name another \
             upstream, or other `listeners`"
        );
        item.scope.warn(at, &key, message);
    }
}
