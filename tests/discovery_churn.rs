//! A name whose addresses are others all the time: what is kept of those that are gone.

use std::net::IpAddr;

use crate::harness::dns::{NameServer, Says};
use crate::harness::{Configuration, Gateway, Origin, get};
use crate::health::until;

/// So many addresses at once, and so often others: a thousand in all.
const MANY: u8 = 200;
const ROUNDS: u8 = 5;

/// What there is of endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    endpoints: usize,
    idle: u64,
    series: usize,
}

fn kept(gateway: &Gateway) -> Kept {
    let shown = get(gateway.admin(), "/upstreams/it", &[]).json();
    let endpoints = shown["endpoints"].as_array().unwrap();
    let idle = endpoints.iter().map(|it| it["idle_connections"].as_u64());
    let metrics = get(gateway.admin(), "/metrics", &[]).text();
    let is_series = |line: &&str| line.contains("endpoint=\"127.");
    Kept {
        endpoints: endpoints.len(),
        idle: idle.map(Option::unwrap_or_default).sum(),
        series: metrics.lines().filter(is_series).count(),
    }
}

fn descriptors(gateway: &Gateway) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.id()));
    open.unwrap().count()
}

#[test]
fn nothing_grows_with_a_thousand_addresses_that_a_name_had_one_after_the_other() {
    // Every address of the machine's own network.
    let origin = Origin::saying("here", ([0, 0, 0, 0], 0).into());
    let port = origin.address.port();
    let addresses = |round: u8| {
        let all = (1..=MANY).map(|at| IpAddr::from([127, 1, round, at]));
        Says::Addresses(all.collect(), 1)
    };
    let dns = NameServer::start(addresses(0));
    let config = Configuration::new()
        .server(&format!("resolver = ['{}']", dns.address))
        .with(&format!(
            "[upstreams.it]\nendpoints = [{{ dns = 'products.internal:{port}' }}]\npool = {{ idle_per_worker = 1000 }}"
        ))
        .route("all", "/**", "upstream = 'it'");
    let gateway = Gateway::start(&config);
    let mut first = None;
    for round in 0..ROUNDS {
        dns.say(addresses(round));
        let some = format!("127.1.{round}.1, ");
        gateway.wait_for_all(&["other addresses", &some]);
        // To each of them, which leaves a connection there.
        for _ in 0..MANY {
            assert_eq!(get(gateway.listener("public"), "/", &[]).status, 200);
        }
        until(&gateway, "connections that idle", || {
            kept(&gateway).idle == u64::from(MANY)
        });
        let (now, open) = first.get_or_insert_with(|| (kept(&gateway), descriptors(&gateway)));
        until(&gateway, &format!("{now:?}, round {round}"), || {
            kept(&gateway) == *now
        });
        // Some are for this test's own requests, which may still be on their way out.
        until(&gateway, "descriptors", || {
            descriptors(&gateway) < *open + 20
        });
    }
    let (now, _) = first.unwrap();
    assert_eq!((now.endpoints, now.idle), (MANY.into(), u64::from(MANY)));
    assert!(now.series > 0);
}
