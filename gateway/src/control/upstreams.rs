//! What the admin listener tells of upstreams, and how an operator takes an endpoint out of them and back.

use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use super::gateway::Gateway;
use crate::admin::{Missing, Turn};
use crate::config::Balance;
use crate::message::target::Target;
use crate::upstream::{BreakerState, Endpoint, Followed, Member, Obstacle, Reason, Upstream};

impl Gateway {
    /// All upstreams in force, in the order of the configuration.
    pub(super) fn show_upstreams(&self) -> Value {
        let snapshot = self.published.snapshot();
        let upstreams: Vec<_> = snapshot.upstreams.iter().map(|it| shown(it)).collect();
        json!({ "version": snapshot.version, "upstreams": upstreams })
    }

    /// One upstream in force.
    pub(super) fn show_upstream(&self, name: &str) -> Option<Value> {
        let snapshot = self.published.snapshot();
        let found = snapshot.upstreams.iter().find(|it| *it.name == *name);
        found.map(|upstream| shown(upstream))
    }

    /// Takes an endpoint out of its upstream, or back.
    pub(super) fn turn_endpoint(
        &self,
        name: &str,
        endpoint: &str,
        turn: Turn,
    ) -> Result<Value, Missing> {
        let snapshot = self.published.snapshot();
        let found = snapshot.upstreams.iter().find(|it| *it.name == *name);
        let upstream = found.ok_or(Missing::Upstream)?;
        let named = |target: &Target| is_named(target, endpoint);
        upstream.members(|members| {
            let members = members.all();
            let takes = || members.iter().filter(|it| it.endpoint.standing.is_clear());
            let Some(member) = members.iter().find(|it| named(&it.endpoint.target)) else {
                return restore_absent(upstream, named, turn, takes().count());
            };
            let changed = match turn {
                Turn::Drain => upstream.drain(member),
                Turn::Restore => upstream.restore(&member.endpoint.target),
            };
            let left = takes().count();
            if changed {
                said(turn, &upstream.name, &member.endpoint.target, left);
            }
            Ok(json!({
                "upstream": &*upstream.name,
                "endpoint": shown_member(upstream, member),
                "changed": changed,
                "left": left,
            }))
        })
    }
}

/// Restores an address that was drained and that no name has at present.
fn restore_absent(
    upstream: &Upstream,
    named: impl Fn(&Target) -> bool,
    turn: Turn,
    left: usize,
) -> Result<Value, Missing> {
    let drained = upstream.drained();
    let found = drained.iter().find(|(target, _)| named(target));
    let (address, _) = found
        .filter(|_| turn == Turn::Restore)
        .ok_or(Missing::Endpoint)?;
    let changed = upstream.restore(address);
    if changed {
        said(turn, &upstream.name, address, left);
    }
    Ok(json!({
        "upstream": &*upstream.name,
        "endpoint": { "address": address.to_string() },
        "changed": changed,
        "left": left,
    }))
}

fn said(turn: Turn, upstream: &str, endpoint: &Target, left: usize) {
    match turn {
        Turn::Drain if left == 0 => tracing::warn!(
            upstream, %endpoint, left,
            "endpoint drained; no other takes requests, and those to this upstream are refused"
        ),
        Turn::Drain => tracing::info!(upstream, %endpoint, left, "endpoint drained"),
        Turn::Restore => tracing::info!(upstream, %endpoint, left, "endpoint restored"),
    }
}

/// Whether a text names an endpoint: as it is shown, or in another spelling of its address.
fn is_named(target: &Target, text: &str) -> bool {
    target.to_string() == text || target.tcp().is_some_and(|at| text.parse() == Ok(at))
}

