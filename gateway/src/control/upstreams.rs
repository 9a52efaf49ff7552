//! What the admin listener tells of upstreams, and how an operator takes an endpoint out of them and back.

use serde_json::{Value, json};

use super::gateway::Gateway;
use crate::admin::{Missing, Turn};
use crate::config::Balance;
use crate::message::target::Target;
use crate::upstream::{BreakerState, Member, Obstacle, Reason, Upstream};

/// Why no request goes to an endpoint that is drained.
const WHY: &str = "an operator drained it";

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
        upstream.members(|members| {
            let members = members.all();
            let named = |member: &&Member| is_named(&member.endpoint.target, endpoint);
            let member = members.iter().find(named).ok_or(Missing::Endpoint)?;
            let standing = &member.endpoint.standing;
            let changed = match turn {
                Turn::Drain => standing.block(Obstacle::Drained, WHY),
                Turn::Restore => standing.clear(Obstacle::Drained),
            };
            let takes = |member: &&Member| member.endpoint.standing.is_clear();
            let left = members.iter().filter(takes).count();
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
        "breaker": upstream.breaker().map(|state| json!({ "state": told(state) })),
        "protocol": config.protocol.name(),
        "connections": {
            "open": connections.open,
            "most": config.pool.max_connections,
            "waiting": connections.waiting,
            "most_waiting": config.max_pending,
        },
        "endpoints": endpoints,
    })
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
        "weight": member.weight,
        "backup": member.backup,
        "takes_requests": endpoint.standing.is_clear(),
        "standing": endpoint.standing.reasons().iter().map(shown_obstacle).collect::<Vec<_>>(),
        "in_flight": endpoint.in_flight.sum(),
        "idle_connections": upstream.idle(endpoint),
    })
}

fn shown_obstacle((obstacle, reason): &(Obstacle, Reason)) -> Value {
    json!({
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
