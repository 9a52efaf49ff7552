//! The client by itself: over TLS, over HTTP/2, and what outlives a reload.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::config::{self, Balance, Protocol};
use crate::message::depth::Marks;
use crate::message::target::Target;
use crate::telemetry::metrics::Metrics;

/// Longer than a loaded machine stands still: nothing here ends by the clock.
const PATIENCE: Duration = Duration::from_secs(30);

/// An upstream of these endpoints.
pub(super) fn upstream(endpoints: &[&str]) -> Arc<Upstream> {
    of(&Registry::default(), "test", endpoints)
}

fn of(registry: &Registry, name: &str, endpoints: &[&str]) -> Arc<Upstream> {
    registered(registry, &configured(name, endpoints), &Metrics::new(1))
}

fn target(text: &str) -> Target {
    Target::Tcp(text.parse().unwrap())
}

/// The first endpoint.
pub(super) fn first(upstream: &Upstream) -> &Arc<Endpoint> {
    endpoint(upstream, 0)
}

fn endpoint(upstream: &Upstream, at: usize) -> &Arc<Endpoint> {
    let group::Endpointed::Fixed(members) = &upstream.members else {
        panic!("it has names");
    };
    &members.all()[at].endpoint
}

/// An upstream without gateways.
fn registered(registry: &Registry, config: &config::Upstream, metrics: &Metrics) -> Arc<Upstream> {
    let fleet = Fleet {
        marks: Arc::new(Marks::new(b"a key")),
        listening: Vec::new(),
    };
    registry.upstream(config, &fleet, metrics)
}

fn configured(name: &str, endpoints: &[&str]) -> config::Upstream {
    config::Upstream {
        name: name.into(),
        protocol: Protocol::H1,
        tls: None,
        gateway: false,
        endpoints: endpoints.iter().map(|text| target(text).into()).collect(),
        balance: Balance::RoundRobin,
        sticky: None,
        names: Vec::new(),
        connect_timeout: PATIENCE,
        first_byte_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        tunnel_timeout: None,
        pool: config::Pool {
            idle_per_worker: 4,
            idle_timeout: PATIENCE,
            max_connections: 4,
        },
        breaker: None,
        max_pending: 4,
        reads_bodies: false,
        health: None,
        outlier: None,
    }
}

#[test]
fn the_client_may_be_moved_to_any_thread_with_all_it_sends() {
    fn moves<T: Send>(_: &T) {}
    let client = Arc::new(Client::default());
    moves(&client);
    let upstream = upstream(&["[::1]:1"]);
    let picked = upstream.pick(&client, None, &Tried::default()).unwrap();
    moves(&picked);
    moves(&crate::message::body::Outgoing::Empty);
}

#[test]
fn what_has_the_same_name_and_address_is_the_same_over_reloads_and_the_rest_is_forgotten() {
    let registry = Registry::default();
    let one = of(&registry, "one", &["[::1]:1", "[::1]:2"]);
    let other = of(&registry, "other", &["[::1]:1"]);
    let again = of(&registry, "one", &["[::1]:2", "[::1]:3"]);
    assert!(Arc::ptr_eq(endpoint(&one, 1), first(&again)));
    assert!(!Arc::ptr_eq(first(&one), first(&other)));
    drop((one, other));
    registry.prune();
    assert_eq!(registry.len(), 1);
    let new = of(&registry, "one", &["[::1]:4"]);
    let slot = first(&new).slot();
    assert!(slot < 4, "a fifth slot though two of four are free: {slot}");
    again.members(|members| {
        let mut all = members.all().iter();
        assert!(all.all(|taken| taken.endpoint.slot() != slot));
    });
}

mod balance;
mod names;
mod picks;
mod shared;
mod trailing;
mod wire;

pub(super) use wire::run;