fn shown(upstream: &Upstream) -> Value {
    let config = &upstream.config;
    let connections = upstream.connections();
    let endpoints: Vec<_> = upstream.members(|members| {
        let members = members.all().iter();
        members
            .map(|member| shown_member(upstream, member))
            .collect()
    });
    json!({
        "name": &*upstream.name,
        "balance": balance(&config.balance),
        "breaker": upstream.breaker().map(|state| shown_breaker(upstream, state)),
        "protocol": config.protocol.name(),
        "connections": {
            "open": connections.open,
            "most": config.pool.max_connections,
            "waiting": connections.waiting,
            "most_waiting": config.max_pending,
        },
        "endpoints": endpoints,
        "names": names(upstream),
        "drained_elsewhere": drained_elsewhere(upstream),
    })
}

fn shown_breaker(upstream: &Upstream, state: BreakerState) -> Value {
    let until = upstream.breaker_opens_until().map(time);
    json!({ "state": told(state), "until": until })
}

/// The names of endpoints, and what the DNS says of them.
fn names(upstream: &Upstream) -> Vec<Value> {
    let known = upstream.followed().into_iter().flat_map(Followed::known);
    let shown = known.map(|(name, addresses, trouble)| {
        json!({ "name": name.to_string(), "addresses": addresses, "error": trouble })
    });
    shown.collect()
}

/// The addresses that are drained and that no name has at present.
fn drained_elsewhere(upstream: &Upstream) -> Vec<Value> {
    let mut drained = upstream.drained();
    upstream.members(|members| {
        let is_there =
            |target: &Target| members.all().iter().any(|it| it.endpoint.target == *target);
        drained.retain(|(target, _)| !is_there(target));
    });
    let shown = drained.into_iter().map(|(target, since)| {
        let since = humantime::format_rfc3339_millis(since).to_string();
        json!({ "address": target.to_string(), "since": since })
    });
    shown.collect()
}

/// When that is, by the clock of people.
fn time(at: Instant) -> String {
    let left = at.saturating_duration_since(Instant::now());
    humantime::format_rfc3339_millis(SystemTime::now() + left).to_string()
}

fn balance(balance: &Balance) -> &'static str {
    match balance {
        Balance::RoundRobin => "round_robin",
        Balance::Random => "random",
        Balance::LeastRequest => "least_request",
        Balance::Hash(_) => "hash",
    }
}

fn told(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half_open",
    }
}

fn shown_member(upstream: &Upstream, member: &Member) -> Value {
    let endpoint = &member.endpoint;
    json!({
        "address": endpoint.target.to_string(),
        "name": endpoint.name.as_deref(),
        "weight": member.weight,
        "backup": member.backup,
        "takes_requests": endpoint.standing.is_clear(),
        "standing": endpoint.standing.reasons().iter().map(|it| shown_obstacle(endpoint, it)).collect::<Vec<_>>(),
        "in_flight": endpoint.in_flight.sum(),
        "idle_connections": upstream.idle(endpoint),
    })
}

fn shown_obstacle(endpoint: &Endpoint, (obstacle, reason): &(Obstacle, Reason)) -> Value {
    let until = match obstacle {
        Obstacle::Ejected => endpoint.ejected_until().map(time),
        Obstacle::Unhealthy | Obstacle::Drained => None,
    };
    json!({
        "until": until,
        "is": obstacle.name(),
        "since": humantime::format_rfc3339_millis(reason.since).to_string(),
        "why": reason.why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_named_as_it_is_shown_or_by_another_spelling_of_its_address() {
        let tcp = Target::Tcp("[::1]:80".parse().unwrap());
        let unix = Target::Unix(std::path::Path::new("/run/app.sock").into());
        for (target, text, is) in [
            (&tcp, "[::1]:80", true),
            (&tcp, "[0:0::1]:80", true),
            (&tcp, "::1:80", false),
            (&tcp, "[::1]:8", false),
            (&tcp, "", false),
            (&unix, "unix:/run/app.sock", true),
            (&unix, "/run/app.sock", false),
        ] {
            assert_eq!(is_named(target, text), is, "{target}, {text}");
        }
    }
}
