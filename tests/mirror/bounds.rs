//! What a mirror may hold: no drain, no gateway of the fleet without a mark, no time of a client.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::harness::http::{connect, read_answer};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get};

use super::{Shadow, count, mirrored, settle};

#[test]
fn a_drain_waits_for_no_copy() {
    let (origin, shadow) = (Origin::start(), Recorder::start());
    let config =
        mirrored(origin.address, shadow.address, "", "timeout = '1h'").server("grace = '1h'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    assert_eq!(get(public, "/a", &[]).status, 200);
    shadow.head(0);
    gateway.terminate(public);
    gateway.assert_drained();
    shadow.ended(0);
}

#[test]
fn a_copy_tells_a_gateway_how_deep_it_stands_and_nobody_else() {
    let (origin, shadow) = (Origin::start(), Shadow::start());
    for (line, is_marked) in [("gateway = true", true), ("", false)] {
        let config = Configuration::new()
            .upstream("origin", origin.address)
            .upstream_with("shadow", shadow.address, line)
            .route(
                "all",
                "/**",
                "upstream = 'origin'\nmirror = { upstream = 'shadow' }",
            );
        let gateway = Gateway::start(&config);
        assert_eq!(get(gateway.listener("public"), "/a", &[]).status, 200);
        let (head, _) = shadow.next();
        assert_eq!(
            head.contains("\r\nx-gateway-depth: 1."),
            is_marked,
            "{head}"
        );
        assert!(!origin.seen().pop().unwrap().contains("x-gateway-depth"));
    }
}

#[test]
fn a_mirror_that_leads_back_ends_by_the_marks() {
    let origin = Origin::start();
    let config = |port: u16| {
        let itself = SocketAddr::from(([127, 0, 0, 1], port));
        let config = mirrored(origin.address, itself, "", "");
        config.with("[[listeners]]\nname = 'itself'\naddress = '127.0.0.1:0'")
    };
    let gateway = Gateway::start(&config(1));
    // The port is known only now; it stays over the reload.
    gateway.configure(&config(gateway.listener("itself").port()));
    assert_eq!(gateway.post("/reload").status, 200);
    assert_eq!(get(gateway.listener("public"), "/a", &[]).status, 200);
    settle(&gateway);
    assert_eq!(count(&gateway, "sent_total", ""), 9);
    assert_eq!(count(&gateway, "failed_total", ",kind=\"loop\""), 1);
    assert_eq!(origin.seen().len(), 9);
}

/// The time of the slowest but one in a hundred.
fn p99(public: SocketAddr, requests: usize) -> Duration {
    let mut client = connect(public);
    let mut times: Vec<_> = (0..requests)
        .map(|_| {
            let began = Instant::now();
            client
                .write_all(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
                .unwrap();
            assert_eq!(read_answer(&mut client).status, 200);
            began.elapsed()
        })
        .collect();
    times.sort();
    times[requests * 99 / 100]
}

#[test]
#[ignore = "soak: compares times, which a busy machine stretches"]
fn the_slowest_requests_are_as_fast_beside_a_mirror_that_hangs() {
    let (origin, shadow) = (
        Origin::forgetting(|_, _| b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
        Recorder::start(),
    );
    let with = Gateway::start(&mirrored(origin.address, shadow.address, "", ""));
    let without = Configuration::new()
        .upstream("origin", origin.address)
        .route("all", "/**", "upstream = 'origin'");
    let without = Gateway::start(&without);
    let publics = [&with, &without].map(|gateway| gateway.listener("public"));
    // Round by round, so that both have the machine as it is; the best of each is what it can do.
    let mut best = [Duration::MAX; 2];
    for _ in 0..10 {
        for (best, public) in best.iter_mut().zip(publics) {
            *best = p99(public, 2_000).min(*best);
        }
    }
    let [with, without] = best;
    assert!(with < without * 3 / 2, "{with:?} with, {without:?} without");
}
